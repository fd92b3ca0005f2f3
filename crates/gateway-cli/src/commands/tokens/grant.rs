//! Grants as they are typed: `ACTIONS[@app,app]`.

use std::str::FromStr;

use gateway_types::Grant;

/// What a typed grant means. It never reaches class *critical*: that takes a second factor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct TypedGrant(pub(crate) Grant);

/// A text that is no grant.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(crate) enum GrantFault {
    /// The actions are not a name or a prefix with one star.
    #[error(
        "`{0}` names no actions; write one in full, such as convox:app:list, or a beginning with a star, such as convox:build:*"
    )]
    Actions(String),
    /// An app's name is not one.
    #[error("`{0}` is no app's name; write apps behind an @, joined by commas: convox:build:*@web,api")]
    App(String),
}

impl FromStr for TypedGrant {
    type Err = GrantFault;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (actions, apps) = match text.split_once('@') {
            Some((actions, apps)) => (actions, apps.split(',').map(str::trim).collect()),
            None => (text, Vec::new()),
        };
        let name = actions.strip_suffix('*').unwrap_or(actions);
        let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "_:-".contains(c);
        if actions.is_empty() || !name.chars().all(is_part) {
            return Err(GrantFault::Actions(actions.to_owned()));
        }
        // An empty name would make a list that limits nothing.
        let is_app = |app: &str| {
            !app.is_empty() && app.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        };
        if let Some(bad) = apps.iter().find(|app| !is_app(app)) {
            return Err(GrantFault::App((*bad).to_owned()));
        }
        let apps = apps.into_iter().map(str::to_owned).collect();
        Ok(Self(Grant { actions: actions.to_owned(), apps, critical: false }))
    }
}

/// A grant as it would be typed.
pub(in crate::commands) fn typed(grant: &Grant) -> String {
    let mut text = grant.actions.clone();
    if !grant.apps.is_empty() {
        text.push_str(&format!("@{}", grant.apps.join(",")));
    }
    if grant.critical {
        text.push_str(" (critical)");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_are_read_and_written() {
        for text in ["*", "convox:app:list", "convox:build:*@web,api", "convox:process:exec@web"] {
            assert_eq!(typed(&text.parse::<TypedGrant>().unwrap().0), text);
        }
    }

    #[test]
    fn what_would_grant_something_else_is_refused() {
        for text in ["", "@web", "convox:*:list", "**", "Convox:app:list", "convox app"] {
            assert!(matches!(text.parse::<TypedGrant>(), Err(GrantFault::Actions(_))), "{text}");
        }
        for text in ["*@", "*@web,", "*@web,,api", "*@we b", "*@a@b"] {
            assert!(matches!(text.parse::<TypedGrant>(), Err(GrantFault::App(_))), "{text}");
        }
    }
}
