//! The one sentence a caller reads.
//!
//! # Security
//! It holds names of the tables and words of policies, never anything the caller sent; no `%`, since
//! some clients format what they print.

use std::collections::{BTreeMap, BTreeSet};

use gateway_types::{LowestRole, Operation, RemedyKind};

use crate::decision_key::Seen;
use crate::evaluation::Outcome;
use crate::remedies::Cure;
use crate::rule::Rule;

pub(crate) const SIGN_IN: &str = "Sign in first: this needs a session or an API token.";
pub(crate) const UNKNOWN: &str = "The gateway has no such operation, so it is refused.";
pub(crate) const WRONG_KIND: &str = "This operation is not about that kind of resource, so it is refused.";
pub(crate) const FAILED: &str = "A policy of this gateway could not be evaluated, so everything it covers is refused until an admin corrects it.";

/// Why it is allowed.
pub(crate) fn allowed(rules: &BTreeSet<String>) -> String {
    let ids: Vec<&str> = rules.iter().map(String::as_str).collect();
    format!("Allowed by {}.", ids.join(", "))
}

/// What is missing, when it can be had.
pub(crate) fn curable(rules: &BTreeMap<String, Rule>, cure: &Cure) -> String {
    let sentence = needed(rules, &cure.rules);
    if cure.kinds.contains(&RemedyKind::Enrol) {
        format!("{sentence} You have no second factor yet: enrol one first.")
    } else {
        sentence
    }
}

/// What is missing, when only somebody else can give it. `best` is what is left with every remedy taken.
pub(crate) fn incurable(
    rules: &BTreeMap<String, Rule>,
    best: &Outcome,
    seen: &Seen,
    operation: &Operation,
) -> String {
    match best {
        Outcome::Forbidden(ids) => needed(rules, ids),
        // The best case is allowed, but no annotation says how to get there.
        Outcome::Permitted(_) => "This needs more than this request has; ask an admin.".to_owned(),
        Outcome::Failed(_) => FAILED.to_owned(),
        Outcome::Unpermitted => unpermitted(seen, operation),
    }
}

fn unpermitted(seen: &Seen, operation: &Operation) -> String {
    let who = match seen {
        Seen::ApiToken { .. } | Seen::AccessToken { .. } => "a token with ",
        Seen::Workload { .. } => "a workload with ",
        Seen::User { .. } | Seen::Anonymous => "",
    };
    match operation.lowest_role {
        LowestRole::Role(role) => format!("This needs {who}the role {role}."),
        LowestRole::Own => "This is allowed on your own objects only.".to_owned(),
        LowestRole::Public => "Nothing permits this.".to_owned(),
    }
}

fn needed(rules: &BTreeMap<String, Rule>, ids: &BTreeSet<String>) -> String {
    let needs: BTreeSet<&str> =
        ids.iter().filter_map(|id| rules.get(id)).filter_map(|rule| rule.needs.as_deref()).collect();
    if needs.is_empty() {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        return format!("Forbidden by {}.", ids.join(", "));
    }
    let needs: Vec<&str> = needs.into_iter().collect();
    format!("This needs {}.", needs.join("; and "))
}
