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
    typed_in(&request.form, word)
}

/// As [`typed`], for the fields of a form.
///
/// # Errors
/// As [`typed`].
pub(crate) fn typed_in(fields: &[(String, String)], word: &str) -> Result<(), Problem> {
    let mut typed = fields.iter().filter(|(name, _)| name == FIELD).map(|(_, typed)| typed.trim());
    if !word.is_empty() && typed.next() == Some(word) && typed.next().is_none() {
        return Ok(());
    }
    let detail = "What was typed to confirm is not the name that was asked for, so nothing was done. Go back and type it exactly.";
    Err(Problem::new(ProblemKind::BadParameter, Layer::Network, detail))
}
