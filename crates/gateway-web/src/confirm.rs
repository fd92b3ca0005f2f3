//! Names typed to confirm what is hard to undo.

use gateway_app::control::OwnRequest;
use gateway_types::{Layer, Problem, ProblemKind};

/// The field of `parts::confirm`.
const FIELD: &str = "confirm";

/// Goes on when the form carries exactly `word`: a browser that checks `pattern` never sends another.
///
/// # Errors
/// [`ProblemKind::BadParameter`].
pub(crate) fn typed(request: &OwnRequest, word: &str) -> Result<(), Problem> {
    if request.field(FIELD).is_some_and(|typed| typed.trim() == word) {
        return Ok(());
    }
    let detail = "What was typed to confirm is not the name that was asked for, so nothing was done. Go back and type it exactly.";
    Err(Problem::new(ProblemKind::BadParameter, Layer::Network, detail))
}
