//! A token of a CI system for a short one of the gateway (RFC 8693).
//!
//! # Security
//! Everything that costs nothing is checked first: form, audience, times. Keys are fetched only of issuers that a rule
//! names, bounded and cached. Which claim keeps a token out is told only after its signature was checked, and only of
//! rules for the very repository that it is of; all others learn what their own token says and nothing else. A token is
//! spent before anything is given for it.

use gateway_audit::{Actor, ActorKind, bounded};
use gateway_config::duration::format_duration;
use gateway_store::{NewWorkload, StoreError, TokenIdentity, TrustRule};
use gateway_types::wire::trust_rules::Mismatch;
use gateway_types::{Channel, Secret};

use super::audience;
use super::jwt::Token;
use super::kinds::Kind;
use super::matching::{is_near, mismatches};
use crate::access_tokens::TokenFault;
use crate::error::AppError;
use crate::sign_in::tokens::Fields;
use crate::sign_in::{Visitor, events};
use crate::{App, Operator, record};

/// `grant_type` of an exchange.
pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// What is given.
pub const ISSUED_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";

/// What an event says of a token whose signature was checked.
const ISSUER: &str = "issuer";

/// The types of tokens that are taken: both mean the same bytes here.
const SUBJECT_TYPES: [&str; 2] =
    ["urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token"];

/// The most claims that are told of one rule.
const MOST_TOLD: usize = 20;

/// The longest value that is told back.
const LONGEST_TOLD: usize = 300;

/// A short token.
#[derive(Debug)]
pub struct Given {
    /// Its secret, an `rgx_…` token.
    pub secret: Secret<String>,
    /// How long it lives, in seconds.
    pub expires_in: u64,
    /// The rule that it is of.
    pub rule: String,
}

/// Why a token is not exchanged.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ExchangeFault {
    /// A field is missing or not what it can be.
    Request,
    /// It is no signed token of the usual form.
    Malformed,
    /// It is signed in a way that is not taken, or not at all.
    Algorithm,
    /// It is a token of another type, or with a header that must be understood.
    Type,
    /// No rule is for its issuer.
    Issuer,
    /// It is not for this gateway, or not for this gateway alone.
    Audience,
    /// It says of nobody who they are.
    Subject,
    /// Its times are none.
    Time,
    /// It is past its end.
    Expired,
    /// It is not good yet.
    NotYet,
    /// The issuer has no such key.
    Key,
    /// The signature is not the issuer's.
    Signature,
    /// The issuer's keys cannot be read now.
    Unavailable,
    /// These claims fit no rule.
    Claims(Vec<Mismatch>),
    /// Several rules take it.
    Ambiguous(Vec<String>),
    /// It was exchanged before.
    Replayed,
}

impl ExchangeFault {
    /// The claims that fit no rule, where that is what is wrong.
    pub fn mismatches(&self) -> &[Mismatch] {
        if let ExchangeFault::Claims(mismatches) = self { mismatches } else { &[] }
    }

    /// One word for programs.
    pub const fn reason(&self) -> &'static str {
        match self {
            ExchangeFault::Request => "request",
            ExchangeFault::Malformed => "malformed",
            ExchangeFault::Algorithm => "algorithm",
            ExchangeFault::Type => "type",
            ExchangeFault::Issuer => "issuer",
            ExchangeFault::Audience => "audience",
            ExchangeFault::Subject => "subject",
            ExchangeFault::Time => "time",
            ExchangeFault::Expired => "expired",
            ExchangeFault::NotYet => "not_yet_valid",
            ExchangeFault::Key => "key",
            ExchangeFault::Signature => "signature",
            ExchangeFault::Unavailable => "keys_unavailable",
            ExchangeFault::Claims(_) => "claims",
            ExchangeFault::Ambiguous(_) => "ambiguous",
            ExchangeFault::Replayed => "replayed",
        }
    }

    /// The value of `error` (RFC 8693, section 2.2.2).
    pub const fn code(&self) -> &'static str {
        match self {
            ExchangeFault::Audience => "invalid_target",
            ExchangeFault::Unavailable => "temporarily_unavailable",
            ExchangeFault::Request
            | ExchangeFault::Malformed
            | ExchangeFault::Algorithm
            | ExchangeFault::Type
            | ExchangeFault::Issuer
            | ExchangeFault::Subject
            | ExchangeFault::Time
            | ExchangeFault::Expired
            | ExchangeFault::NotYet
            | ExchangeFault::Key
            | ExchangeFault::Signature
            | ExchangeFault::Claims(_)
            | ExchangeFault::Ambiguous(_)
            | ExchangeFault::Replayed => "invalid_request",
        }
    }

    /// The status of the reply.
    pub const fn status(&self) -> u16 {
        if matches!(self, ExchangeFault::Unavailable) { 503 } else { 400 }
    }

    /// The value of `error_description`: one sentence that says what to do. `audience` is this gateway's.
    pub fn description(&self, audience: &str) -> String {
        match self {
            ExchangeFault::Request => "send subject_token, with subject_token_type urn:ietf:params:oauth:token-type:jwt, each once, and no requested_token_type but urn:ietf:params:oauth:token-type:access_token".to_owned(),
            ExchangeFault::Malformed => "subject_token is no signed JWT".to_owned(),
            ExchangeFault::Algorithm => "subject_token must be signed with RS256, ES256 or EdDSA".to_owned(),
            ExchangeFault::Type => "subject_token is a token of another type, or has a header that is not taken".to_owned(),
            ExchangeFault::Issuer => "no trust rule is for the issuer of this token; an admin writes one with rack-gateway ci trust".to_owned(),
            ExchangeFault::Audience => format!("the token is not for this gateway alone; ask the CI system for one with the audience {audience}"),
            ExchangeFault::Subject => "the token has no subject".to_owned(),
            ExchangeFault::Time => "exp, iat or nbf of the token is no whole number of seconds, or it is made for longer than a day".to_owned(),
            ExchangeFault::Expired => "the token has expired; ask the CI system for another one in the same job".to_owned(),
            ExchangeFault::NotYet => "the token is not good yet; compare the clocks of the CI system and the gateway".to_owned(),
            ExchangeFault::Key => "the issuer publishes no such key".to_owned(),
            ExchangeFault::Signature => "the token is not signed by its issuer".to_owned(),
            ExchangeFault::Unavailable => "the keys of the token's issuer cannot be read now; try again in a moment".to_owned(),
            ExchangeFault::Claims(mismatches) => of_mismatches(mismatches),
            ExchangeFault::Ambiguous(rules) => format!("several trust rules take this token: {}; name one with rule=NAME", rules.join(", ")),
            ExchangeFault::Replayed => "this token was exchanged before; each is good once, so ask the CI system for another one".to_owned(),
        }
    }
}

fn of_mismatches(mismatches: &[Mismatch]) -> String {
    let yours = |mismatch: &Mismatch| match &mismatch.yours {
        Some(yours) => format!("{} is `{yours}`", mismatch.claim),
        None => format!("{} is missing", mismatch.claim),
    };
    let told: Vec<String> = mismatches
        .iter()
        .map(|mismatch| match &mismatch.rule {
            Some(rule) => format!("for the trust rule {rule}, {}", yours(mismatch)),
            None => format!("no trust rule is for a token whose {}", yours(mismatch)),
        })
        .collect();
    format!("the token does not fit: {}", told.join("; "))
}

/// Why nothing was given.
#[derive(Debug)]
pub enum ExchangeError {
    /// The client is told so in the terms of OAuth.
    Fault(ExchangeFault),
    /// The gateway cannot now.
    Failed(AppError),
}

impl From<ExchangeFault> for ExchangeError {
    fn from(fault: ExchangeFault) -> Self {
        ExchangeError::Fault(fault)
    }
}

impl From<AppError> for ExchangeError {
    fn from(error: AppError) -> Self {
        ExchangeError::Failed(error)
    }
}

impl From<StoreError> for ExchangeError {
    fn from(error: StoreError) -> Self {
        ExchangeError::Failed(error.into())
    }
}

/// Gives a short token for the one in `fields`.
///
/// # Errors
/// [`ExchangeError`]. A fault is an event, with what the token says of itself, if its signature was checked: rubbish of
/// strangers is counted with other refusals, and does not fill the log.
pub async fn exchange(app: &App, fields: &Fields, visitor: Visitor<'_>) -> Result<Given, ExchangeError> {
    let mut about: Vec<(&str, String)> = vec![("grant_type", "token-exchange".to_owned())];
    match attempt(app, fields, &visitor, &mut about).await {
        // The issuer is known as soon as the signature was checked, and not before.
        Err(ExchangeError::Fault(fault)) if about.iter().any(|(name, _)| *name == ISSUER) => {
            let operator = events::stranger(app, Channel::Api, &visitor);
            let about: Vec<(&str, &str)> =
                about.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let reason = match &fault {
                ExchangeFault::Claims(mismatches) => of_mismatches(mismatches),
                other => format!("token exchange refused: {}", other.reason()),
            };
            events::refused(app, events::event(&operator, events::TOKEN, &about), &reason).await;
            Err(fault.into())
        }
        other => other,
    }
}

async fn attempt(
    app: &App,
    fields: &Fields,
    visitor: &Visitor<'_>,
    about: &mut Vec<(&str, String)>,
) -> Result<Given, ExchangeError> {
    let need = |name| fields.need(name).map_err(|_missing| ExchangeFault::Request);
    if !SUBJECT_TYPES.contains(&need("subject_token_type")?) || fields.get("actor_token").is_some() {
        return Err(ExchangeFault::Request.into());
    }
    // RFC 8693, section 2.1: what is asked for is given, or nothing.
    if fields.get("requested_token_type").is_some_and(|asked| asked != ISSUED_TYPE) {
        return Err(ExchangeFault::Request.into());
    }
    let expected = audience(app.store.gateway_id());
    if fields.get("audience").is_some_and(|asked| asked != expected) {
        return Err(ExchangeFault::Audience.into());
    }
    let token = Token::read(need("subject_token")?)?;
    let now = app.clock.now();
    let rules = app.store.trust_rules().of_issuer(&token.issuer).await?;
    if rules.is_empty() {
        return Err(ExchangeFault::Issuer.into());
    }
    if token.audience != expected {
        return Err(ExchangeFault::Audience.into());
    }
    token.check_time(now)?;
    let signature = (token.signed, token.signature);
    let signed =
        app.issuers.check_signature(&token.issuer, &token.algorithm, token.key.as_deref(), signature, now);
    signed.await.map_err(of_keys)?;
    about.push((ISSUER, token.issuer.clone()));
    about.push(("subject", token.subject.clone()));
    let rule = fitting(&rules, &token, fields.get("rule"))?;
    about.push(("rule", rule.rule.name.clone()));
    give(app, rule, &token, visitor).await
}

fn of_keys(fault: TokenFault) -> ExchangeFault {
    match fault {
        TokenFault::Algorithm => ExchangeFault::Algorithm,
        TokenFault::Key => ExchangeFault::Key,
        TokenFault::Signature => ExchangeFault::Signature,
        TokenFault::Unavailable => ExchangeFault::Unavailable,
        TokenFault::Malformed => ExchangeFault::Malformed,
        TokenFault::Type => ExchangeFault::Type,
        TokenFault::Issuer => ExchangeFault::Issuer,
        TokenFault::Expired => ExchangeFault::Expired,
        TokenFault::NotYet => ExchangeFault::NotYet,
    }
}

/// The one rule that takes the token.
fn fitting<'a>(
    rules: &'a [TrustRule],
    token: &Token<'_>,
    named: Option<&str>,
) -> Result<&'a TrustRule, ExchangeFault> {
    let kind =
        |rule: &TrustRule| rule.rule.kind.parse::<Kind>().ok().filter(|kind| *kind != Kind::Certificate);
    let considered = || rules.iter().filter(|rule| named.is_none_or(|named| rule.rule.name == named));
    let fits = |rule: &&TrustRule| {
        kind(rule).is_some_and(|kind| mismatches(kind, &rule.rule.claims, &token.said).is_empty())
    };
    let fitting: Vec<&TrustRule> = considered().filter(fits).collect();
    match fitting.as_slice() {
        [only] => Ok(only),
        [] => {
            let near = considered().filter_map(|rule| {
                let kind = kind(rule).filter(|kind| is_near(*kind, &rule.rule.claims, &token.said))?;
                Some((rule, mismatches(kind, &rule.rule.claims, &token.said)))
            });
            let told: Vec<Mismatch> = near
                .flat_map(|(rule, claims)| {
                    let name = rule.rule.name.clone();
                    claims.into_iter().take(MOST_TOLD).map(move |claim| (Some(name.clone()), claim))
                })
                .take(MOST_TOLD)
                .map(|(rule, claim)| mismatch(rule, claim, token))
                .collect();
            let told = if told.is_empty() { vec![nobodys(rules, token)] } else { told };
            Err(ExchangeFault::Claims(told))
        }
        several => Err(ExchangeFault::Ambiguous(several.iter().map(|rule| rule.rule.name.clone()).collect())),
    }
}

/// No rule is for the token's repository: which claim says so, and what it says.
fn nobodys(rules: &[TrustRule], token: &Token<'_>) -> Mismatch {
    let kinds = rules.iter().filter_map(|rule| rule.rule.kind.parse::<Kind>().ok());
    let claims = kinds.filter_map(|kind| kind.pinned().first().and_then(|one_of| one_of.first()));
    let claim = claims.copied().find(|claim| token.said.contains_key(*claim)).unwrap_or("sub");
    mismatch(None, claim.to_owned(), token)
}

fn mismatch(rule: Option<String>, claim: String, token: &Token<'_>) -> Mismatch {
    let values = token.said.get(&claim).filter(|values| !values.is_empty());
    let yours = values.map(|values| values.join(", ").chars().take(LONGEST_TOLD).collect());
    Mismatch { rule, claim, yours }
}

async fn give(
    app: &App,
    rule: &TrustRule,
    token: &Token<'_>,
    visitor: &Visitor<'_>,
) -> Result<Given, ExchangeError> {
    let identity = TokenIdentity {
        issuer: token.issuer.clone(),
        // Without an id the signed text is one: nobody but the issuer can write another of the same meaning.
        id: match &token.id {
            Some(id) => format!("jti {id}"),
            None => format!("text {}", token.signed),
        },
        expires: token.expires,
    };
    match app.store.workloads().spend(&identity).await {
        Ok(()) => {}
        Err(StoreError::Exists) => return Err(ExchangeFault::Replayed.into()),
        Err(error) => return Err(error.into()),
    }
    let id = app.store.workloads().new_id();
    let actor = Actor {
        credential_id: Some(id.to_string()),
        id: Some(id.to_string()),
        kind: ActorKind::Workload,
        name: bounded(&format!("workload:{}", rule.rule.name)),
        on_behalf_of: Some(bounded(&token.subject)),
    };
    let operator = Operator { actor, ..events::stranger(app, Channel::Api, visitor) };
    let lifetime = format_duration(rule.rule.lifetime);
    let mut event = events::event(
        &operator,
        events::TOKEN,
        &[("grant_type", "token-exchange"), ("rule", &rule.rule.name), ("lifetime", &lifetime)],
    );
    event.parameters.insert("issuer".to_owned(), bounded(&token.issuer));
    for claim in rule.rule.claims.keys().take(MOST_TOLD) {
        if let Some(values) = token.said.get(claim) {
            event.parameters.insert(format!("claim:{claim}"), bounded(&values.join(", ")));
        }
    }
    record(&app.store, event).await?;
    let new = NewWorkload {
        rule: rule.rule.name.clone(),
        rule_version: rule.version,
        subject: token.subject.clone(),
        expires: app.clock.now().saturating_add(rule.rule.lifetime),
    };
    let secret = app.store.workloads().create(id, &new).await?;
    Ok(Given { secret, expires_in: rule.rule.lifetime.as_secs(), rule: new.rule })
}
