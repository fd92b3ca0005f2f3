//! What an approval is worth at this moment: its row with its seal checked, its signatures with theirs, and whether
//! those who signed may still approve.

use std::collections::BTreeMap;

use gateway_approvals::chain::{Approved, Bound, Order};
use gateway_approvals::evidence::Method;
use gateway_approvals::proof::Proof;
use gateway_approvals::state::State;
use gateway_approvals::statement::{Purpose, Statement, VERSION};
use gateway_store::{Approval, KeptSignature};
use gateway_types::{Caller, Channel, Resource, Timestamp, UserId};

use super::{ApprovalError, Asked, seal};
use crate::{App, explain};

/// A signature, checked.
#[derive(Clone, Debug)]
pub struct Checked {
    /// As it is kept.
    pub kept: KeptSignature,
    /// What for; `None` when that cannot be read.
    pub purpose: Option<Purpose>,
    /// The passkey's part.
    pub proof: Option<Proof>,
    /// Why it does not count.
    pub fault: Option<String>,
}

/// An approval at one moment.
#[derive(Clone, Debug)]
pub struct Standing {
    /// The moment.
    pub now: Timestamp,
    /// The row.
    pub row: Approval,
    /// What is asked for.
    pub asked: Asked,
    /// What was done with it.
    pub bound: Bound,
    /// Who signed.
    pub signatures: Vec<Checked>,
    /// Where it stands, by the clock and the signatures that count.
    pub state: State,
    /// Until when it can be used.
    pub expires: Option<Timestamp>,
    /// Why it does not count though it is written as approved.
    pub fault: Option<String>,
    /// What is signed, with an empty expiry and nonce.
    pub statement: Statement,
    /// Its digest.
    digest: String,
}

impl Standing {
    /// Checks a row.
    ///
    /// # Errors
    /// [`ApprovalError::Forged`], [`ApprovalError::Unreadable`], or the store's.
    pub async fn of(app: &App, row: Approval) -> Result<Self, ApprovalError> {
        if !seal::is_right(&app.store, &row) {
            return Err(ApprovalError::Forged { fault: "its seal is not right".to_owned() });
        }
        let asked: Asked = serde_json::from_str(&row.request).map_err(|_bad| ApprovalError::Unreadable)?;
        let bound: Bound = serde_json::from_str(&row.bound).map_err(|_bad| ApprovalError::Unreadable)?;
        let statement = statement(app, &row, &asked, &bound);
        let text = statement.to_json().map_err(|_never| ApprovalError::Unreadable)?;
        let mut signatures = Vec::new();
        for kept in app.store.approvals().signatures(row.id).await? {
            let (purpose, proof, fault) = check(app, &row, &statement, &kept).await?;
            signatures.push(Checked { kept, purpose, proof, fault });
        }
        let mut standing = Self {
            now: app.clock.now(),
            state: row.state,
            expires: row.expires,
            fault: None,
            row,
            asked,
            bound,
            signatures,
            statement,
            digest: super::signing::digest(&text),
        };
        standing.settle();
        Ok(standing)
    }

    /// Who counts, each with the end of their signature.
    pub(super) fn counting(&self) -> Vec<(UserId, Timestamp)> {
        let mut ends: BTreeMap<UserId, Timestamp> = BTreeMap::new();
        for signature in &self.signatures {
            let counts = signature.fault.is_none() && signature.purpose == Some(Purpose::Approve);
            if counts && (self.row.state != State::Pending || signature.kept.expires > self.now) {
                ends.insert(signature.kept.user, signature.kept.expires);
            }
        }
        ends.into_iter().collect()
    }

    /// The names of those whose approvals count, each once.
    pub(super) fn approvers(&self) -> Vec<&str> {
        let counting = self.counting();
        let is_counting = |user: UserId| counting.iter().any(|(one, _)| *one == user);
        let names: BTreeMap<UserId, &str> = self
            .signatures
            .iter()
            .filter(|one| is_counting(one.kept.user))
            .map(|one| (one.kept.user, one.kept.name.as_str()))
            .collect();
        names.into_values().collect()
    }

    /// Who made it last longer, each with the end that they signed.
    pub(super) fn extensions(&self) -> Vec<(UserId, Timestamp)> {
        let counts = |one: &&Checked| one.fault.is_none() && one.purpose == Some(Purpose::Extend);
        let ends: BTreeMap<UserId, Timestamp> =
            self.signatures.iter().filter(counts).map(|one| (one.kept.user, one.kept.expires)).collect();
        ends.into_iter().collect()
    }

    /// Where it stands by the clock and by the signatures that count, whatever the row says.
    fn settle(&mut self) {
        let now = self.now;
        match self.row.state {
            State::Pending => {
                if self.row.answer_by <= now {
                    self.state = State::Expired;
                }
            }
            State::Approved | State::Deploying | State::Deployed => {
                let ends: Vec<Timestamp> = self.counting().into_iter().map(|(_, ends)| ends).collect();
                let quorum = usize::try_from(self.asked.quorum.max(1)).unwrap_or(usize::MAX);
                let signed = quorums_end(ends.iter().copied(), quorum);
                let extended = quorums_end(self.extensions().into_iter().map(|(_, ends)| ends), quorum);
                self.expires = signed.map(|signed| extended.map_or(signed, |later| later.max(signed)));
                if signed.is_none() {
                    self.fault = Some(self.why_too_few(ends.len()));
                }
                let is_live = self.expires.is_some_and(|expires| expires > now);
                if self.row.state != State::Deployed && !is_live {
                    self.state = State::Expired;
                }
            }
            State::Rejected | State::Expired | State::Withdrawn => {}
        }
    }

    fn why_too_few(&self, counting: usize) -> String {
        let faults: Vec<String> = self
            .signatures
            .iter()
            .filter_map(|one| one.fault.as_ref().map(|fault| format!("{}: {fault}", one.kept.name)))
            .collect();
        let counted = format!("{counting} of {} signatures count", self.asked.quorum.max(1));
        if faults.is_empty() { counted } else { format!("{counted} ({})", faults.join("; ")) }
    }

    /// What is approved as it stands: the same for two people who approve the same.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// As a step is compared with it.
    pub fn approved(&self) -> Approved<'_> {
        Approved {
            state: self.state,
            order: self.asked.order,
            statement: &self.statement,
            bound: &self.bound,
        }
    }
}

/// Until when as many as it takes have signed; `None` while they are too few. One person's longer word never stands for
/// the others'.
pub(super) fn quorums_end(ends: impl Iterator<Item = Timestamp>, quorum: usize) -> Option<Timestamp> {
    let mut ends: Vec<Timestamp> = ends.collect();
    ends.sort_unstable_by(|one, other| other.cmp(one));
    ends.get(quorum.saturating_sub(1)).copied()
}

/// What is signed of this row, with an empty expiry and nonce.
fn statement(app: &App, row: &Approval, asked: &Asked, bound: &Bound) -> Statement {
    let uploaded = match asked.order {
        Order::Artefact => bound.uploaded.as_ref(),
        // What was uploaded after the signature was not signed.
        Order::Commit => None,
    };
    Statement {
        version: VERSION,
        gateway: app.store.gateway_id().to_string(),
        approval: row.id.to_string(),
        purpose: Purpose::Approve,
        app: row.app.clone(),
        commit: row.commit.clone(),
        branch: asked.branch.clone(),
        manifest: asked.manifest.clone(),
        requester: row.requester.clone(),
        artefact: uploaded.map(gateway_approvals::chain::Uploaded::artefact),
        images: uploaded.map(|uploaded| uploaded.images(&asked.manifest)).unwrap_or_default(),
        environment: asked.environment.clone(),
        commands: asked.commands.clone(),
        quorum: asked.quorum,
        expires: String::new(),
        nonce: String::new(),
    }
}

type Finding = (Option<Purpose>, Option<Proof>, Option<String>);

/// Why a signature does not count, if it does not.
async fn check(
    app: &App,
    row: &Approval,
    expected: &Statement,
    kept: &KeptSignature,
) -> Result<Finding, ApprovalError> {
    let proof = match kept.proof.as_deref().map(serde_json::from_str::<Proof>) {
        Some(Ok(proof)) => Some(proof),
        None => None,
        Some(Err(_)) => return Ok((None, None, Some("its proof cannot be read".to_owned()))),
    };
    let signed = match Statement::from_json(&kept.statement) {
        Ok(signed) => signed,
        Err(fault) => return Ok((None, proof, Some(fault.to_string()))),
    };
    let purpose = Some(signed.purpose);
    if !seal::is_right_signature(&app.store, row.id, kept) {
        return Ok((purpose, proof, Some("it was not written by this gateway".to_owned())));
    }
    let fault = match fault_of(expected, kept, &signed, proof.as_ref()) {
        Some(fault) => Some(fault),
        None if row.person == Some(kept.user) => Some("nobody approves their own".to_owned()),
        None if !may_approve(app, &row.app, kept.user).await? => Some("may not approve any more".to_owned()),
        None => None,
    };
    Ok((purpose, proof, fault))
}

fn fault_of(
    expected: &Statement,
    kept: &KeptSignature,
    signed: &Statement,
    proof: Option<&Proof>,
) -> Option<String> {
    if !signed.is_about_the_same_as(expected) {
        return Some("something else was signed".to_owned());
    }
    if signed.expires != kept.expires.to_rfc3339() {
        return Some("another expiry was signed".to_owned());
    }
    match (Method::from_name(&kept.method), proof) {
        (Some(Method::Passkey), Some(proof)) => {
            proof.verify(&kept.statement).err().map(|fault| fault.to_string())
        }
        (Some(Method::Code | Method::None), None) => None,
        (Some(Method::Passkey), None) | (Some(Method::Code | Method::None), Some(_)) | (None, _) => {
            Some("how it was made is not known".to_owned())
        }
    }
}

/// Whether this person could approve a deploy of the app now, by policies and roles, from whatever network.
async fn may_approve(app: &App, of_app: &str, user: UserId) -> Result<bool, ApprovalError> {
    let user = app.store.users().by_id(user).await?.filter(|user| !user.locked);
    let Some(user) = user else { return Ok(false) };
    let caller = Caller { channel: Channel::Api, ..explain::person(&user) };
    Ok(app.could_from_anywhere(&caller, "gateway:approval:approve", &Resource::app(of_app)))
}
