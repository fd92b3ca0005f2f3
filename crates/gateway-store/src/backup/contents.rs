//! Which tables there are, in an order in which rows refer to rows of tables before them: that in which the
//! migrations make them. A table that a later migration adds is in every backup without a word here.

use std::collections::BTreeSet;

use crate::migrate;

/// Tables that no backup holds: what is of the running processes alone, sessions with what hangs on them, and what
/// lets somebody in, or read values, for a while: it may have been ended since.
const LEFT_OUT: [&str; 24] = [
    "leases",
    "runs",
    "rate_counts",
    "acme_challenges",
    "sessions",
    "step_ups",
    "step_up_tries",
    "step_up_challenges",
    "device_tries",
    "person_tries",
    "break_glass_tries",
    "sign_ins",
    "cli_codes",
    "device_sign_ins",
    "webauthn_ceremonies",
    "handoffs",
    "host_sessions",
    "provider_sessions",
    "workloads",
    "trusted_devices",
    "reveals",
    "zone_join_tokens",
    "zone_registrations",
    "audit_shares",
];

/// Whether a backup leaves this table out.
pub(super) fn is_left_out(table: &str) -> bool {
    LEFT_OUT.contains(&table)
}

/// Every table that these migrations make, in their order.
pub(super) fn tables(stamps: Option<&BTreeSet<i64>>) -> Vec<&'static str> {
    let mut found = Vec::new();
    for (stamp, text) in migrate::texts() {
        if stamps.is_none_or(|stamps| stamps.contains(&stamp)) {
            found.extend(made(text, "CREATE TABLE "));
        }
    }
    found
}

/// Every function that the migrations make.
pub(super) fn functions() -> Vec<&'static str> {
    migrate::texts().flat_map(|(_, text)| made(text, "CREATE FUNCTION ")).collect()
}

fn made(text: &'static str, words: &'static str) -> impl Iterator<Item = &'static str> {
    text.lines()
        .filter_map(move |line| line.strip_prefix(words))
        .filter_map(|rest| rest.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_that_is_left_out_exists_and_nothing_kept_refers_to_one() {
        let all = tables(None);
        for table in LEFT_OUT {
            assert!(all.contains(&table), "{table}");
        }
        for (_, text) in migrate::texts() {
            let mut table = "";
            for line in text.lines() {
                if let Some(rest) = line.strip_prefix("CREATE TABLE ") {
                    table = rest.split([' ', '(']).next().unwrap();
                }
                let referred =
                    line.split_once("REFERENCES ").and_then(|(_, rest)| rest.split([' ', '(']).next());
                if let Some(referred) = referred {
                    let (from, to) = (
                        all.iter().position(|name| *name == table),
                        all.iter().position(|name| *name == referred),
                    );
                    assert!(to <= from, "{table} refers to {referred}, which is made later");
                    assert!(is_left_out(table) || !is_left_out(referred), "{table} refers to {referred}");
                }
            }
        }
    }
}
