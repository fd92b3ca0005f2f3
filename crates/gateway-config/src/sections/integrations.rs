//! Who else is asked about deploys, and told of them.

use gateway_types::Secret;
use url::Url;

use crate::config::{Attestations, CircleCi, GitHub, GitHubAccess, Integrations, Slack, SlackAccess};
use crate::fault::FaultKind;
use crate::keys::{self, Key};
use crate::resolver::Resolver;

pub(crate) fn integrations(resolver: &mut Resolver<'_>) -> Option<Integrations> {
    let github = github(resolver);
    let circleci = circleci(resolver);
    let slack = slack(resolver);
    let attestations = attestations(resolver);
    let (github, circleci, slack) = (github?, circleci?, slack?);
    Some(Integrations { github, circleci, slack, attestations: attestations? })
}

fn attestations(resolver: &mut Resolver<'_>) -> Option<Option<Attestations>> {
    let authority = resolver.secret_text(&keys::ATTESTATION_AUTHORITY);
    let log_key = resolver.secret_text(&keys::ATTESTATION_LOG_KEY);
    let issuer = resolver.one(&keys::ATTESTATION_ISSUER, issuer);
    match (authority?, log_key?, issuer?) {
        (None, None, _) => Some(None),
        (Some(authority), Some(log_key), issuer) => Some(Some(Attestations { authority, log_key, issuer })),
        (Some(_), None, _) => incomplete(resolver, &keys::ATTESTATION_AUTHORITY, &keys::ATTESTATION_LOG_KEY),
        (None, Some(_), _) => incomplete(resolver, &keys::ATTESTATION_LOG_KEY, &keys::ATTESTATION_AUTHORITY),
    }
}

/// It is compared as a whole.
fn issuer(text: &str) -> Result<String, FaultKind> {
    let is_fine = Url::parse(text).is_ok_and(|url| url.scheme() == "https" && url.has_host());
    is_fine.then(|| text.to_owned()).ok_or_else(|| FaultKind::Malformed {
        value: text.to_owned(),
        expected: "the https address of an issuer, such as https://token.actions.githubusercontent.com",
    })
}

fn github(resolver: &mut Resolver<'_>) -> Option<GitHub> {
    let token = resolver.secret(&keys::GITHUB_TOKEN);
    let api = resolver.one(&keys::GITHUB_API_URL, address);
    let id = resolver.optional(&keys::GITHUB_APP_ID, number);
    let installation = resolver.optional(&keys::GITHUB_APP_INSTALLATION, number);
    let key = resolver.secret_text(&keys::GITHUB_APP_PRIVATE_KEY);
    let (token, api, id, installation, key) = (token?, api?, id?, installation?, key?);
    let access = match (token, id, installation, key) {
        (None, None, None, None) => return Some(GitHub { api, access: None }),
        (Some(token), None, None, None) => {
            GitHubAccess::Token(one_line(resolver, &keys::GITHUB_TOKEN, token)?)
        }
        (None, Some(id), Some(installation), Some(key)) => GitHubAccess::App { id, installation, key },
        (Some(_), ..) => {
            let other = keys::GITHUB_APP_ID.label();
            return fault(resolver, &keys::GITHUB_TOKEN, FaultKind::Conflict { other });
        }
        (None, None, _, _) => {
            return incomplete(resolver, &keys::GITHUB_APP_PRIVATE_KEY, &keys::GITHUB_APP_ID);
        }
        (None, Some(_), None, _) => {
            return incomplete(resolver, &keys::GITHUB_APP_ID, &keys::GITHUB_APP_INSTALLATION);
        }
        (None, Some(_), Some(_), None) => {
            return incomplete(resolver, &keys::GITHUB_APP_ID, &keys::GITHUB_APP_PRIVATE_KEY);
        }
    };
    Some(GitHub { api, access: Some(access) })
}

fn circleci(resolver: &mut Resolver<'_>) -> Option<CircleCi> {
    let token = resolver.secret(&keys::CIRCLECI_TOKEN);
    let host = resolver.one(&keys::CIRCLECI_URL, address);
    let (token, host) = (token?, host?);
    let Some(token) = token else { return Some(CircleCi { host, token: None }) };
    Some(CircleCi { host, token: Some(one_line(resolver, &keys::CIRCLECI_TOKEN, token)?) })
}

fn slack(resolver: &mut Resolver<'_>) -> Option<Slack> {
    let bot_token = resolver.secret(&keys::SLACK_BOT_TOKEN);
    let signing_secret = resolver.secret(&keys::SLACK_SIGNING_SECRET);
    let api = resolver.one(&keys::SLACK_API_URL, address);
    let (bot_token, signing_secret, api) = (bot_token?, signing_secret?, api?);
    let access = match (bot_token, signing_secret) {
        (None, None) => None,
        (Some(bot_token), Some(signing_secret)) => {
            let bot_token = one_line(resolver, &keys::SLACK_BOT_TOKEN, bot_token);
            let signing_secret = one_line(resolver, &keys::SLACK_SIGNING_SECRET, signing_secret);
            Some(SlackAccess { bot_token: bot_token?, signing_secret: signing_secret? })
        }
        (Some(_), None) => {
            return incomplete(resolver, &keys::SLACK_BOT_TOKEN, &keys::SLACK_SIGNING_SECRET);
        }
        (None, Some(_)) => {
            return incomplete(resolver, &keys::SLACK_SIGNING_SECRET, &keys::SLACK_BOT_TOKEN);
        }
    };
    Some(Slack { api, access })
}

fn one_line(resolver: &mut Resolver<'_>, key: &Key, token: Secret<String>) -> Option<Secret<String>> {
    let is_fine = !token.expose().is_empty() && token.expose().bytes().all(|byte| byte.is_ascii_graphic());
    if is_fine {
        return Some(token);
    }
    fault(resolver, key, FaultKind::MalformedSecret { expected: "a token of visible characters" })
}

fn incomplete<T>(resolver: &mut Resolver<'_>, given: &Key, lacking: &Key) -> Option<T> {
    fault(resolver, given, FaultKind::Incomplete { other: lacking.label() })
}

fn fault<T>(resolver: &mut Resolver<'_>, key: &Key, kind: FaultKind) -> Option<T> {
    let origin = resolver.origin(key);
    resolver.fault(key, origin, kind);
    None
}

fn number(text: &str) -> Result<u64, FaultKind> {
    text.parse().map_err(|_bad| FaultKind::Malformed {
        value: text.to_owned(),
        expected: "the number that GitHub shows for it, such as 12345",
    })
}

/// Tokens travel to it, so plain HTTP is for this machine alone.
fn address(text: &str) -> Result<Url, FaultKind> {
    let malformed = || FaultKind::Malformed {
        value: text.to_owned(),
        expected: "an https address without user name and query, such as https://api.github.com; http only on this machine",
    };
    let url = Url::parse(text).map_err(|_bad| malformed())?;
    let local = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    let reachable = url.scheme() == "https" || (url.scheme() == "http" && local);
    let plain = url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if reachable && plain && url.has_host() { Ok(url) } else { Err(malformed()) }
}
