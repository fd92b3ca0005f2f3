//! What a phase decides about a request.

use std::ops::ControlFlow;

use gateway_types::Problem;
use http::Response;

use crate::body::ReplyBody;

/// `Continue(next)`: go on to the next phase, carrying what was learnt. `Break(reply)`: stop and send
/// this reply; no later phase runs, and the outcome is still recorded.
pub type Flow<Next> = ControlFlow<Reply, Next>;

/// A reply that ends the pipeline early.
#[derive(Debug)]
pub enum Reply {
    /// A refusal or failure, rendered for whoever asked.
    Problem(Box<Problem>),
    /// A finished reply.
    Ready(Response<ReplyBody>),
}

/// Stops with this problem.
pub fn refuse<Next>(problem: Problem) -> Flow<Next> {
    ControlFlow::Break(Reply::Problem(Box::new(problem)))
}
