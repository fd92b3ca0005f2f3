//! What a phase decides about a request.

use std::ops::ControlFlow;

use gateway_types::Problem;

/// `Continue(next)`: go on to the next phase, carrying what was learnt. `Break(problem)`: stop and tell
/// the problem; no later phase runs, and the outcome is still recorded.
pub type Flow<Next> = ControlFlow<Box<Problem>, Next>;

/// Stops with this problem.
pub fn refuse<Next>(problem: Problem) -> Flow<Next> {
    ControlFlow::Break(Box::new(problem))
}
