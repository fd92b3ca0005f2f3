//! Anchors as objects in a bucket of S3 with Object Lock, one object for each, under the names that files have.
//!
//! # Security
//! Object Lock lets anybody who may write add a version or a delete marker on top of an anchor, and lets nobody take the
//! anchor itself away. So every version is read, and each is held to the log: what was put on top is seen, not believed.

use std::path::PathBuf;

use gateway_audit::Head;
use gateway_integrations::aws::{Kept, LockTerms, LockedBucket, ObjectVersion};
use gateway_types::GatewayId;

use super::{Anchor, AnchorError, EXTENSION, MOST_BYTES, file_name, has_root};

/// The anchors in a bucket.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct KeptInBucket {
    /// The newest of them, each version by itself, the smallest first.
    pub anchors: Vec<Anchor>,
    /// The name before the oldest of `anchors`: what the next look may begin behind.
    pub before: Option<String>,
}

/// The anchors in a bucket: of this gateway alone when it is given, only those behind the name `after`, and of only so many of
/// the newest names when that is given. There may be none.
///
/// # Errors
/// [`AnchorError::Removed`] when there is a delete marker among all that were listed, [`AnchorError::TooLarge`], and
/// [`AnchorError::Bucket`].
pub async fn read_bucket(
    bucket: &LockedBucket,
    gateway: Option<GatewayId>,
    after: Option<&str>,
    newest: Option<usize>,
) -> Result<KeptInBucket, AnchorError> {
    let begin = gateway.map(|gateway| format!("{gateway}-")).unwrap_or_default();
    let mut versions = bucket.versions(&begin, after).await?;
    versions.retain(|version| version.name.ends_with(&format!(".{EXTENSION}")));
    if let Some(removed) = versions.iter().find(|version| version.is_removal) {
        return Err(AnchorError::Removed { address: bucket.address(&removed.name) });
    }
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
                anchors.push(one(bucket, version).await?);
            }
        }
    }
    Ok(KeptInBucket { anchors, before: before.or_else(|| after.map(str::to_owned)) })
}

async fn one(bucket: &LockedBucket, version: &ObjectVersion) -> Result<Anchor, AnchorError> {
    let path = PathBuf::from(format!("{}?versionId={}", bucket.address(&version.name), version.id));
    let bytes = bucket.read(version).await?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MOST_BYTES) {
        return Err(AnchorError::TooLarge { path });
    }
    // What is no text is signed by nobody, and the comparison says so.
    Ok(Anchor { path, note: String::from_utf8_lossy(&bytes).into_owned() })
}

/// Keeps an anchor in a bucket, locked. One that is kept for as many entries stays.
///
/// # Errors
/// [`AnchorError::Contradicted`] when the one that is kept has another root, [`AnchorError::Removed`] when it has a delete
/// marker, and [`AnchorError::Bucket`]: the bucket has no Object Lock, the object was not locked, or S3 cannot be asked.
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
            for version in bucket.versions(&name, None).await? {
                if version.is_removal {
                    return Err(AnchorError::Removed { address: bucket.address(&name) });
                }
                let kept = one(bucket, &version).await?;
                if !has_root(&kept.note, head) {
                    return Err(AnchorError::Contradicted { path: kept.path });
                }
            }
            Ok(())
        }
    }
}
