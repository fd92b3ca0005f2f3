//! What a page offers: a link or a button is there when policy would let the person use it once they gave
//! every factor they have. Names of roles are not looked at.

use gateway_app::App;
use gateway_types::{Caller, Facts, Resource, Verdict};

/// Whether `caller` could open or use this page, `METHOD /template` as in the table of pages; `own` says
/// whether it would be about the caller's own.
pub(crate) fn could_use(app: &App, caller: &Caller, page: &str, own: bool) -> bool {
    verdict(app, caller, page, own, &Resource::gateway()).is_some_and(|verdict| verdict.is_allowed())
}

/// Why `caller` could not use this page, as [`could_use`], in a sentence for them; `None` when they could.
pub(crate) fn refusal(app: &App, caller: &Caller, page: &str, own: bool) -> Option<String> {
    refusal_about(app, caller, page, own, &Resource::gateway())
}

/// The same for a page whose request is decided about something else than the gateway.
pub(crate) fn refusal_about(
    app: &App,
    caller: &Caller,
    page: &str,
    own: bool,
    resource: &Resource,
) -> Option<String> {
    match verdict(app, caller, page, own, resource) {
        None => Some("The gateway has no such operation.".to_owned()),
        Some(verdict) if verdict.is_allowed() => None,
        Some(verdict) => Some(verdict.reason),
    }
}

/// Where several rows share an action the page's own row counts, which is why this asks by page.
fn verdict(app: &App, caller: &Caller, page: &str, own: bool, resource: &Resource) -> Option<Verdict> {
    let policy = app.policy();
    let pages = app.own.pages();
    let own_page = pages.iter().find(|(name, _)| **name == *page).map(|(_, operation)| &**operation);
    let of_rack = || {
        let (_, route) = app.own.rack_pages().find(|(name, _)| ***name == *page)?;
        policy.operations().iter().find(|operation| *operation.route == *route)
    };
    let operation = own_page.or_else(of_rack)?;
    let rack = Resource::rack();
    let resource = if own_page.is_none() && resource.app_name().is_none() { &rack } else { resource };
    let facts = Facts {
        mfa_window: true,
        mfa_bound: true,
        mfa_enrolled: true,
        own_object: own,
        destructive_allowed: app.settings.destructive_actions(resource.app_name()),
        ..Facts::default()
    };
    let facts = app.circumstances().of(&caller.principal, resource, facts);
    Some(policy.decide(caller, operation, resource, &facts))
}

/// Why `caller` could not do `action` on an app, had they given every factor; `None` when they could.
pub(crate) fn refusal_at(app: &App, caller: &Caller, action: &str, name: &str) -> Option<String> {
    refusal_of(app, caller, action, &Resource::app(name))
}

/// The same on whatever `resource` is.
pub(crate) fn refusal_of(app: &App, caller: &Caller, action: &str, resource: &Resource) -> Option<String> {
    match app.verdict(caller, action, resource, false) {
        None => Some("The gateway has no such operation.".to_owned()),
        Some(verdict) if verdict.is_allowed() => None,
        Some(verdict) => Some(verdict.reason),
    }
}
