//! Where checkpoints of the log are kept besides the log.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{AnchorBucket, AnchorWebhook, Anchors};
use crate::fault::FaultKind;
use crate::keys::{self, Key};
use crate::resolver::Resolver;
use crate::sinks::{web_address, webhook_key};

pub(crate) fn anchors(resolver: &mut Resolver<'_>) -> Option<Anchors> {
    let directory = resolver.optional(&keys::AUDIT_ANCHOR_DIRECTORY, directory);
    let url = resolver.secret(&keys::AUDIT_ANCHOR_WEBHOOK_URL);
    let secret = resolver.secret(&keys::AUDIT_ANCHOR_WEBHOOK_SECRET);
    let (least, most) = (Duration::from_secs(60), Duration::from_secs(24 * 3600));
    let interval = resolver.duration(&keys::AUDIT_ANCHOR_INTERVAL, least, most);
    let (url, secret) = (url?, secret?);
    let webhook = match (url, secret) {
        (None, None) => None,
        (Some(url), Some(secret)) => {
            let url = checked(resolver, &keys::AUDIT_ANCHOR_WEBHOOK_URL, web_address(url.expose()));
            let key = checked(resolver, &keys::AUDIT_ANCHOR_WEBHOOK_SECRET, webhook_key(&secret));
            Some(AnchorWebhook { url: url?, key: key? })
        }
        (Some(_), None) => {
            let other = keys::AUDIT_ANCHOR_WEBHOOK_SECRET.label();
            return checked(resolver, &keys::AUDIT_ANCHOR_WEBHOOK_URL, Err(FaultKind::Incomplete { other }));
        }
        (None, Some(_)) => {
            let other = keys::AUDIT_ANCHOR_WEBHOOK_URL.label();
            return checked(
                resolver,
                &keys::AUDIT_ANCHOR_WEBHOOK_SECRET,
                Err(FaultKind::Incomplete { other }),
            );
        }
    };
    Some(Anchors { directory: directory?, webhook, bucket: bucket(resolver)?, interval: interval? })
}

fn bucket(resolver: &mut Resolver<'_>) -> Option<Option<AnchorBucket>> {
    let bucket = resolver.optional(&keys::AUDIT_ANCHOR_BUCKET, bucket_name);
    let prefix = resolver.optional(&keys::AUDIT_ANCHOR_PREFIX, prefix);
    let region = resolver.optional(&keys::AUDIT_ANCHOR_REGION, region);
    let days = resolver.integer(&keys::AUDIT_ANCHOR_RETENTION_DAYS, 1_u32, 36_500);
    let kms_key = resolver.optional(&keys::AUDIT_ANCHOR_KMS_KEY, kms_key);
    let (bucket, prefix, region, days, kms_key) = (bucket?, prefix?, region?, days?, kms_key?);
    Some(bucket.map(|bucket| AnchorBucket {
        bucket,
        prefix: prefix.unwrap_or_default(),
        region,
        retention: Duration::from_secs(u64::from(days) * 24 * 3600),
        kms_key,
    }))
}

/// Source: Amazon S3 User Guide, "General purpose bucket naming rules".
fn bucket_name(text: &str) -> Result<String, FaultKind> {
    let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
    let is_name = (3..=63).contains(&text.len())
        && text.bytes().all(is_fit)
        && text.starts_with(|first: char| first.is_ascii_alphanumeric())
        && text.ends_with(|last: char| last.is_ascii_alphanumeric())
        && !text.contains("..");
    held(is_name, text, "the name of a bucket: 3 to 63 small letters, digits, `-` and `.`")
}

fn prefix(text: &str) -> Result<String, FaultKind> {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    let has_odd_step = || text.split('/').any(|step| step == "." || step == "..");
    let is_prefix =
        text.len() <= 512 && text.bytes().all(is_fit) && !text.starts_with('/') && !text.contains("//");
    held(is_prefix && !has_odd_step(), text, "letters, digits and `._-/`, without a `/` at its start")
}

fn region(text: &str) -> Result<String, FaultKind> {
    let is_fit = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    held(text.bytes().all(is_fit), text, "a region such as eu-west-1")
}

fn kms_key(text: &str) -> Result<String, FaultKind> {
    let is_fit = |byte: u8| byte.is_ascii_alphanumeric() || b":/_-".contains(&byte);
    held(text.len() <= 2048 && text.bytes().all(is_fit), text, "the ARN, id or alias of a key of KMS")
}

fn held(is_fit: bool, text: &str, expected: &'static str) -> Result<String, FaultKind> {
    if is_fit { Ok(text.to_owned()) } else { Err(FaultKind::Malformed { value: text.to_owned(), expected }) }
}

fn directory(text: &str) -> Result<PathBuf, FaultKind> {
    let path = PathBuf::from(text);
    let expected = "the absolute path of a directory, such as /mnt/anchors";
    if path.is_absolute() { Ok(path) } else { Err(FaultKind::Malformed { value: text.to_owned(), expected }) }
}

fn checked<T>(resolver: &mut Resolver<'_>, key: &Key, result: Result<T, FaultKind>) -> Option<T> {
    let origin = resolver.origin(key);
    result.map_err(|kind| resolver.fault(key, origin, kind)).ok()
}
