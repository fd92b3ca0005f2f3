//! What a caller may do, in words: the verdicts on a few actions that people ask about.

use gateway_app::App;
use gateway_types::{Caller, Resource};

/// One thing that people do here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Power {
    /// What it is.
    pub(crate) words: &'static str,
    /// Why not; `None` when the caller may.
    pub(crate) refused: Option<String>,
}

/// What is asked about: words, action, and whether it is about an app, the rack or the gateway.
const ASKED: &[(&str, &str, About)] = &[
    ("See apps, processes and logs", "convox:log:read", About::App),
    ("Run commands in processes, restart services", "convox:process:exec", About::App),
    ("Change environments, build, release and promote", "convox:release:promote", About::App),
    ("Delete apps", "convox:app:delete", About::App),
    ("Change the rack itself", "convox:rack:update", About::Rack),
    ("Make API tokens of your own", "gateway:token:create", About::Own),
    ("Manage users, roles and settings", "gateway:user:update", About::Gateway),
    ("Read everybody's audit log", "gateway:audit:search", About::Gateway),
];

#[derive(Clone, Copy)]
enum About {
    App,
    Rack,
    Gateway,
    /// Something of the caller's own.
    Own,
}

/// The verdicts on what people ask about, for this caller.
pub(crate) fn of(app: &App, caller: &Caller) -> Vec<Power> {
    let power = |&(words, action, about): &(&'static str, &str, About)| {
        let resource = match about {
            // Rules for one app alone do not match this name, so it stands for apps in general.
            About::App => Resource::app("any"),
            About::Rack => Resource::rack(),
            About::Gateway | About::Own => Resource::gateway(),
        };
        let verdict = app.verdict(caller, action, &resource, matches!(about, About::Own))?;
        let refused = (!verdict.is_allowed()).then_some(verdict.reason);
        Some(Power { words, refused })
    };
    ASKED.iter().filter_map(power).collect()
}
