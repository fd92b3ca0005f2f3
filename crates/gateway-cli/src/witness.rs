//! This machine as a witness of a gateway's log: what was seen of it is remembered, and what comes next
//! must hold it.
//!
//! # Security
//! A log that became shorter, or that has another root at the size that was seen, was rolled back or
//! rewritten. So was one that another key signs. Each is said loudly and what was seen is kept.

use gateway_audit::{Checkpoint, NoteVerifier};
use gateway_client::Discovery;
use serde::Serialize;

use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::racks::{Checkpoint as Kept, Racks};
use crate::remote::Remote;

/// What a log is now.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Seen {
    /// How many entries there are.
    pub(crate) size: u64,
    /// The root of the tree over them.
    pub(crate) root: String,
}

/// What is wrong with a log.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
enum Fault {
    #[error("the log is signed with another key than before ({then} then, {now} now)")]
    Key { then: String, now: String },
    #[error("the log has {now} entries, and had {then} when it was last seen from here: it was rolled back")]
    Shorter { then: u64, now: u64 },
    #[error("the log has {size} entries as before, but not the same ones: it was rewritten")]
    Rewritten { size: u64 },
}

/// Looks at the gateway's log and remembers it.
///
/// # Errors
/// When the checkpoint is not signed as it should be, or contradicts what was seen before; then what was
/// seen before is kept.
pub(crate) async fn look(context: &Context, remote: &Remote, gateway: &Discovery) -> Result<Seen, Failure> {
    let before = remote.target.rack.as_ref().and_then(|rack| rack.checkpoint.clone());
    let key = gateway.checkpoint_key.clone().unwrap_or_default();
    let note = remote.client().checkpoint().await?;
    let verifier: NoteVerifier = key.parse().problem("the gateway's checkpoint key cannot be understood")?;
    let now = verifier
        .verify(&note)
        .problem("the checkpoint of the gateway's log is not signed as it should be")?;
    if let Some(before) = &before {
        check(before, &verifier.to_string(), &now).map_err(|fault| {
            Failure::new(Exit::Failed, fault).hint(
                "keep racks.json as it is, it is evidence; tell whoever runs the gateway, and compare with an export or a checkpoint kept elsewhere. A database restored from a backup looks the same",
            )
        })?;
    }
    let seen = Seen { size: now.size, root: now.root.to_string() };
    remember(context, remote, &verifier, &seen)?;
    Ok(seen)
}

fn check(before: &Kept, key: &str, now: &Checkpoint) -> Result<(), Fault> {
    if before.key != key {
        return Err(Fault::Key { then: before.key.clone(), now: key.to_owned() });
    }
    if now.size < before.size {
        return Err(Fault::Shorter { then: before.size, now: now.size });
    }
    if now.size == before.size && now.root.to_string() != before.root {
        return Err(Fault::Rewritten { size: now.size });
    }
    Ok(())
}

fn remember(context: &Context, remote: &Remote, verifier: &NoteVerifier, seen: &Seen) -> Result<(), Failure> {
    if remote.target.rack.is_none() {
        return Ok(());
    }
    let kept = Kept { key: verifier.to_string(), size: seen.size, root: seen.root.clone() };
    Racks::of(&context.environment)?.change(|book| {
        // Another command may have seen more in the meantime.
        if let Some(rack) = book.at_mut(&remote.target.address)
            && rack.checkpoint.as_ref().is_none_or(|known| known.size <= kept.size)
        {
            rack.checkpoint = Some(kept);
        }
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use gateway_audit::{empty_root, leaf_hash};

    use super::*;

    fn checkpoint(size: u64, leaf: Option<&[u8]>) -> Checkpoint {
        let root = leaf.map_or_else(empty_root, leaf_hash);
        Checkpoint { origin: "log".to_owned(), size, root, extensions: Vec::new() }
    }

    fn seen(key: &str, of: &Checkpoint) -> Kept {
        Kept { key: key.to_owned(), size: of.size, root: of.root.to_string() }
    }

    #[test]
    fn a_log_only_grows() {
        let (one, other) = (checkpoint(1, Some(b"a")), checkpoint(1, Some(b"b")));
        let before = seen("k", &one);
        assert_eq!(check(&before, "k", &one), Ok(()));
        assert_eq!(check(&before, "k", &checkpoint(2, Some(b"c"))), Ok(()));
        assert_eq!(check(&before, "k", &checkpoint(0, None)), Err(Fault::Shorter { then: 1, now: 0 }));
        assert_eq!(check(&before, "k", &other), Err(Fault::Rewritten { size: 1 }));
        assert!(matches!(check(&before, "l", &one), Err(Fault::Key { .. })));
    }
}
