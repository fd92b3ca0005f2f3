//! Where checkpoints of the log are kept besides the log.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::{AnchorWebhook, Anchors};
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
    Some(Anchors { directory: directory?, webhook, interval: interval? })
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
