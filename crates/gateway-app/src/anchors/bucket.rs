//! Anchors as objects in a bucket of S3 with Object Lock, one object for each, under the names that files have.
//!
//! # Security
//! Object Lock lets anybody who may write add a version or a delete marker on top of an anchor, and lets nobody take the
//! anchor itself away. So every version is read, and each is held to the log: what was put on top is seen, not believed.

use std::path::PathBuf;

use gateway_audit::Head;
use gateway_integrations::aws::{AwsFault, Kept, LockTerms, LockedBucket, ObjectVersion};
use gateway_integrations::http::Unreachable;
use gateway_types::GatewayId;

use super::{Anchor, AnchorError, EXTENSION, MOST_BYTES, file_name, has_root};

/// The anchors in a bucket.
#[derive(Debug, Default)]
pub struct KeptInBucket {
    /// The newest of them, each version by itself, the smallest first.
    pub anchors: Vec<Anchor>,
    /// The name before the oldest of `anchors`: what the next look may begin behind.
    pub before: Option<String>,
    /// What else was found, after `anchors` were compared: a delete marker, or an object that cannot be read. Whoever can
    /// write to the bucket can make either, and must not keep the others from being looked at.
    pub fault: Option<AnchorError>,
}

/// The anchors in a bucket: of this gateway alone when it is given, only those behind the name `after`, and of only so many of
/// the newest names when that is given. There may be none.
///
/// # Errors
/// [`AnchorError::Bucket`] when nothing could be listed; what is wrong with single objects is in [`KeptInBucket::fault`].
pub async fn read_bucket(
    bucket: &LockedBucket,
    gateway: Option<GatewayId>,
    after: Option<&str>,
    newest: Option<usize>,
) -> Result<KeptInBucket, AnchorError> {
    let begin = gateway.map(|gateway| format!("{gateway}-")).unwrap_or_default();
    let mut versions = bucket.versions(&begin, after).await?;
    // Other names are nobody's anchors.
    versions.retain(|version| is_anchor(&version.name));
    let removed = versions.iter().find(|version| version.is_removal);
    let mut fault = removed.map(|removed| AnchorError::Removed { address: bucket.address(&removed.name) });
    versions.retain(|version| !version.is_removal);
    // The size in the name has all its digits, so names sort as sizes do. The sort keeps the order among versions of one name.
    versions.sort_by(|one, other| one.name.cmp(&other.name));
    let named: Vec<&[ObjectVersion]> = versions.chunk_by(|one, other| one.name == other.name).collect();
    let skipped = newest.map_or(0, |newest| named.len().saturating_sub(newest));
    let last_skipped = skipped.checked_sub(1).and_then(|index| named.get(index)?.first());
    let before = last_skipped.map(|version| version.name.clone());
    let mut anchors = Vec::new();
    for (index, versions) in named.into_iter().enumerate() {
        // One that was written over is looked at however old it is.
        if index >= skipped || versions.len() > 1 {
            for version in versions {
                match one(bucket, version).await {
                    Ok(anchor) => anchors.push(anchor),
                    // S3 is away, or lets nobody in: no object of its own is at fault.
                    Err(AnchorError::Bucket(away)) => return Err(away.into()),
                    Err(unreadable) => {
                        fault.get_or_insert(unreadable);
                    }
                }
            }
        }
    }
    Ok(KeptInBucket { anchors, before: before.or_else(|| after.map(str::to_owned)), fault })
}

/// Whether a name is one that [`file_name`] makes.
fn is_anchor(name: &str) -> bool {
    let size = name.strip_suffix(&format!(".{EXTENSION}")).and_then(|name| name.rsplit_once('-'));
    size.is_some_and(|(gateway, size)| {
        gateway.parse::<GatewayId>().is_ok()
            && size.len() == 20
            && size.bytes().all(|byte| byte.is_ascii_digit())
    })
}

async fn one(bucket: &LockedBucket, version: &ObjectVersion) -> Result<Anchor, AnchorError> {
    let path = PathBuf::from(format!("{}?versionId={}", bucket.address(&version.name), version.id));
    let bytes = match bucket.read(version).await {
        Ok(bytes) => bytes,
        Err(source @ AwsFault::Refused { status: 400..=499, .. }) => {
            return Err(AnchorError::Unreadable { path, source });
        }
        Err(source @ AwsFault::Unreachable { source: Unreachable::TooLarge { .. }, .. }) => {
            return Err(AnchorError::Unreadable { path, source });
        }
        Err(away) => return Err(away.into()),
    };
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MOST_BYTES) {
        let source = AwsFault::Form { whom: "S3", what: "it is larger than any anchor" };
        return Err(AnchorError::Unreadable { path, source });
    }
    // What is no text is signed by nobody, and the comparison says so.
    Ok(Anchor { path, note: String::from_utf8_lossy(&bytes).into_owned() })
}

/// Keeps an anchor in a bucket, locked. One that is kept for as many entries stays.
///
/// # Errors
/// [`AnchorError::Contradicted`] when the one that is kept has another root, [`AnchorError::Removed`] when it has a delete
/// marker, [`AnchorError::BeingWritten`], and [`AnchorError::Bucket`]: the bucket has no Object Lock, the object was not locked, or S3 cannot be asked.
pub async fn keep_in_bucket(
    bucket: &LockedBucket,
    terms: &LockTerms,
    gateway: GatewayId,
    head: &Head,
    note: &str,
) -> Result<(), AnchorError> {
    bucket.demand_lock().await?;
    let name = file_name(gateway, head.size);
    match bucket.keep(&name, note.as_bytes().to_vec(), terms).await? {
        Kept::Written => Ok(()),
        Kept::Already => {
            let versions = bucket.versions(&name, None).await?;
            if versions.is_empty() {
                return Err(AnchorError::BeingWritten { address: bucket.address(&name) });
            }
            for version in versions {
                if version.is_removal {
                    return Err(AnchorError::Removed { address: bucket.address(&name) });
                }
                let kept = one(bucket, &version).await?;
                if !has_root(&kept.note, head) {
                    return Err(AnchorError::Contradicted { path: kept.path });
                }
                // Whoever put it there first may have put it there to be removed.
                bucket.demand_locked(&name, Some(&version.id)).await?;
            }
            Ok(())
        }
    }
}
