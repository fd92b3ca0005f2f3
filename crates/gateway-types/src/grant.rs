//! What an API token or workload was given: its rights are these, cut by its creator's present rights.

use serde::{Deserialize, Serialize};

use crate::operation::{ActionName, Class};
use crate::resource::Resource;

/// One grant: a pattern of actions on a pattern of apps.
///
/// `actions` is a full action name, or a prefix ending in `*` (`convox:app:*`, `*`).
/// `apps` empty = every resource; else only resources that are one of these apps.
/// A grant never reaches class *critical* unless `critical` is true, which only a bound step-up of
/// the creator may set.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Grant {
    /// A full action name or a prefix ending in `*`.
    pub actions: String,
    /// The apps it is limited to; empty = not limited.
    #[serde(default)]
    pub apps: Vec<String>,
    /// Whether it reaches class *critical*.
    #[serde(default)]
    pub critical: bool,
}

impl Grant {
    /// A grant of every action short of class *critical*, on everything. The caller's role still limits it.
    pub fn everything() -> Self {
        Self { actions: "*".to_owned(), apps: Vec::new(), critical: false }
    }

    /// Whether this grant names `action` of `class` on `resource`.
    pub fn covers(&self, action: &ActionName, class: Class, resource: &Resource) -> bool {
        let action_matches = match self.actions.strip_suffix('*') {
            Some(prefix) => action.as_str().starts_with(prefix),
            None => action.as_str() == self.actions,
        };
        let app_matches =
            self.apps.is_empty() || resource.app_name().is_some_and(|app| self.apps.iter().any(|a| a == app));
        let class_matches = self.critical || class != Class::Critical;
        action_matches && app_matches && class_matches
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(actions: &str, apps: &[&str], critical: bool, class: Class, resource: Resource, expected: bool) {
        let grant = Grant {
            actions: actions.to_owned(),
            apps: apps.iter().map(|app| (*app).to_owned()).collect(),
            critical,
        };
        let covers = grant.covers(&ActionName::new("convox:app:delete"), class, &resource);
        assert_eq!(covers, expected, "{grant:?}");
    }

    #[test]
    fn patterns() {
        check("*", &[], false, Class::Read, Resource::rack(), true);
        check("convox:app:*", &["a"], false, Class::Read, Resource::app("a"), true);
        check("convox:app:*", &["a"], false, Class::Read, Resource::app("ab"), false);
        check("convox:app:*", &["a"], false, Class::Read, Resource::rack(), false);
        check("convox:app", &[], false, Class::Read, Resource::rack(), false);
        check("*", &[], false, Class::Critical, Resource::rack(), false);
        check("*", &[], true, Class::Critical, Resource::rack(), true);
    }
}
