//! Changes that are changes of what a page showed: every such form carries the version it was shown for.

use gateway_app::control::OwnRequest;
use gateway_types::{Layer, Problem, ProblemKind};

/// The version that the form was shown for.
///
/// # Errors
/// [`ProblemKind::StaleForm`] when it carries none: no page of ours made that form.
pub(crate) fn expected(request: &OwnRequest) -> Result<i64, Problem> {
    let version = request.field("version").and_then(|version| version.parse::<i64>().ok());
    version.ok_or_else(|| {
        let detail =
            "The form does not say which state it is a change of. Load the page again and fill it in anew.";
        Problem::new(ProblemKind::StaleForm, Layer::Network, detail)
    })
}

/// The same problem in the words of a page: whoever was too late reads where the present state is.
pub(crate) fn told(mut problem: Problem, path: &str) -> Problem {
    if problem.kind == ProblemKind::Stale {
        problem.detail = format!(
            "Somebody changed it after you opened the page, so nothing was done. Open {path} again, look at what it is now, and make the change anew."
        );
    }
    problem
}
