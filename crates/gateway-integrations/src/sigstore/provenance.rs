//! What a builder says of a build: an in-toto statement with SLSA provenance.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::certificate::Identity;
use super::{BundleFault, Expected, shown};

/// The form of the statement.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// What it states.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Value,
}

#[derive(Deserialize)]
struct Subject {
    digest: BTreeMap<String, String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Provenance {
    build_definition: Definition,
    run_details: Details,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Definition {
    #[serde(default)]
    resolved_dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    #[serde(default)]
    uri: String,
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Details {
    builder: Builder,
}

#[derive(Deserialize)]
struct Builder {
    id: String,
}

/// Whether certificate and statement say that this archive was built from this commit. They are written by two: the
/// authority by the word of whoever runs the workflow, and the workflow itself. Both must say it.
pub(super) fn check(payload: &[u8], identity: &Identity, expected: &Expected<'_>) -> Result<(), BundleFault> {
    let form = |part| BundleFault::Form { part };
    let statement: Statement =
        serde_json::from_slice(payload).map_err(|_bad| form("its payload is no in-toto statement"))?;
    if statement.kind != STATEMENT_TYPE {
        return Err(form("its payload is no in-toto statement of version 1"));
    }
    if statement.predicate_type != PREDICATE_TYPE {
        return Err(BundleFault::OtherPredicate { found: shown(&statement.predicate_type) });
    }
    let is_subject = |one: &Subject| one.digest.get("sha256").is_some_and(|found| found == expected.sha256);
    if !statement.subject.iter().any(is_subject) {
        return Err(BundleFault::OtherSubject);
    }
    if !is_repository(&identity.repository, expected.repository) {
        return Err(other_repository(&identity.repository, expected));
    }
    if identity.commit != expected.commit {
        return Err(BundleFault::OtherCommit { found: shown(&identity.commit) });
    }
    let provenance = Provenance::deserialize(&statement.predicate)
        .map_err(|_bad| form("its provenance is not of the form of SLSA 1.0"))?;
    if provenance.run_details.builder.id != identity.builder {
        return Err(BundleFault::OtherBuilder { found: shown(&provenance.run_details.builder.id) });
    }
    source(&provenance.build_definition.resolved_dependencies, expected)
}

/// Whether the source that the build took is the repository at the commit.
fn source(dependencies: &[Dependency], expected: &Expected<'_>) -> Result<(), BundleFault> {
    let sources: Vec<(&str, &Dependency)> = dependencies
        .iter()
        .filter_map(|one| {
            let place = one.uri.strip_prefix("git+")?;
            // `git+https://HOST/OWNER/NAME@REF`
            Some((place.split_once('@').map_or(place, |(repository, _)| repository), one))
        })
        .collect();
    let Some((_, ours)) = sources.iter().find(|(place, _)| is_repository(place, expected.repository)) else {
        let found = sources.first().map_or("no repository", |(place, _)| place);
        return Err(other_repository(found, expected));
    };
    match ours.digest.get("gitCommit") {
        Some(commit) if commit == expected.commit => Ok(()),
        other => {
            Err(BundleFault::OtherCommit { found: other.map_or("(none)".to_owned(), |commit| shown(commit)) })
        }
    }
}

/// GitHub's names do not differ by case.
fn is_repository(found: &str, expected: &str) -> bool {
    found.eq_ignore_ascii_case(expected)
}

fn other_repository(found: &str, expected: &Expected<'_>) -> BundleFault {
    BundleFault::OtherRepository { found: shown(found), expected: expected.repository.to_owned() }
}
