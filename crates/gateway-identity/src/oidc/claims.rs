//! From an ID token to an identity: which tokens are believed, and what of them.

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, SystemTime};

use gateway_types::{Secret, Timestamp};
use openidconnect::core::{CoreGenderClaim, CoreJsonWebKey, CoreJwsSigningAlgorithm};
use openidconnect::{
    AdditionalClaims, ClaimsVerificationError, ClientId, IdTokenClaims, IdTokenVerifier, IssuerUrl, Nonce,
    SignatureVerificationError,
};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::discovery::Known;
use super::exchange::Unverified;
use super::fetch::Fetch;
use super::user_info::UserInfo;
use super::{MAX_SID_BYTES, OidcError, Provider, TokenFault};

/// How far the clocks of gateway and provider may be apart.
pub(super) const SKEW: Duration = Duration::from_secs(120);

/// The oldest token that is taken: it was asked for a moment ago.
pub(super) const OLDEST: Duration = Duration::from_secs(600);

/// The most groups that are looked at.
pub(super) const MAX_GROUPS: usize = 1000;

/// The longest name of a group, in bytes.
const MAX_GROUP_BYTES: usize = 256;

/// The longest subject, in bytes. Source: OpenID Connect Core 1.0, section 2.
pub(super) const MAX_SUBJECT_BYTES: usize = 255;

/// The longest name of a person that is kept, in characters.
const MAX_NAME_CHARACTERS: usize = 200;

/// Google's issuer. It alone says in `hd` whether an account is an organisation's.
pub(super) const GOOGLE: &str = "https://accounts.google.com";

/// The algorithms that are taken: none with a shared secret.
pub(super) const ALGORITHMS: [CoreJwsSigningAlgorithm; 4] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// The claims of an ID token.
pub(super) type Claims = IdTokenClaims<FurtherClaims, CoreGenderClaim>;

/// Who somebody is, as a provider vouches for it. The key is issuer and subject: addresses change hands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The provider's issuer.
    pub issuer: String,
    /// The person at that provider; never changes, is never given to another.
    pub subject: String,
    /// The verified address in its canonical form.
    pub email: String,
    /// The name for people; without control characters.
    pub name: Option<String>,
    /// The groups, each once; empty when there are none, or when [`groups_fault`](Self::groups_fault) says
    /// why they are not believed.
    pub groups: Vec<String>,
    /// Why the groups were left out.
    pub groups_fault: Option<GroupsFault>,
}

/// Why a person's groups were left out. A person without groups has fewer rights, never more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum GroupsFault {
    /// More than are looked at.
    #[error("the token has {count} groups, more than are looked at")]
    TooMany {
        /// How many.
        count: usize,
    },
    /// The provider left them out because they are too many, and wants to be asked for them.
    #[error("the provider left the groups out of the token because they are too many")]
    Overage,
    /// Neither a text nor a list of texts.
    #[error("the groups in the token are not a list of names")]
    Malformed,
}

/// Every claim that has no meaning in the standard, by name.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(transparent)]
pub(super) struct FurtherClaims(Map<String, Value>);

impl AdditionalClaims for FurtherClaims {}

impl FurtherClaims {
    fn value(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }
}

impl<'de> Deserialize<'de> for FurtherClaims {
    /// As a map, but a name that comes twice is an error: which of the two holds is anybody's guess.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;

        impl<'de> Visitor<'de> for Once {
            type Value = FurtherClaims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("claims")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut claims = Map::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if claims.insert(name, value).is_some() {
                        return Err(A::Error::custom("a claim comes twice"));
                    }
                }
                Ok(FurtherClaims(claims))
            }
        }

        deserializer.deserialize_map(Once)
    }
}

impl Provider {
    /// Verifies the token; when its key is not among the known ones, the keys are read again once.
    pub(super) async fn verified(
        &self,
        fetch: &dyn Fetch,
        now: Timestamp,
        known: &Known,
        token: &Unverified,
        nonce: Option<&Secret<String>>,
    ) -> Result<Claims, OidcError> {
        let refused = |fault| OidcError::IdToken { provider: self.named(), fault };
        match self.verify(now, known, token, nonce) {
            Err(TokenFault::UnknownKey) => {}
            done => return done.map_err(refused),
        }
        match self.with_keys_again(fetch, now, known).await? {
            Some(again) => self.verify(now, &again, token, nonce).map_err(refused),
            None => Err(refused(TokenFault::UnknownKey)),
        }
    }

    fn verify(
        &self,
        now: Timestamp,
        known: &Known,
        token: &Unverified,
        nonce: Option<&Secret<String>>,
    ) -> Result<Claims, TokenFault> {
        let issuer = IssuerUrl::new(self.config.issuer.clone()).map_err(|_| TokenFault::Issuer)?;
        let verifier = self.verifier(now, known, issuer);
        let claims = match nonce {
            Some(nonce) => token.claims(&verifier, &Nonce::new(nonce.expose().clone())),
            // Nobody sent one: the token was asked for with a refresh token.
            None => token.claims(&verifier, |_: Option<&Nonce>| Ok(())),
        };
        let claims = claims.map_err(|error| fault(&error))?;
        // The verifier leaves this to its user. Source: OpenID Connect Core 1.0, section 3.1.3.7, points 4, 5.
        if claims.authorized_party().is_some_and(|party| party.as_str() != self.config.client_id) {
            return Err(TokenFault::Audience);
        }
        // A fraction of a second is how a token made by hand, or by a program that guesses, looks.
        let is_whole = |nanos: u32| nanos == 0;
        if !is_whole(claims.expiration().timestamp_subsec_nanos())
            || !is_whole(claims.issue_time().timestamp_subsec_nanos())
        {
            return Err(TokenFault::Time);
        }
        let subject = claims.subject().as_str();
        if subject.is_empty() || subject.len() > MAX_SUBJECT_BYTES || subject.chars().any(char::is_control) {
            return Err(TokenFault::Subject);
        }
        Ok(claims.clone())
    }

    /// # Security
    /// It is a public client's verifier, although this client has a secret: so no shared-secret algorithm
    /// can be accepted, whatever the list says. Audiences besides the client's own are not trusted.
    fn verifier(
        &self,
        now: Timestamp,
        known: &Known,
        issuer: IssuerUrl,
    ) -> IdTokenVerifier<'static, CoreJsonWebKey> {
        let client = ClientId::new(self.config.client_id.clone());
        // A token is good up to `SKEW` after its end, should this clock be ahead of the provider's.
        let earlier = moment(seconds(now).saturating_sub(SKEW.as_secs()));
        let (oldest, latest) =
            (seconds(now).saturating_sub((OLDEST + SKEW).as_secs()), seconds(now) + SKEW.as_secs());
        IdTokenVerifier::new_public_client(client, issuer, known.keys.as_ref().clone())
            .set_allowed_algs(ALGORITHMS)
            .set_time_fn(move || earlier.into())
            .set_issue_time_verifier_fn(move |issued| match u64::try_from(issued.timestamp()) {
                Ok(issued) if (oldest..=latest).contains(&issued) => Ok(()),
                Ok(_) | Err(_) => Err(ISSUE_TIME.to_owned()),
            })
    }

    /// What is believed of a verified token, and of what UserInfo adds where the token does not say whether the
    /// address is verified. `access`: what UserInfo is asked with.
    pub(super) async fn identity(
        &self,
        fetch: &dyn Fetch,
        now: Timestamp,
        known: &Known,
        claims: &Claims,
        access: &Secret<String>,
    ) -> Result<Identity, OidcError> {
        let provider = || self.named();
        self.check_valid_yet(now, claims)?;
        let told = self.user_info(fetch, known, claims, access).await?;
        let address = claims.email().or_else(|| told.as_ref()?.email());
        let address = address.ok_or_else(|| OidcError::EmailAbsent { provider: provider() })?.as_str();
        if !self.is_verified(address, claims, told.as_ref()) {
            return Err(OidcError::EmailNotVerified { provider: provider() });
        }
        // The canonical form of a list's entry loses its surrounding blanks; an address that has any in a
        // token is not the one that was verified, so only letters may change.
        let email = (self.config.canonical_email)(address)
            .filter(|email| *email == address.to_ascii_lowercase())
            .ok_or_else(|| OidcError::EmailMalformed { provider: provider() })?;
        if !self.is_the_organisations(&email, claims.additional_claims()) {
            return Err(OidcError::NotTheOrganisations { provider: provider() });
        }
        Ok(self.identity_of(claims, told.as_ref(), email))
    }

    /// Whether the provider vouches for this address.
    ///
    /// # Security
    /// What UserInfo says is about the address that stands there: one that the token has besides is not vouched for.
    fn is_verified(&self, address: &str, claims: &Claims, told: Option<&UserInfo>) -> bool {
        if let Some(claim) = self.config.email_verified_claim.as_deref() {
            let says_so = claims.additional_claims().value(claim).is_some_and(says_true);
            return says_so && claims.email_verified() != Some(false);
        }
        match (claims.email_verified(), told) {
            (Some(is_verified), None) => is_verified,
            (Some(false), Some(_)) | (None, None) => false,
            (Some(true) | None, Some(told)) => {
                told.email_verified() == Some(true)
                    && told.email().is_some_and(|email| email.eq_ignore_ascii_case(address))
            }
        }
    }

    /// The same of somebody who was asked about again. A token that leaves their address out and tells their groups
    /// is about the address that is known.
    pub(super) async fn identity_again(
        &self,
        fetch: &dyn Fetch,
        now: Timestamp,
        known: &Known,
        claims: &Claims,
        access: &Secret<String>,
        known_email: Option<&str>,
    ) -> Result<Identity, OidcError> {
        let tells_groups = || {
            let claim = self.config.groups_claim.as_deref();
            claim.is_some_and(|claim| claims.additional_claims().value(claim).is_some())
        };
        match known_email {
            Some(email) if claims.email().is_none() && tells_groups() => {
                self.check_valid_yet(now, claims)?;
                Ok(self.identity_of(claims, None, email.to_owned()))
            }
            Some(_) | None => self.identity(fetch, now, known, claims, access).await,
        }
    }

    fn check_valid_yet(&self, now: Timestamp, claims: &Claims) -> Result<(), OidcError> {
        if is_valid_yet(claims.additional_claims(), now) {
            return Ok(());
        }
        Err(OidcError::IdToken { provider: self.named(), fault: TokenFault::NotYetValid })
    }

    fn identity_of(&self, claims: &Claims, told: Option<&UserInfo>, email: String) -> Identity {
        let further = [Some(claims.additional_claims()), told.map(UserInfo::further)];
        let (groups, groups_fault) = self.groups(further.into_iter().flatten());
        let name = claims.name().or_else(|| told?.name());
        Identity {
            issuer: self.config.issuer.clone(),
            subject: claims.subject().as_str().to_owned(),
            email,
            name: name.and_then(|name| name.get(None)).and_then(|name| shown_name(name.as_str())),
            groups,
            groups_fault,
        }
    }

    /// Anybody can make a personal Google account with an address of an organisation while they can read
    /// its mail, and keep it after they left; `email_verified` stays true. Only the organisation's own
    /// accounts have its domain in `hd`. Source: Google, OpenID Connect, "Validating an ID token".
    fn is_the_organisations(&self, email: &str, further: &FurtherClaims) -> bool {
        if self.config.issuer != GOOGLE || !self.domain_allowed(email) {
            return true;
        }
        let domain = email.split_once('@').map(|(_, domain)| domain);
        let hosted = further.value("hd").and_then(Value::as_str);
        matches!((hosted, domain), (Some(hosted), Some(domain)) if hosted.eq_ignore_ascii_case(domain))
    }

    /// The groups, of the first that tells any.
    fn groups<'a>(
        &self,
        further: impl Iterator<Item = &'a FurtherClaims> + Clone,
    ) -> (Vec<String>, Option<GroupsFault>) {
        let Some(claim) = self.config.groups_claim.as_deref() else { return (Vec::new(), None) };
        let none = |fault| (Vec::new(), Some(fault));
        match further.clone().find_map(|further| further.value(claim)) {
            None if further.into_iter().any(|further| is_left_out(further, claim)) => {
                none(GroupsFault::Overage)
            }
            None | Some(Value::Null) => (Vec::new(), None),
            // One name. It is not cut at commas or blanks: that would make two groups of one.
            Some(Value::String(group)) => names(std::slice::from_ref(&Value::String(group.clone())))
                .map_or_else(|| none(GroupsFault::Malformed), |groups| (groups, None)),
            Some(Value::Array(groups)) if groups.len() > MAX_GROUPS => {
                none(GroupsFault::TooMany { count: groups.len() })
            }
            Some(Value::Array(groups)) => {
                names(groups).map_or_else(|| none(GroupsFault::Malformed), |groups| (groups, None))
            }
            Some(Value::Bool(_) | Value::Number(_) | Value::Object(_)) => none(GroupsFault::Malformed),
        }
    }
}

/// What the provider calls the session that a token is of.
pub(super) fn session_of(claims: &Claims) -> Option<String> {
    let sid = claims.additional_claims().value("sid").and_then(Value::as_str)?;
    let is_name = !sid.is_empty() && sid.len() <= MAX_SID_BYTES && !sid.chars().any(char::is_control);
    is_name.then(|| sid.to_owned())
}

/// What the check of the time of issue says, so that it can be told from expiry.
const ISSUE_TIME: &str = "issue time";

fn fault(error: &ClaimsVerificationError) -> TokenFault {
    match error {
        ClaimsVerificationError::Expired(reason) if reason == ISSUE_TIME => TokenFault::IssueTime,
        ClaimsVerificationError::Expired(_) => TokenFault::Expired,
        ClaimsVerificationError::InvalidAudience(_) => TokenFault::Audience,
        ClaimsVerificationError::InvalidIssuer(_) => TokenFault::Issuer,
        ClaimsVerificationError::InvalidNonce(_) => TokenFault::Nonce,
        ClaimsVerificationError::InvalidSubject(_) => TokenFault::Subject,
        ClaimsVerificationError::SignatureVerification(error) => match error {
            SignatureVerificationError::NoMatchingKey => TokenFault::UnknownKey,
            SignatureVerificationError::AmbiguousKeyId(_) => TokenFault::AmbiguousKey,
            SignatureVerificationError::DisallowedAlg(_)
            | SignatureVerificationError::UnsupportedAlg(_)
            | SignatureVerificationError::NoSignature => TokenFault::Algorithm,
            // The library's list may grow; whatever it is, the token is refused.
            _ => TokenFault::Signature,
        },
        _ => TokenFault::Type,
    }
}

/// `nbf`, which the library does not look at. Source: RFC 7519, section 4.1.5.
fn is_valid_yet(further: &FurtherClaims, now: Timestamp) -> bool {
    match further.value("nbf") {
        None | Some(Value::Null) => true,
        Some(from) => from.as_i64().is_some_and(|from| {
            u64::try_from(from).map_or(true, |from| from <= seconds(now) + SKEW.as_secs())
        }),
    }
}

/// Whether a claim that no standard has says yes. Microsoft's `xms_edov` has come as each of these.
fn says_true(value: &Value) -> bool {
    match value {
        Value::Bool(value) => *value,
        Value::Number(number) => number.as_u64() == Some(1),
        Value::String(text) => text == "1" || text == "true",
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

/// Whether the provider names the claim as one that it keeps elsewhere. It is not asked for there: an
/// address in a token is not one that this gateway calls. Source: OpenID Connect Core 1.0, section 5.6.2.
fn is_left_out(further: &FurtherClaims, claim: &str) -> bool {
    further.value("_claim_names").and_then(Value::as_object).is_some_and(|names| names.contains_key(claim))
        || further.value("hasgroups").and_then(Value::as_bool) == Some(true)
}

/// Each name once, in order; `None` when one of the values is none.
fn names(values: &[Value]) -> Option<Vec<String>> {
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for value in values {
        let name = value.as_str()?;
        if name.is_empty() || name.len() > MAX_GROUP_BYTES || name.chars().any(char::is_control) {
            return None;
        }
        if seen.insert(name) {
            names.push(name.to_owned());
        }
    }
    Some(names)
}

/// A person's name without what is not shown, and without what turns the direction of a text.
pub(super) fn shown_name(name: &str) -> Option<String> {
    let is_shown = |c: &char| {
        !c.is_control()
            && !matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let name: String = name.chars().filter(is_shown).take(MAX_NAME_CHARACTERS).collect();
    let name = name.trim();
    (!name.is_empty()).then(|| name.to_owned())
}

/// Whole seconds since 1970, from 0 to the end of the year 9999.
pub(super) fn seconds(now: Timestamp) -> u64 {
    const END: u64 = 253_402_300_799;
    u64::try_from(now.micros().div_euclid(1_000_000)).unwrap_or(0).min(END)
}

fn moment(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)).unwrap_or(SystemTime::UNIX_EPOCH)
}
