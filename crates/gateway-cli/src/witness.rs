//! This machine as a witness of a gateway's log: what was seen of it is remembered, and what comes next must
//! hold it. Looked at before a command's first request; the receipts of its replies are kept for the next.
//!
//! # Security
//! A log that became shorter, that cannot prove that it holds what was seen, that lacks an entry it gave a
//! receipt for, or that a stranger's key signs, was rolled back, forked or rewritten. Each stops the command,
//! and what tells of it is kept. A gateway that cannot be asked about its log (its database is away) is no
//! such thing: that is said, and nothing is forgotten.

mod fault;
#[cfg(test)]
mod tests;

use gateway_audit::{
    ChainError, Checkpoint, Hash, Head, KeyChain, LogKey, NoteVerifier, Receipt, verify_consistency,
    verify_inclusion,
};
use gateway_client::ClientError;
use gateway_types::ProblemKind;
use gateway_types::wire::log::{LogKeys, Proof};
use serde::Serialize;

use crate::failure::{Exit, Failure};
use crate::output::remark;
use crate::racks::{Checkpoint as Kept, Promise, Rack, Racks};
use crate::remote::Remote;
use fault::Fault;

/// The most receipts that are kept for the next look.
const MOST_PROMISES: usize = 16;

/// What a log is now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Seen {
    /// How many entries there are.
    pub(crate) size: u64,
    /// The root of the tree over them.
    pub(crate) root: String,
}

/// Why a look ended without an answer.
enum Ended {
    /// The gateway could not be asked.
    Unasked(Box<ClientError>),
    /// What is kept here cannot be used.
    Kept(Failure),
    /// The log does not hold.
    Broken(Box<Fault>),
}

impl From<ClientError> for Ended {
    fn from(error: ClientError) -> Self {
        Ended::Unasked(Box::new(error))
    }
}

impl From<Fault> for Ended {
    fn from(fault: Fault) -> Self {
        Ended::Broken(Box::new(fault))
    }
}

/// What tells of a log that does not hold: kept in a file.
#[derive(Serialize)]
struct Evidence<'a> {
    fault: String,
    gateway: String,
    gateway_id: &'a str,
    before: Option<&'a Kept>,
    promises: &'a [Promise],
    /// The checkpoint that the gateway gave now, as it is signed.
    note: Option<String>,
    keys: Option<LogKeys>,
}

/// Looks at the log before a command asks anything, where something of it is remembered.
///
/// # Errors
/// When the log does not hold what was seen of it, or nobody is signed in.
pub(crate) async fn before(remote: &Remote) -> Result<(), Failure> {
    if remote.target.rack.is_none() {
        return Ok(());
    }
    let mut shown = Shown::default();
    match look_closely(remote, &mut shown).await {
        Ok(_seen) => Ok(()),
        Err(Ended::Kept(failure)) => Err(failure),
        Err(Ended::Broken(fault)) => Err(alarm(remote, &fault, shown)),
        Err(Ended::Unasked(error)) => match *error {
            error @ (ClientError::Unreachable { .. } | ClientError::NotSignedIn { .. }) => Err(error.into()),
            error => {
                let sentence = Failure::from(error).sentence();
                remark(&format!("warning: the gateway's log could not be checked: {sentence}"));
                Ok(())
            }
        },
    }
}

/// Keeps the receipts of the replies for the next look.
///
/// # Errors
/// When they cannot be kept.
pub(crate) fn after(remote: &Remote) -> Result<(), Failure> {
    let receipts = remote.client().take_receipts();
    if remote.target.rack.is_none() || receipts.is_empty() {
        return Ok(());
    }
    let promises: Vec<Promise> = receipts.iter().filter_map(|header| promise(header)).collect();
    if promises.len() < receipts.len() {
        remark("warning: the gateway gave a receipt that cannot be understood");
    }
    Racks::of(remote.environment())?.change(|book| {
        if let Some(rack) = book.at_mut(&remote.target.address) {
            rack.promises.extend(promises);
            let too_many = rack.promises.len().saturating_sub(MOST_PROMISES);
            rack.promises.drain(..too_many);
        }
        Ok(())
    })?;
    Ok(())
}

fn promise(header: &str) -> Option<Promise> {
    let Receipt { index, leaf_hash, checkpoint } = Receipt::parse(header).ok()?;
    Some(Promise { index, leaf: leaf_hash.to_string(), note: checkpoint })
}

/// Looks at the gateway's log and remembers it.
///
/// # Errors
/// When it cannot be asked, or contradicts what was seen before; then what was seen before is kept.
pub(crate) async fn look(remote: &Remote) -> Result<Seen, Failure> {
    let mut shown = Shown::default();
    match look_closely(remote, &mut shown).await {
        Ok(seen) => Ok(seen),
        Err(Ended::Unasked(error)) => Err((*error).into()),
        Err(Ended::Kept(failure)) => Err(failure),
        Err(Ended::Broken(fault)) => Err(alarm(remote, &fault, shown)),
    }
}

/// Forgets what was seen of a log: whoever says so takes it for the right one as it is now.
///
/// # Errors
/// When what is kept here cannot be changed.
pub(crate) fn forget(remote: &Remote) -> Result<(), Failure> {
    Racks::of(remote.environment())?.change(|book| {
        if let Some(rack) = book.at_mut(&remote.target.address) {
            rack.checkpoint = None;
            rack.promises.clear();
        }
        Ok(())
    })?;
    Ok(())
}

/// The keys of the gateway's log, once they go back to the one that is trusted here. Without one the
/// gateway's word is taken, as at a first sign-in.
///
/// # Errors
/// When the gateway cannot be asked, or its keys do not go back to the trusted one.
pub(crate) async fn trusted_keys(remote: &Remote) -> Result<KeyChain, Failure> {
    let mut shown = Shown::default();
    let outcome = async {
        let chain = chain(remote, &mut shown).await?;
        if let Some(known) = remote.target.rack.as_ref().and_then(|rack| rack.checkpoint.as_ref()) {
            chain.goes_back_to(&known.key).map_err(|source| Fault::Key { source })?;
        }
        Ok(chain)
    };
    match outcome.await {
        Ok(chain) => Ok(chain),
        Err(Ended::Unasked(error)) => Err((*error).into()),
        Err(Ended::Kept(failure)) => Err(failure),
        Err(Ended::Broken(fault)) => Err(alarm(remote, &fault, shown)),
    }
}

/// What the gateway showed, for the evidence.
#[derive(Default)]
struct Shown {
    note: Option<String>,
    keys: Option<LogKeys>,
}

async fn look_closely(remote: &Remote, shown: &mut Shown) -> Result<Seen, Ended> {
    // Read anew: another command may have seen more since this one began.
    let kept = |error: crate::racks::RacksError| Ended::Kept(error.into());
    let rack = match &remote.target.rack {
        Some(rack) => Racks::of(remote.environment())
            .and_then(|racks| racks.book())
            .map_err(kept)?
            .at(&rack.url)
            .cloned(),
        None => None,
    };
    let before = rack.as_ref().and_then(|rack| rack.checkpoint.as_ref());
    let note = remote.client().checkpoint().await?;
    shown.note = Some(note.clone());
    let (key, now) = believed(remote, before, &note, shown).await?;
    if let Some(rack) = &rack
        && key.name() != format!("rack-gateway/{}", rack.gateway_id)
    {
        return Err(Fault::OtherLog { then: rack.gateway_id.clone(), now: key.name().to_owned() }.into());
    }
    if let Some(before) = before {
        let root = before.root.parse().map_err(|_garbled| Fault::Garbled)?;
        consistent(remote, &Head { size: before.size, root }, &now.head()).await?;
    }
    for promise in rack.iter().flat_map(|rack| &rack.promises) {
        held(remote, promise, &key, &now, shown).await?;
    }
    let seen = Seen { size: now.size, root: now.root.to_string() };
    if let Some(rack) = &rack {
        remember(remote, rack, &key, &seen).map_err(kept)?;
    }
    Ok(seen)
}

/// The checkpoint in the note, once a key signed it that is trusted here; and the key to trust from now on.
async fn believed(
    remote: &Remote,
    before: Option<&Kept>,
    note: &str,
    shown: &mut Shown,
) -> Result<(NoteVerifier, Checkpoint), Ended> {
    // As long as the key is the same nothing else needs to be asked.
    if let Some(known) = before.and_then(|before| before.key.parse::<NoteVerifier>().ok())
        && let Ok(checkpoint) = known.verify(note)
    {
        return Ok((known, checkpoint));
    }
    let chain = chain(remote, shown).await?;
    if let Some(before) = before {
        chain.goes_back_to(&before.key).map_err(|source| Fault::Key { source })?;
    }
    let checkpoint = chain.verify(note).map_err(|source| Fault::Key { source })?;
    let newest = chain.newest().ok_or(Fault::Garbled)?;
    Ok((newest.clone(), checkpoint))
}

async fn chain(remote: &Remote, shown: &mut Shown) -> Result<KeyChain, Ended> {
    let listed = remote.client().log_keys().await?;
    shown.keys = Some(listed.clone());
    chain_of(listed).map_err(|fault| {
        Ended::from(match fault {
            KeysFault::Garbled => Fault::Garbled,
            KeysFault::Chain(source) => Fault::Key { source },
        })
    })
}

/// Why listed keys are no chain.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeysFault {
    /// One of them is no key.
    #[error("a key of the log is not of its form: NAME+ID+BASE64")]
    Garbled,
    /// One did not hand over to the next.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// The chain of the keys that a gateway lists.
///
/// # Errors
/// [`KeysFault`].
pub(crate) fn chain_of(listed: LogKeys) -> Result<KeyChain, KeysFault> {
    let mut keys = Vec::with_capacity(listed.keys.len());
    for key in listed.keys {
        let verifier = key.key.parse().map_err(|_garbled| KeysFault::Garbled)?;
        keys.push(LogKey { verifier, from: key.from, handover: key.handover });
    }
    Ok(KeyChain::new(keys)?)
}

/// Shows that the log of before is the beginning of the log of now.
async fn consistent(remote: &Remote, then: &Head, now: &Head) -> Result<(), Ended> {
    if now.size < then.size {
        return Err(Fault::Shorter { then: then.size, now: now.size }.into());
    }
    if now.size == then.size {
        return if now.root == then.root { Ok(()) } else { Err(Fault::Rewritten { size: now.size }.into()) };
    }
    if then.size == 0 {
        return Ok(());
    }
    let proof = given(remote.client().consistency_proof(then.size, now.size).await)?;
    let path = hashes(&proof)?;
    verify_consistency(then, now, &path)
        .map_err(|source| Fault::Inconsistent { then: then.size, now: now.size, source }.into())
}

/// Shows that what a receipt promised is in the log of now.
async fn held(
    remote: &Remote,
    promise: &Promise,
    key: &NoteVerifier,
    now: &Checkpoint,
    shown: &mut Shown,
) -> Result<(), Ended> {
    let index = promise.index;
    let leaf: Hash = promise.leaf.parse().map_err(|_garbled| Fault::Garbled)?;
    if let Some(note) = &promise.note {
        let promised = match key.verify(note) {
            Ok(promised) => promised,
            // Of a key that was in force then, or of a stranger.
            Err(_another) => {
                chain(remote, shown).await?.verify(note).map_err(|source| Fault::Key { source })?
            }
        };
        consistent(remote, &promised.head(), &now.head()).await?;
    }
    if index >= now.size {
        return Err(Fault::Shorter { then: index.saturating_add(1), now: now.size }.into());
    }
    let path = hashes(&given(remote.client().inclusion_proof(index, now.size).await)?)?;
    verify_inclusion(&leaf, index, &now.head(), &path)
        .map_err(|source| Fault::Missing { index, source }.into())
}

/// A proof; that there is none is a fault of the log, that nobody answers is not.
fn given(answer: Result<Proof, ClientError>) -> Result<Proof, Ended> {
    answer.map_err(|error| {
        if error.kind() == Some(ProblemKind::NotFound) { Fault::NoProof.into() } else { error.into() }
    })
}

fn hashes(proof: &Proof) -> Result<Vec<Hash>, Fault> {
    proof.path.iter().map(|text| Hash::from_hex(text).ok_or(Fault::Garbled)).collect()
}

fn remember(
    remote: &Remote,
    checked: &Rack,
    key: &NoteVerifier,
    seen: &Seen,
) -> Result<(), crate::racks::RacksError> {
    let kept = Kept { key: key.to_string(), size: seen.size, root: seen.root.clone() };
    Racks::of(remote.environment())?.change(|book| {
        if let Some(rack) = book.at_mut(&checked.url) {
            // Another command may have seen more in the meantime.
            if rack.checkpoint.as_ref().is_none_or(|known| known.size <= kept.size) {
                rack.checkpoint = Some(kept);
            }
            rack.promises.retain(|promise| !checked.promises.contains(promise));
        }
        Ok(())
    })
}

/// Keeps what tells of the fault, and says it loudly.
fn alarm(remote: &Remote, fault: &Fault, shown: Shown) -> Failure {
    let rack = remote.target.rack.as_ref();
    let kept = evidence(remote, fault, shown)
        .unwrap_or_else(|failure| format!("what tells of it could not be kept ({})", failure.sentence()));
    let name = rack.map_or_else(|| remote.target.address.to_string(), |rack| rack.name.clone());
    Failure::new(Exit::Failed, format!("ALARM: the audit log of {name} does not hold: {fault}")).hint(format!(
        "nothing was asked of the gateway; {kept}; tell whoever runs the gateway, and compare with an export, an anchor or another machine's checkpoint. A database restored from a backup looks the same: when that is the reason, `rack-gateway rack --forget-log` takes the log as it is now"
    ))
}

fn evidence(remote: &Remote, fault: &Fault, shown: Shown) -> Result<String, Failure> {
    let Some(rack) = &remote.target.rack else { return Ok("nothing is kept of it".to_owned()) };
    let racks = Racks::of(remote.environment())?;
    let now = racks.book()?.at(&rack.url).cloned().unwrap_or_else(|| rack.clone());
    let mut content = serde_json::to_vec_pretty(&Evidence {
        fault: fault.to_string(),
        gateway: rack.url.to_string(),
        gateway_id: &rack.gateway_id,
        before: now.checkpoint.as_ref(),
        promises: &now.promises,
        note: shown.note,
        keys: shown.keys,
    })?;
    content.push(b'\n');
    // One file for each content: what was kept first is never written over.
    let digest = gateway_audit::digest(&content).to_hex();
    let short = digest.get(..12).unwrap_or_default();
    let file = racks.keep_evidence(&format!("alarm-{short}.json"), &content)?;
    Ok(format!("what tells of it is in {}", file.display()))
}
