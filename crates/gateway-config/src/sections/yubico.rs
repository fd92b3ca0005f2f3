//! The validation server for the one-time passwords that YubiKeys type.

use data_encoding::BASE64;
use gateway_types::Secret;
use url::Url;

use crate::config::Yubico;
use crate::fault::FaultKind;
use crate::keys::{self, Key};
use crate::resolver::Resolver;

pub(crate) fn yubico(resolver: &mut Resolver<'_>) -> Option<Option<Yubico>> {
    let client_id = resolver.optional(&keys::YUBICO_CLIENT_ID, |text| {
        text.parse::<u64>().map_err(|_bad| FaultKind::Malformed {
            value: text.to_owned(),
            expected: "the number that Yubico gave this gateway, such as 12345",
        })
    });
    let secret = resolver.secret(&keys::YUBICO_SECRET_KEY);
    let url = resolver.one(&keys::YUBICO_VALIDATION_URL, address);
    match (client_id?, secret?) {
        (Some(client_id), Some(secret)) => {
            let key = BASE64.decode(secret.expose().as_bytes()).ok().filter(|key| !key.is_empty());
            let Some(key) = key else {
                let origin = resolver.origin(&keys::YUBICO_SECRET_KEY);
                let fault = FaultKind::MalformedSecret { expected: "base64, as Yubico gave it" };
                resolver.fault(&keys::YUBICO_SECRET_KEY, origin, fault);
                return None;
            };
            Some(Some(Yubico { client_id, key: Secret::new(key), url: url? }))
        }
        (None, None) => url.map(|_unused| None),
        (Some(_), None) => incomplete(resolver, &keys::YUBICO_CLIENT_ID, &keys::YUBICO_SECRET_KEY),
        (None, Some(_)) => incomplete(resolver, &keys::YUBICO_SECRET_KEY, &keys::YUBICO_CLIENT_ID),
    }
}

fn incomplete<T>(resolver: &mut Resolver<'_>, given: &Key, lacking: &Key) -> Option<T> {
    let origin = resolver.origin(given);
    resolver.fault(given, origin, FaultKind::Incomplete { other: lacking.label() });
    None
}

/// Passwords travel in the address, so plain HTTP is for this machine alone.
fn address(text: &str) -> Result<String, FaultKind> {
    let malformed = || FaultKind::Malformed {
        value: text.to_owned(),
        expected: "an https address without a query, such as https://api.yubico.com/wsapi/2.0/verify; http only on this machine",
    };
    let url = Url::parse(text).map_err(|_bad| malformed())?;
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let reachable = url.scheme() == "https" || (url.scheme() == "http" && local);
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if reachable && plain && url.has_host() { Ok(text.to_owned()) } else { Err(malformed()) }
}
