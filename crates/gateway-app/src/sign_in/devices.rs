//! Devices without a browser: they show a code, a person types it elsewhere and lets them in (RFC 8628).
//!
//! # Security
//! The danger is a person who types the code of somebody else's device. So the page shows what asks, from
//! where and since when, a decision is about exactly what was shown, and guesses are counted.

use std::net::IpAddr;
use std::time::Duration;

use gateway_store::{
    DEVICE_TIME, DeviceDecision, NewDevice, POLL_INTERVAL, StoreError, Try, TryLimit, WaitingDevice,
};
use gateway_types::{Caller, Entropy, Principal, RequestId, Secret, SessionId, UserId};

use super::{SignInError, device_name, events, place};
use crate::origin::Origin;
use crate::{App, record};

/// How many user codes of one session may be wrong before no more are looked at.
pub const TRIES: TryLimit = TryLimit { most: 5, within: Duration::from_secs(600) };

/// Letters of user codes: no vowels, so that no words come out, and none that look like digits
/// (RFC 8628, section 6.1).
const LETTERS: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// Letters of one code: 20^8 codes, of which at most 10,000 wait.
const CODE_LETTERS: usize = 8;

/// How often another code is made when one is taken already.
const ATTEMPTS: usize = 5;

/// A device that may wait.
#[derive(Debug)]
pub struct Started {
    /// What the device polls with.
    pub device_code: Secret<String>,
    /// What the person types, as `XXXX-XXXX`.
    pub user_code: String,
    /// Where the person goes.
    pub verification_uri: String,
    /// The same with the code.
    pub verification_uri_complete: String,
    /// How long the person has, in seconds.
    pub expires_in: u64,
    /// How long the device waits between two polls, in seconds.
    pub interval: u64,
}

/// Lets a device wait for a person.
///
/// # Errors
/// [`SignInError`]; among them [`SignInError::TooMany`].
pub async fn start(
    app: &App,
    claimed: &Origin,
    device: &str,
    source_ip: IpAddr,
) -> Result<Started, SignInError> {
    let origin = place::holding(app, claimed).await?;
    let device = device_name(device);
    for _attempt in 0..ATTEMPTS {
        let user_code = new_user_code(&*app.entropy);
        let new = NewDevice { user_code: user_code.clone(), device: device.clone(), ip: source_ip };
        match app.store.devices().create(&new).await {
            Ok(Some(device_code)) => {
                let shown = shown(&user_code);
                let verification_uri = origin.join("/device");
                return Ok(Started {
                    device_code,
                    verification_uri_complete: format!("{verification_uri}?user_code={shown}"),
                    verification_uri,
                    user_code: shown,
                    expires_in: DEVICE_TIME.as_secs(),
                    interval: POLL_INTERVAL.as_secs(),
                });
            }
            Ok(None) => return Err(SignInError::TooMany),
            Err(StoreError::Exists) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(SignInError::TooMany)
}

/// The device that waits with this code, for a person to look at.
///
/// # Errors
/// [`SignInError::NoSuchDevice`], [`SignInError::TooManyTries`], [`SignInError::NotASession`], or the store's.
pub async fn waiting(app: &App, caller: &Caller, user_code: &str) -> Result<WaitingDevice, SignInError> {
    let (_user, session) = person(caller)?;
    if let Try::TooMany(until) = app.store.devices().begin_try(session, TRIES).await? {
        let seconds = until.checked_since(app.clock.now()).unwrap_or_default().as_secs();
        return Err(SignInError::TooManyTries { until, seconds });
    }
    let code = canonical(user_code).ok_or(SignInError::NoSuchDevice)?;
    let device = app.store.devices().waiting(&code).await?.ok_or(SignInError::NoSuchDevice)?;
    app.store.devices().succeeded(session).await?;
    Ok(device)
}

/// Lets the device with this code in, as the caller, or refuses it. It gets its session when it polls next.
///
/// # Errors
/// As [`waiting`].
pub async fn decide(
    app: &App,
    caller: &Caller,
    user_code: &str,
    decision: DeviceDecision,
    request_id: RequestId,
) -> Result<WaitingDevice, SignInError> {
    let device = waiting(app, caller, user_code).await?;
    let (user, session) = person(caller)?;
    let word = match decision {
        DeviceDecision::Approve => "approve",
        DeviceDecision::Deny => "deny",
    };
    let (address, asked) = (device.ip.to_string(), device.created.to_rfc3339());
    let about = [
        ("decision", word),
        ("device", device.device.as_str()),
        ("address", address.as_str()),
        ("asked", asked.as_str()),
    ];
    let operator = app.operator(caller, request_id);
    record(&app.store, events::event(&operator, "gateway:auth:device_confirm", &about)).await?;
    match app.store.devices().decide(device.id, user, session, decision).await {
        Ok(()) => Ok(device),
        Err(StoreError::Conflict) => Err(SignInError::NoSuchDevice),
        Err(error) => Err(error.into()),
    }
}

fn person(caller: &Caller) -> Result<(UserId, SessionId), SignInError> {
    match &caller.principal {
        Principal::User { id, session, .. } => Ok((*id, *session)),
        Principal::Anonymous
        | Principal::ApiToken { .. }
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => Err(SignInError::NotASession),
    }
}

/// A new code. Bytes that would make some letters likelier than others are thrown away.
fn new_user_code(entropy: &dyn Entropy) -> String {
    let mut code = String::with_capacity(CODE_LETTERS);
    while code.len() < CODE_LETTERS {
        let mut byte = [0u8; 1];
        entropy.fill(&mut byte);
        let [value] = byte;
        let fair = usize::from(u8::MAX) / LETTERS.len() * LETTERS.len();
        if usize::from(value) < fair {
            code.extend(LETTERS.get(usize::from(value) % LETTERS.len()).copied().map(char::from));
        }
    }
    code
}

/// A code as people read it: `XXXX-XXXX`.
pub fn shown(code: &str) -> String {
    match code.split_at_checked(CODE_LETTERS / 2) {
        Some((first, second)) => format!("{first}-{second}"),
        None => code.to_owned(),
    }
}

/// The one spelling of a code that a person typed; `None` when it cannot be one.
fn canonical(typed: &str) -> Option<String> {
    if typed.len() > 64 {
        return None;
    }
    let code: String =
        typed.chars().filter(|c| !c.is_whitespace() && *c != '-').map(|c| c.to_ascii_uppercase()).collect();
    let is_code = code.len() == CODE_LETTERS && code.bytes().all(|byte| LETTERS.contains(&byte));
    is_code.then_some(code)
}

#[cfg(test)]
mod tests {
    use gateway_types::OsEntropy;

    use super::*;

    #[test]
    fn codes_as_people_type_them() {
        for typed in ["BCDF-GHJK", "bcdfghjk", " bcdf ghjk ", "bc-df-gh-jk"] {
            assert_eq!(canonical(typed).as_deref(), Some("BCDFGHJK"), "{typed}");
        }
        for typed in ["", "BCDF-GHJ", "BCDF-GHJKL", "ACDF-GHJK", "BCDF–GHJK", "ＢＣＤＦＧＨＪＫ", "BCDF_GHJK"]
        {
            assert_eq!(canonical(typed), None, "{typed}");
        }
        assert_eq!(shown("BCDFGHJK"), "BCDF-GHJK");
    }

    #[test]
    fn new_codes_use_every_letter_and_no_other() {
        let all: String = (0..200).map(|_| new_user_code(&OsEntropy)).collect();
        assert!(all.len() == 1600 && all.bytes().all(|byte| LETTERS.contains(&byte)));
        assert!(LETTERS.iter().all(|letter| all.bytes().any(|byte| byte == *letter)));
    }
}
