//! A token of a CI system, taken apart and held to its form. Who signed it is checked elsewhere.
//!
//! # Security
//! Nothing is guessed: a member that stands twice, a time that is no whole number, a header that must be understood, or
//! a token of another type is refused. Source: RFC 7515, 7519, 8725.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use gateway_types::Timestamp;
use serde::Deserializer;
use serde::de::{Deserialize, MapAccess, Visitor};
use serde_json::Value;

use super::exchange::ExchangeFault;
use super::matching::Said;

/// The longest token, in bytes.
const LONGEST: usize = 16 * 1024;

/// How far clocks may be apart.
const LEEWAY: Duration = Duration::from_secs(30);

/// The longest life of a token that is taken: what is spent is remembered as long.
const LONGEST_LIFE: i64 = 24 * 3600;

/// The longest value of a claim that counts, in bytes, and the most values of one.
const LONGEST_VALUE: usize = 1024;
const MOST_VALUES: usize = 100;

/// A token taken apart.
#[derive(Debug)]
pub(super) struct Token<'a> {
    pub(super) algorithm: String,
    pub(super) key: Option<String>,
    pub(super) issuer: String,
    pub(super) subject: String,
    /// Exactly one.
    pub(super) audience: String,
    pub(super) id: Option<String>,
    pub(super) said: Said,
    pub(super) expires: Timestamp,
    claims: BTreeMap<String, Value>,
    pub(super) signed: &'a str,
    pub(super) signature: &'a str,
}

impl<'a> Token<'a> {
    /// Takes a token apart.
    pub(super) fn read(text: &'a str) -> Result<Self, ExchangeFault> {
        if text.len() > LONGEST || text.split('.').count() != 3 {
            return Err(ExchangeFault::Malformed);
        }
        let (signed, signature) = text.rsplit_once('.').ok_or(ExchangeFault::Malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(ExchangeFault::Malformed)?;
        let (header, claims) = (members(header)?, members(claims)?);
        let algorithm = text_of(&header, "alg").ok_or(ExchangeFault::Algorithm)?;
        check_header(&header)?;
        let claim = |name| text_of(&claims, name).filter(|text| !text.is_empty());
        let audience = match claims.get("aud") {
            Some(Value::String(one)) => one.clone(),
            Some(Value::Array(list)) => match list.as_slice() {
                [Value::String(one)] => one.clone(),
                _several => return Err(ExchangeFault::Audience),
            },
            Some(_) | None => return Err(ExchangeFault::Audience),
        };
        Ok(Self {
            algorithm,
            key: text_of(&header, "kid"),
            issuer: claim("iss").ok_or(ExchangeFault::Issuer)?,
            subject: claim("sub").ok_or(ExchangeFault::Subject)?,
            audience,
            id: match claims.get("jti") {
                None => None,
                Some(Value::String(id)) if !id.is_empty() && id.len() <= LONGEST_VALUE => Some(id.clone()),
                Some(_) => return Err(ExchangeFault::Malformed),
            },
            said: said(&claims),
            expires: Timestamp::from_micros(seconds(&claims, "exp")?.saturating_mul(1_000_000)),
            claims,
            signed,
            signature,
        })
    }

    /// Whether it is good now.
    pub(super) fn check_time(&self, now: Timestamp) -> Result<(), ExchangeFault> {
        let (expires, issued) = (seconds(&self.claims, "exp")?, seconds(&self.claims, "iat")?);
        let begins = match self.claims.get("nbf") {
            Some(_) => seconds(&self.claims, "nbf")?,
            None => issued,
        };
        if expires <= issued || expires - issued > LONGEST_LIFE {
            return Err(ExchangeFault::Time);
        }
        let at = |seconds: i64| Timestamp::from_micros(seconds.saturating_mul(1_000_000));
        if now >= at(expires).saturating_add(LEEWAY) {
            return Err(ExchangeFault::Expired);
        }
        if at(issued.max(begins)) > now.saturating_add(LEEWAY) {
            return Err(ExchangeFault::NotYet);
        }
        Ok(())
    }
}

/// CI systems write `JWT` or nothing. An access token, a logout token or any other says what it is.
fn check_header(header: &BTreeMap<String, Value>) -> Result<(), ExchangeFault> {
    let is_plain = match header.get("typ") {
        None => true,
        Some(Value::String(typ)) => typ.eq_ignore_ascii_case("jwt"),
        Some(_) => false,
    };
    let is_understood =
        ["crit", "b64", "jwk", "jku", "x5u", "enc", "zip"].iter().all(|name| !header.contains_key(*name));
    if is_plain && is_understood { Ok(()) } else { Err(ExchangeFault::Type) }
}

fn text_of(members: &BTreeMap<String, Value>, name: &str) -> Option<String> {
    match members.get(name) {
        Some(Value::String(text)) if text.len() <= LONGEST_VALUE && !text.chars().any(char::is_control) => {
            Some(text.clone())
        }
        Some(_) | None => None,
    }
}

/// A time in whole seconds, from 1970 to the year 9999.
fn seconds(claims: &BTreeMap<String, Value>, name: &str) -> Result<i64, ExchangeFault> {
    let value = claims.get(name).and_then(Value::as_i64);
    value.filter(|seconds| (0..=253_402_300_799).contains(seconds)).ok_or(ExchangeFault::Time)
}

/// All claims as text; what is neither text, number, truth value nor a list of texts is left out, and so fits nothing.
fn said(claims: &BTreeMap<String, Value>) -> Said {
    let plain = |value: &Value| match value {
        Value::String(text) if text.len() <= LONGEST_VALUE && !text.chars().any(char::is_control) => {
            Some(text.clone())
        }
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Number(number) if number.is_i64() || number.is_u64() => Some(number.to_string()),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) | Value::String(_) => None,
    };
    let values = |value: &Value| match value {
        Value::Array(list) => list.iter().take(MOST_VALUES).filter_map(plain).collect(),
        one => plain(one).into_iter().collect::<Vec<_>>(),
    };
    claims.iter().map(|(name, value)| (name.clone(), values(value))).collect()
}

fn members(encoded: &str) -> Result<BTreeMap<String, Value>, ExchangeFault> {
    let bytes = BASE64URL_NOPAD.decode(encoded.as_bytes()).map_err(|_bad| ExchangeFault::Malformed)?;
    let Members(members) = serde_json::from_slice(&bytes).map_err(|_bad| ExchangeFault::Malformed)?;
    Ok(members)
}

/// An object none of whose members stands twice.
struct Members(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor).map(Members)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = BTreeMap<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with each member once")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry::<String, Value>()? {
            if members.insert(name, value).is_some() {
                return Err(serde::de::Error::custom("a member stands twice"));
            }
        }
        Ok(members)
    }
}
