//! Grants as people write them: `ACTION`, `ACTION@APP,APP`, and the word `critical` behind one that
//! reaches critical actions.

use gateway_types::Grant;

/// A grant as pages show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GrantRow {
    pub(crate) text: String,
    pub(crate) critical: bool,
}

/// The grants of a token, for a list.
pub(crate) fn rows(grants: &[Grant]) -> Vec<GrantRow> {
    grants.iter().map(|grant| GrantRow { text: text(grant), critical: grant.critical }).collect()
}

fn text(grant: &Grant) -> String {
    if grant.apps.is_empty() {
        grant.actions.clone()
    } else {
        format!("{}@{}", grant.actions, grant.apps.join(","))
    }
}

/// The grants of a token, for a field of several lines; [`read`] reads it.
pub(crate) fn written(grants: &[Grant]) -> String {
    let line = |grant: &Grant| text(grant) + if grant.critical { " critical" } else { "" };
    grants.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Reads grants, one on a line. Whether they name anything is not known here.
///
/// # Errors
/// A sentence about the first line that is none.
pub(crate) fn read(lines: &str) -> Result<Vec<Grant>, String> {
    lines.lines().map(str::trim).filter(|line| !line.is_empty()).map(one).collect()
}

fn one(line: &str) -> Result<Grant, String> {
    let shown: String = line.chars().take(100).collect();
    let fault = || format!("`{shown}` is no grant: write ACTION, ACTION@APP or ACTION@APP,APP");
    let mut words = line.split_whitespace();
    let grant = words.next().unwrap_or_default();
    let critical = match words.next() {
        None => false,
        Some("critical") => true,
        Some(_other) => return Err(fault()),
    };
    let (actions, apps) = match grant.split_once('@') {
        None => (grant, Vec::new()),
        Some((actions, apps)) => (actions, apps.split(',').map(str::to_owned).collect::<Vec<_>>()),
    };
    // An empty name after `@` would be read as no limit at all.
    if words.next().is_some() || actions.is_empty() || apps.iter().any(String::is_empty) {
        return Err(fault());
    }
    Ok(Grant { actions: actions.to_owned(), apps, critical })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(actions: &str, apps: &[&str], critical: bool) -> Grant {
        Grant {
            actions: actions.to_owned(),
            apps: apps.iter().map(|app| (*app).to_owned()).collect(),
            critical,
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        let grants = vec![
            grant("*", &[], false),
            grant("convox:app:*", &["a", "b"], true),
            grant("convox:app:list", &[], true),
        ];
        assert_eq!(read(&written(&grants)), Ok(grants));
    }

    #[test]
    fn blank_lines_say_nothing() {
        assert_eq!(read("\r\n  \n"), Ok(Vec::new()));
        assert_eq!(read(" convox:app:list \r\n"), Ok(vec![grant("convox:app:list", &[], false)]));
    }

    #[test]
    fn a_slip_is_said_and_never_widens() {
        for bad in ["@web", "convox:app:list@", "convox:app:list@a,", "convox:app:list also", "a critical b"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
