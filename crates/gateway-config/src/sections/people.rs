//! People: the lists that seed users, and the identity providers that vouch for them.

use crate::config::{Identity, OidcProvider, Users};
use crate::email::canonical_email;
use crate::fault::FaultKind;
use crate::host::canonical_host;
use crate::keys::{self, Key};
use crate::resolver::Resolver;

/// Google's issuer, exactly as it stands in its tokens.
const GOOGLE_ISSUER: &str = "https://accounts.google.com";

pub(crate) fn users(resolver: &mut Resolver<'_>) -> Option<Users> {
    let admin = emails(resolver, &keys::ADMIN_USERS);
    let deployer = emails(resolver, &keys::DEPLOYER_USERS);
    let operations = emails(resolver, &keys::OPERATIONS_USERS);
    let viewer = emails(resolver, &keys::VIEWER_USERS);
    Some(Users { admin: admin?, deployer: deployer?, operations: operations?, viewer: viewer? })
}

fn emails(resolver: &mut Resolver<'_>, key: &Key) -> Option<Vec<String>> {
    resolver.many(key, |text| {
        canonical_email(text).map_err(|_| FaultKind::Malformed {
            value: text.to_owned(),
            expected: "an e-mail address with exactly one @, such as admin@example.com",
        })
    })
}

pub(crate) fn identity(resolver: &mut Resolver<'_>) -> Option<Identity> {
    let client_id = resolver.optional(&keys::GOOGLE_CLIENT_ID, |text| Ok(text.to_owned()));
    let client_secret = resolver.secret(&keys::GOOGLE_CLIENT_SECRET);
    let allowed_domains = resolver.many(&keys::GOOGLE_ALLOWED_DOMAIN, |text| {
        canonical_host(text).ok_or_else(|| FaultKind::Malformed {
            value: text.to_owned(),
            expected: "a domain, such as example.com",
        })
    });
    let (client_id, client_secret, allowed_domains) = (client_id?, client_secret?, allowed_domains?);
    match (client_id, client_secret) {
        (Some(client_id), Some(client_secret)) => Some(Identity {
            providers: vec![OidcProvider {
                name: "google".to_owned(),
                issuer: GOOGLE_ISSUER.to_owned(),
                client_id,
                client_secret,
                allowed_domains,
            }],
        }),
        (None, None) if allowed_domains.is_empty() => Some(Identity::default()),
        (None, None) => incomplete(resolver, &keys::GOOGLE_ALLOWED_DOMAIN, &keys::GOOGLE_CLIENT_ID),
        (Some(_), None) => incomplete(resolver, &keys::GOOGLE_CLIENT_ID, &keys::GOOGLE_CLIENT_SECRET),
        (None, Some(_)) => incomplete(resolver, &keys::GOOGLE_CLIENT_SECRET, &keys::GOOGLE_CLIENT_ID),
    }
}

fn incomplete<T>(resolver: &mut Resolver<'_>, given: &Key, lacking: &Key) -> Option<T> {
    let origin = resolver.origin(given);
    resolver.fault(given, origin, FaultKind::Incomplete { other: lacking.label() });
    None
}
