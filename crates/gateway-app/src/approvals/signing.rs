//! What an approver is given to sign, and what becomes of the answer.
//!
//! A passkey that is asked to confirm `POST …/approvals/{id}/approve` or `…/extend` is asked with the digest of the
//! statement for a challenge ([`to_sign`]); what it signed is kept for the request that follows ([`keep`]), which takes
//! it ([`signature`]). Whoever confirms with a one-time code signs nothing, and is marked so.

use std::time::Duration;

use data_encoding::HEXLOWER;
use gateway_approvals::chain::Order;
use gateway_approvals::evidence::Method;
use gateway_approvals::proof::Proof;
use gateway_approvals::state::State;
use gateway_approvals::statement::{Purpose, Statement, challenge};
use gateway_audit::bounded;
use gateway_store::{KeptProof, KeptSignature, StoreError};
use gateway_types::{ApprovalId, Timestamp, UserId};

use super::standing::Standing;
use super::{ApprovalError, find, seal, weaker};
use crate::users::by;
use crate::{App, Operator};

/// How much later than agreed a signature may end: what it takes to press a button.
const SLACK: Duration = Duration::from_secs(6 * 60);

/// The name of a purpose in the database.
const fn name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Approve => "approve",
        Purpose::Extend => "extend",
    }
}

/// The approval that a request of this method and path signs, and what for.
///
/// The text may go on after the path with what else a step-up is bound to.
pub fn signs(target: &str) -> Option<(ApprovalId, Purpose)> {
    let (method, rest) = target.split_once(' ')?;
    let path = rest.split([' ', '?']).next()?;
    let path = path.strip_prefix("/api/v1/approvals/").or_else(|| path.strip_prefix("/app/approvals/"))?;
    let (id, verb) = path.split_once('/')?;
    let purpose = match verb {
        "approve" => Purpose::Approve,
        "extend" => Purpose::Extend,
        _ => return None,
    };
    if method == "POST" { Some((id.parse().ok()?, purpose)) } else { None }
}

/// What a passkey is to sign for a request of this method and path: the statement's text. `None` = the request signs
/// nothing.
///
/// # Errors
/// [`ApprovalError`]: there is nothing that this person could sign now.
pub(crate) async fn to_sign(app: &App, user: UserId, target: &str) -> Result<Option<String>, ApprovalError> {
    let Some((id, purpose)) = signs(target) else { return Ok(None) };
    let standing = find(app, id).await?;
    may_sign(&standing, user, purpose)?;
    Ok(Some(write(&drafted(app, &standing, purpose))?))
}

/// What somebody would sign at the moment of `standing`.
fn drafted(app: &App, standing: &Standing, purpose: Purpose) -> Statement {
    let mut nonce = [0; 16];
    app.entropy.fill(&mut nonce);
    let life = Duration::from_secs(standing.asked.life_seconds);
    Statement {
        purpose,
        expires: standing.now.saturating_add(life).to_rfc3339(),
        nonce: HEXLOWER.encode(&nonce),
        ..standing.statement.clone()
    }
}

fn write(statement: &Statement) -> Result<String, ApprovalError> {
    statement.to_json().map_err(|_never| ApprovalError::Unreadable)
}

/// The digest of a statement's text, in hexadecimal: what a passkey signs, and what the log names.
pub fn digest(statement: &str) -> String {
    HEXLOWER.encode(&challenge(statement))
}

/// Keeps what a passkey of this person signed, for the request that it was asked for.
///
/// # Errors
/// Only the store's.
pub(crate) async fn keep(
    store: &gateway_store::Store,
    user: UserId,
    statement: &str,
    proof: &Proof,
) -> Result<(), StoreError> {
    let Ok(signed) = Statement::from_json(statement) else { return Ok(()) };
    let (Ok(approval), Ok(proof)) = (signed.approval.parse(), serde_json::to_string(proof)) else {
        return Ok(());
    };
    let purpose = name(signed.purpose).to_owned();
    let kept = KeptProof { approval, user, purpose, statement: statement.to_owned(), proof };
    store.approvals().keep_proof(&kept).await
}

/// Whether this person may sign where the approval stands.
pub(super) fn may_sign(standing: &Standing, user: UserId, purpose: Purpose) -> Result<(), ApprovalError> {
    if standing.row.person == Some(user) {
        return Err(ApprovalError::Oneself);
    }
    match purpose {
        Purpose::Approve => {
            if standing.state != State::Pending {
                standing.state.after(gateway_approvals::state::Move::Approve)?;
            }
            if standing.asked.order == Order::Artefact {
                let uploaded = standing.bound.uploaded.as_ref().ok_or(ApprovalError::NotUploaded)?;
                if let Some(fault) = &uploaded.fault {
                    return Err(ApprovalError::BadArchive { fault: fault.clone() });
                }
            }
            // One whose signature ran out before the others came may sign again.
            let signed = standing.counting().iter().any(|(signer, _)| *signer == user);
            if signed { Err(ApprovalError::ApprovedBefore) } else { Ok(()) }
        }
        Purpose::Extend => match standing.state {
            State::Approved | State::Deploying if standing.row.extended => Err(ApprovalError::ExtendedBefore),
            State::Approved | State::Deploying
                if standing.extensions().iter().any(|(signer, _)| *signer == user) =>
            {
                Err(ApprovalError::ExtendedByYou)
            }
            State::Approved | State::Deploying => Ok(()),
            state @ (State::Pending
            | State::Deployed
            | State::Rejected
            | State::Expired
            | State::Withdrawn) => Err(ApprovalError::NotLive { state }),
        },
    }
}

/// The signature that this person gives with this request.
pub(super) async fn signature(
    app: &App,
    operator: &Operator<'_>,
    standing: &Standing,
    user: UserId,
    purpose: Purpose,
    reason: Option<&str>,
) -> Result<KeptSignature, ApprovalError> {
    let taken = app.store.approvals().take_proof(standing.row.id, user, name(purpose)).await?;
    let proven = match taken {
        None => None,
        // What a passkey signed and is no more what it would sign is never taken for a mere code.
        Some(taken) => Some(usable(standing, purpose, taken).ok_or(ApprovalError::Changed)?),
    };
    let (method, statement, proof) = match proven {
        Some((statement, proof)) => (Method::Passkey, statement, Some(proof)),
        None if app.settings.approval_passkeys(&standing.row.app) => {
            return Err(ApprovalError::PasskeyNeeded);
        }
        None => {
            let drafted = drafted(app, standing, purpose);
            (weaker(app.settings.mfa_step_up()), write(&drafted)?, None)
        }
    };
    let expires =
        Statement::from_json(&statement).ok().and_then(|signed| Timestamp::parse_rfc3339(&signed.expires));
    let mut signature = KeptSignature {
        user,
        purpose: name(purpose).to_owned(),
        name: by(operator),
        method: method.name().to_owned(),
        statement,
        proof,
        reason: reason.map(bounded),
        made: standing.now,
        expires: expires.ok_or(ApprovalError::Unreadable)?,
        seal: String::new(),
    };
    signature.seal = seal::of_signature(&app.store, standing.row.id, &signature);
    Ok(signature)
}

/// What was signed, when it is what would be signed now.
fn usable(standing: &Standing, purpose: Purpose, taken: KeptProof) -> Option<(String, String)> {
    let now = standing.now;
    let signed = Statement::from_json(&taken.statement).ok()?;
    let proof: Proof = serde_json::from_str(&taken.proof).ok()?;
    let longest = Duration::from_secs(standing.asked.life_seconds).saturating_add(SLACK);
    let expires = Timestamp::parse_rfc3339(&signed.expires)?;
    let is_fine = signed.purpose == purpose
        && signed.is_about_the_same_as(&standing.statement)
        && expires > now
        && expires <= now.saturating_add(longest)
        && proof.verify(&taken.statement).is_ok();
    is_fine.then_some((taken.statement, taken.proof))
}

#[cfg(test)]
mod tests {
    use gateway_approvals::statement::Purpose;

    use super::signs;

    #[test]
    fn only_two_requests_sign() {
        let id = "01932d3c-0000-7000-8000-000000000001";
        let yes = |path: &str, purpose| {
            let target = path.replace("ID", id);
            assert_eq!(signs(&target), Some((id.parse().unwrap(), purpose)), "{target}");
        };
        yes("POST /api/v1/approvals/ID/approve", Purpose::Approve);
        yes("POST /api/v1/approvals/ID/extend sha256:00", Purpose::Extend);
        yes("POST /app/approvals/ID/approve", Purpose::Approve);
        for no in [
            "GET /api/v1/approvals/ID/approve",
            "POST /api/v1/approvals/ID/reject",
            "POST /api/v1/approvals/x/approve",
            "POST /api/v1/approvals/ID/approve/more",
            "POST /api/v1/elevations/ID/approve",
            "",
        ] {
            assert_eq!(signs(&no.replace("ID", id)), None, "{no}");
        }
    }
}
