//! Where Vault is and how the gateway signs in there.

use std::net::IpAddr;
use std::path::PathBuf;

use gateway_types::Secret;
use url::Url;

use crate::config::{Vault, VaultToken};
use crate::fault::FaultKind;
use crate::keys::{self, Key};
use crate::resolver::Resolver;

/// `Some(None)` when there is no Vault.
pub(crate) fn vault(resolver: &mut Resolver<'_>) -> Option<Option<Vault>> {
    let address = resolver.optional(&keys::VAULT_ADDR, address);
    let token = resolver.secret(&keys::VAULT_TOKEN);
    let file = resolver.optional(&keys::VAULT_TOKEN_FILE, path);
    let namespace = resolver.optional(&keys::VAULT_NAMESPACE, |text| Ok(text.to_owned()));
    let (address, token, file, namespace) = (address?, token?, file?, namespace?);
    // Other programs of the machine read these variables too, so they mean nothing without an address.
    let Some(address) = address else { return Some(None) };
    let token = match (token, file) {
        (Some(token), None) => VaultToken::Value(visible(resolver, token)?),
        (None, Some(path)) => VaultToken::File(path),
        (None, None) => {
            let other = keys::VAULT_TOKEN.label();
            return fault(resolver, &keys::VAULT_ADDR, FaultKind::Incomplete { other });
        }
        (Some(_), Some(_)) => {
            let other = keys::VAULT_TOKEN.label();
            return fault(resolver, &keys::VAULT_TOKEN_FILE, FaultKind::Conflict { other });
        }
    };
    Some(Some(Vault { address, token, namespace }))
}

fn visible(resolver: &mut Resolver<'_>, token: Secret<String>) -> Option<Secret<String>> {
    if token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(token);
    }
    let expected = "a token of visible ASCII characters";
    fault(resolver, &keys::VAULT_TOKEN, FaultKind::MalformedSecret { expected })
}

fn address(text: &str) -> Result<String, FaultKind> {
    let expected =
        "an https:// URL without path, such as https://vault.example.com:8200 (http on loopback only)";
    let malformed = || FaultKind::Malformed { value: text.to_owned(), expected };
    let url = Url::parse(text).map_err(|_| malformed())?;
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let is_nobodys = url.username().is_empty() && url.password().is_none();
    let is_private = url.scheme() == "https" || (url.scheme() == "http" && is_loopback);
    if is_bare && is_nobodys && is_private {
        Ok(url.as_str().trim_end_matches('/').to_owned())
    } else {
        Err(malformed())
    }
}

fn path(text: &str) -> Result<PathBuf, FaultKind> {
    let path = PathBuf::from(text);
    let expected = "an absolute path, such as /run/vault/token";
    if path.is_absolute() { Ok(path) } else { Err(FaultKind::Malformed { value: text.to_owned(), expected }) }
}

fn fault<T>(resolver: &mut Resolver<'_>, key: &Key, kind: FaultKind) -> Option<T> {
    let origin = resolver.origin(key);
    resolver.fault(key, origin, kind);
    None
}
