//! Whether what a token or certificate says fits a rule. Pure.
//!
//! All conditions must hold, each with one of its values. Values are compared as text, byte by byte; one that ends in a
//! star, where a claim takes that, stands for all that begins so.

use std::collections::BTreeMap;

use super::kinds::Kind;

/// What a token or certificate says: of each claim all values.
pub type Said = BTreeMap<String, Vec<String>>;

/// The claims that do not fit, in order; none = it fits.
pub fn mismatches(kind: Kind, conditions: &BTreeMap<String, Vec<String>>, said: &Said) -> Vec<String> {
    let mut wrong: Vec<String> = conditions
        .iter()
        .filter(|(name, values)| !holds(name, values, said))
        .map(|(name, _values)| name.clone())
        .collect();
    // A condition of no conditions would hold for everybody.
    if conditions.is_empty() {
        wrong.push("claims".to_owned());
    }
    if kind == Kind::Github {
        wrong.extend(foreign_workflow(conditions, said));
    }
    wrong.sort();
    wrong.dedup();
    wrong
}

fn holds(name: &str, values: &[String], said: &Said) -> bool {
    let said = said.get(name).map(Vec::as_slice).unwrap_or_default();
    said.iter().any(|said| values.iter().any(|value| is_value(name, value, said)))
}

fn is_value(name: &str, value: &str, said: &str) -> bool {
    match value.strip_suffix('*') {
        Some(beginning) if Kind::takes_beginnings(name) => said.starts_with(beginning),
        Some(_) | None => value == said,
    }
}

/// Which of a job's workflows is not the repository's own, unless the rule names it.
///
/// # Security
/// A job of a workflow that another repository keeps (`workflow_call`) does what that repository says, under this one's
/// name. `workflow_ref` is the one that was started, `job_workflow_ref` the one whose job runs.
fn foreign_workflow(conditions: &BTreeMap<String, Vec<String>>, said: &Said) -> Vec<String> {
    let one = |name: &str| match said.get(name).map(Vec::as_slice) {
        Some([only]) => Some(only.as_str()),
        Some(_) | None => None,
    };
    let mut foreign = Vec::new();
    if !conditions.contains_key("job_workflow_ref") && one("job_workflow_ref") != one("workflow_ref") {
        foreign.push("job_workflow_ref".to_owned());
    }
    if !conditions.contains_key("workflow_ref") {
        let own = one("repository").map(|repository| format!("{repository}/"));
        let is_own = own.is_some_and(|own| one("workflow_ref").is_some_and(|it| it.starts_with(&own)));
        if !is_own {
            foreign.push("workflow_ref".to_owned());
        }
    }
    foreign
}

/// Whether a token is of the repository that a rule is for, so that its holder may be told which claim keeps it out.
pub(super) fn is_near(kind: Kind, conditions: &BTreeMap<String, Vec<String>>, said: &Said) -> bool {
    kind.identity().iter().any(|claims| {
        claims.iter().all(|claim| conditions.get(*claim).is_some_and(|values| holds(claim, values, said)))
    })
}

/// A rule in a sentence, so that nobody has to guess what its lists mean.
pub fn in_words(kind: Kind, issuer: &str, conditions: &BTreeMap<String, Vec<String>>) -> String {
    let whose = match kind {
        Kind::Certificate => "A client certificate".to_owned(),
        Kind::Github | Kind::Gitlab | Kind::Circleci | Kind::Buildkite => {
            format!("A token of {} ({issuer}) for this gateway", kind.title())
        }
    };
    let conditions: Vec<String> = conditions
        .iter()
        .map(|(name, values)| {
            let values: Vec<String> = values
                .iter()
                .map(|value| match value.strip_suffix('*') {
                    Some(beginning) if Kind::takes_beginnings(name) => {
                        format!("anything that begins with `{beginning}`")
                    }
                    Some(_) | None => format!("`{value}`"),
                })
                .collect();
            format!("{name} is {}", values.join(" or "))
        })
        .collect();
    format!("{whose} signs a machine in when {}.", conditions.join(", and "))
}
