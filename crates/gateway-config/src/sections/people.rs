//! People: the lists that seed users, and the identity providers that vouch for them.

use crate::config::{Identity, OidcProvider, Users};
use crate::email::canonical_email;
use crate::fault::{FaultKind, Origin};
use crate::keys::{self, Key};
use crate::providers::{self, GoogleVariables, domain};
use crate::resolver::Resolver;

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
    let allowed_domains = resolver.many(&keys::GOOGLE_ALLOWED_DOMAIN, domain);
    let domains_are_set = resolver.origin(&keys::GOOGLE_ALLOWED_DOMAIN) != Origin::Default;
    let google =
        client_id.zip(client_secret).zip(allowed_domains).map(|((client_id, client_secret), domains)| {
            GoogleVariables { client_id, client_secret, allowed_domains: domains_are_set.then_some(domains) }
        });
    let none = GoogleVariables { client_id: None, client_secret: None, allowed_domains: None };
    // The tables are read even when a variable is faulty, so that all faults are told at once.
    let tables = providers::providers(resolver, google.as_ref().unwrap_or(&none));
    let (google, mut providers) = (google?, tables?);
    if !resolver.document.providers.iter().any(providers::is_google) {
        providers.splice(0..0, google_alone(resolver, google)?);
    }
    Some(Identity { providers })
}

/// The provider of the variables alone, when they name one.
fn google_alone(resolver: &mut Resolver<'_>, google: GoogleVariables) -> Option<Option<OidcProvider>> {
    let allowed_domains = google.allowed_domains.unwrap_or_default();
    match (google.client_id, google.client_secret) {
        (Some(client_id), Some(client_secret)) => {
            Some(Some(GoogleVariables::provider(client_id, client_secret, allowed_domains)))
        }
        (None, None) if allowed_domains.is_empty() => Some(None),
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
