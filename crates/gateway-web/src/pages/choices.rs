//! What a form lets people choose from, as `forms.html` shows it.

use gateway_app::roles::description;
use gateway_types::{Role, RoleSet};

/// One of the things to choose from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Choice {
    pub(crate) value: String,
    pub(crate) label: String,
    pub(crate) about: &'static str,
    pub(crate) chosen: bool,
}

/// Choices of value and label, one of which is chosen; the first one stands for everything unknown.
pub(crate) fn one_of(options: &[(&str, &str)], chosen: &str) -> Vec<Choice> {
    let known = options.iter().any(|(value, _)| *value == chosen);
    let choice = |(place, (value, label)): (usize, &(&str, &str))| Choice {
        value: (*value).to_owned(),
        label: (*label).to_owned(),
        about: "",
        chosen: if known { *value == chosen } else { place == 0 },
    };
    options.iter().enumerate().map(choice).collect()
}

/// The roles as ticks. `offered` says which.
pub(crate) fn of_roles(offered: impl Fn(Role) -> bool, chosen: RoleSet) -> Vec<Choice> {
    let choice = |role: Role| Choice {
        value: role.name().to_owned(),
        label: role.name().to_owned(),
        about: description(role),
        chosen: chosen.contains(role),
    };
    // One that is held is always there, so that saving a form takes nothing away unseen.
    Role::ALL.into_iter().filter(|role| offered(*role) || chosen.contains(*role)).map(choice).collect()
}

/// What people may hold.
pub(crate) fn for_people(role: Role) -> bool {
    role != Role::Cicd
}

/// The roles that were ticked: every field `role` of a form.
///
/// # Errors
/// A sentence about the first that is no role.
pub(crate) fn ticked(form: &[(String, String)]) -> Result<RoleSet, String> {
    let ticks = form.iter().filter(|(name, _)| name == "role").map(|(_, value)| value);
    ticks.map(|value| value.parse::<Role>().map_err(|unknown| unknown.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(values: &[&str]) -> Vec<(String, String)> {
        values.iter().map(|value| ("role".to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn ticks_become_roles() {
        assert_eq!(ticked(&form(&["ops", "auditor"])), Ok(RoleSet::of(Role::Ops).with(Role::Auditor)));
        assert_eq!(ticked(&[]), Ok(RoleSet::EMPTY));
        assert!(ticked(&form(&["ops", "root"])).is_err());
    }

    #[test]
    fn a_held_role_is_always_shown() {
        let shown = of_roles(for_people, RoleSet::of(Role::Cicd));
        assert!(shown.iter().any(|choice| choice.value == "cicd" && choice.chosen));
        assert!(!of_roles(for_people, RoleSet::EMPTY).iter().any(|choice| choice.value == "cicd"));
    }

    #[test]
    fn the_first_stands_for_the_unknown() {
        let chosen =
            |value| one_of(&[("", "all"), ("a", "A")], value).iter().position(|choice| choice.chosen);
        assert_eq!((chosen("a"), chosen("x"), chosen("")), (Some(1), Some(0), Some(0)));
    }
}
