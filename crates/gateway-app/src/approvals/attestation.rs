//! Who built the archive that is deployed, as attested: SLSA provenance in a Sigstore bundle (ADR 0028).
//!
//! An app whose setting `attestation_builders` names somebody is deployed by approval only when one of them attested that
//! this very archive was built from the approved commit of its repository. It is looked at when somebody approves an
//! archive that is there, and again before it is built and before it is promoted.
//!
//! # Security
//! GitHub only keeps the bundles: what counts is the signature of a builder whom the configured authority certified, at
//! a time that the configured log signed. Whatever is missing or cannot be read refuses.

use gateway_config::SettingKey;
use gateway_integrations::github::{Built, Demand};
use gateway_integrations::sigstore::Attested;
use gateway_store::Finding;
use gateway_types::Timestamp;
use serde_json::json;

use super::commit::{ATTESTATION, Refusal, bound, without_demand};
use super::standing::Standing;
use super::{ApprovalError, event};
use crate::integrations::WayOut;
use crate::{App, Operator, record};

/// Asks for the attestation of the archive that was uploaded.
///
/// # Errors
/// As [`check`]. An app that needs an attestation and has no archive is refused too.
pub(super) async fn check_uploaded(
    app: &App,
    operator: &Operator<'_>,
    standing: &Standing,
) -> Result<(), ApprovalError> {
    // The chain of the deploy refuses a build and a promote without an upload; a digest of nothing is attested by nobody.
    let sha256 = standing.bound.uploaded.as_ref().map_or("", |uploaded| uploaded.sha256.as_str());
    check(app, operator, standing, sha256).await.map(drop)
}

/// Asks for the attestation of an archive, and writes down what was found: a short text for the log, or nothing for an
/// app that needs none.
///
/// # Errors
/// [`ApprovalError::Evidence`] and its like. Also when it cannot be written down.
pub(super) async fn check(
    app: &App,
    operator: &Operator<'_>,
    standing: &Standing,
    sha256: &str,
) -> Result<Option<String>, ApprovalError> {
    let builders = builders(app, &standing.row.app);
    if builders.is_empty() {
        return Ok(None);
    }
    let (id, store) = (standing.row.id, &app.store);
    match ask(app, standing, sha256, builders).await {
        Ok(attested) => {
            let finding = good(&attested);
            let said = finding.said.clone();
            store.approvals().keep_findings(id, ATTESTATION, &[finding]).await?;
            Ok(Some(said))
        }
        Err(refusal) => {
            let row = &standing.row;
            let mut event = event(operator, "gateway:approval:evidence", id, &row.app, &row.commit);
            event.after = Some(json!({ "met": false, "why": refusal.error.to_string() }));
            record(store, event).await?;
            store.approvals().keep_findings(id, ATTESTATION, &[refusal.finding]).await?;
            Err(refusal.error)
        }
    }
}

/// What would be found now, for people; `None` when nothing is asked for, or nothing is uploaded yet.
pub(super) async fn look(app: &App, standing: &Standing) -> Option<Finding> {
    let builders = builders(app, &standing.row.app);
    let uploaded = standing.bound.uploaded.as_ref().filter(|_| !builders.is_empty())?;
    Some(match ask(app, standing, &uploaded.sha256, builders).await {
        Ok(attested) => good(&attested),
        Err(refusal) => refusal.finding,
    })
}

/// Who may have built archives of the app; nobody = no attestation is asked for.
fn builders(app: &App, of_app: &str) -> Vec<String> {
    let text = app.settings.text(SettingKey::AttestationBuilders, of_app);
    text.split(',').map(str::trim).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

async fn ask(
    app: &App,
    standing: &Standing,
    sha256: &str,
    builders: Vec<String>,
) -> Result<Attested, Refusal> {
    let lacks = |lacking: &'static str| {
        let error = ApprovalError::NoAttestationTrust { lacking };
        Refusal::new(Demand::Attestation, None, error.to_string(), error)
    };
    let Some(repository) = bound(app, standing)? else {
        return Err(lacks("the app's repository (the setting github_repository)"));
    };
    let Some(trust) = app.integrations.attestations() else {
        return Err(lacks("ATTESTATION_AUTHORITY and ATTESTATION_LOG_KEY (integrations.attestations)"));
    };
    let Some(desk) = app.integrations.github() else {
        return Err(lacks("a way to ask GitHub: GITHUB_TOKEN or a GitHub App (integrations.github)"));
    };
    let built = Built { sha256: sha256.to_owned(), commit: standing.row.commit.clone(), builders };
    let asked = desk.attested(&WayOut(&*app.fetch), app.clock.now(), trust, &repository, &built).await;
    asked.map_err(|fault| {
        let (said, url) = (fault.to_string(), fault.url().map(str::to_owned));
        let shown = without_demand(&said, &fault);
        let error =
            ApprovalError::Evidence { repository: repository.to_string(), fault: said, url: url.clone() };
        Refusal::new(Demand::Attestation, url.as_deref(), shown, error)
    })
}

fn good(attested: &Attested) -> Finding {
    let seconds = i64::try_from(attested.logged_seconds).unwrap_or(i64::MAX);
    let logged = Timestamp::from_micros(seconds.saturating_mul(1_000_000)).to_rfc3339();
    Finding {
        what: Demand::Attestation.to_string(),
        good: true,
        said: format!("built by {}, logged {logged} as entry {}", attested.builder, attested.log_index),
        url: None,
    }
}
