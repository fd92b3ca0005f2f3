//! What a page offers: a link or a button is there when policy would let the person use it once they gave
//! every factor they have. Names of roles are not looked at.

use gateway_app::App;
use gateway_types::{Caller, Facts, Resource};

/// Whether `caller` could open or use this page, `METHOD /template` as in the table of pages; `own` says
/// whether it would be about the caller's own.
///
/// Where several rows share an action the page's own row counts, which is why this asks by page.
pub(crate) fn could_use(app: &App, caller: &Caller, page: &str, own: bool) -> bool {
    let pages = app.own.pages();
    let Some((_, operation)) = pages.iter().find(|(name, _)| **name == *page) else { return false };
    let facts = Facts {
        mfa_window: true,
        mfa_bound: true,
        mfa_enrolled: true,
        own_object: own,
        destructive_allowed: app.settings.destructive_actions(None),
        ..Facts::default()
    };
    app.policy.load().decide(caller, operation, &Resource::gateway(), &facts).is_allowed()
}
