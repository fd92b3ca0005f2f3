//! YubiKeys that type one-time passwords: enrolled, and checked by a validation server.

use std::sync::Arc;

use gateway_identity::oidc::{Fetch, FetchError};
use gateway_identity::yubico::{Client, Counters, YubicoFault, YubicoOtp};
use gateway_store::{FactorKind, NewKey, RightCode, Store, StoreError};
use gateway_types::{Caller, Entropy, SessionId, UserId};
use http::{Method, Request};

use super::account::{Enrolled, asking, locked};
use super::{FactorError, check_name, passkeys};
use crate::step_up::{TRIES, TRIES_OF_PERSON, stays_counted};
use crate::{App, Operator};

/// The most of a reply that is read, in bytes.
const MOST_BYTES: usize = 4096;

/// The way to the validation server.
#[derive(Debug)]
pub struct Yubico {
    client: Client,
    fetch: Arc<dyn Fetch>,
    entropy: Arc<dyn Entropy>,
}

/// Why a password was not found right.
#[derive(Debug, thiserror::Error)]
pub enum YubicoError {
    /// The server said no, or what it said is no answer.
    #[error(transparent)]
    Fault(#[from] YubicoFault),
    /// The server cannot be reached.
    #[error("the validation server cannot be reached")]
    Fetch(#[from] FetchError),
    /// The question is no address that can be asked.
    #[error("the validation server has no address that can be asked")]
    Address(#[from] http::Error),
    /// The reply is no text, or has another status than 200.
    #[error("the validation server answered with status {status}")]
    Status {
        /// The status.
        status: u16,
    },
}

impl Yubico {
    /// The way to the server that gave this client.
    pub fn new(client: Client, fetch: Arc<dyn Fetch>, entropy: Arc<dyn Entropy>) -> Self {
        Self { client, fetch, entropy }
    }

    /// Asks the server whether a password is right and new. The password is thereby used.
    ///
    /// # Errors
    /// [`YubicoError`].
    async fn validate(&self, otp: &YubicoOtp) -> Result<Counters, YubicoError> {
        let question = self.client.ask(otp, &*self.entropy);
        let request = Request::builder().method(Method::GET).uri(question.url.expose().as_str());
        let reply = self.fetch.fetch(request.body(Vec::new())?).await?;
        let status = reply.status().as_u16();
        let text = reply.body().get(..reply.body().len().min(MOST_BYTES)).unwrap_or_default();
        match std::str::from_utf8(text) {
            Ok(text) if status == 200 => Ok(self.client.judge(&question, otp, text)?),
            Ok(_) | Err(_) => Err(YubicoError::Status { status }),
        }
    }
}

/// How a key is named in the store: no two people can enrol one.
fn credential(otp: &YubicoOtp) -> String {
    format!("yubico:{}", otp.public_id())
}

/// Enrols the key that typed this, for the person who asks. It counts at once.
///
/// # Errors
/// [`FactorError::NotAPerson`], [`FactorError::BadName`], [`FactorError::NoYubico`] when there is no validation
/// server, [`FactorError::NotACode`], [`FactorError::WrongCode`], [`FactorError::TooManyTries`],
/// [`FactorError::Yubico`], [`FactorError::KnownKey`], [`FactorError::TooMany`], or the store's.
pub async fn enrol(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    name: &str,
    typed: &str,
) -> Result<Enrolled, FactorError> {
    let (user, session) = asking(caller)?;
    check_name(name)?;
    let yubico = app.yubico.as_deref().ok_or(FactorError::NoYubico)?;
    let otp: YubicoOtp = typed.trim().parse().map_err(|_not| FactorError::NotAnOtp)?;
    let step_ups = app.store.step_ups();
    let tries = step_ups.begin_try(user, session, TRIES, TRIES_OF_PERSON).await?;
    if let gateway_store::Try::TooMany(until) = tries {
        return Err(locked(app, operator, caller, until).await);
    }
    let counters = match yubico.validate(&otp).await {
        Ok(counters) => counters,
        Err(YubicoError::Fault(YubicoFault::Wrong | YubicoFault::Replayed)) => {
            return Err(FactorError::WrongOtp);
        }
        Err(error) => {
            if let Err(error) = step_ups.unchecked(user, session).await {
                stays_counted(&error);
            }
            return Err(FactorError::Yubico(error));
        }
    };
    if let Err(error) = step_ups.succeeded(user, session).await {
        stays_counted(&error);
    }
    let new = NewKey {
        kind: FactorKind::Yubico,
        name,
        credential: &credential(&otp),
        material: &gateway_types::Secret::new(Vec::new()),
        counter: counters.both,
    };
    passkeys::add_key(app, operator, user, new).await
}

/// What a password turned out to be.
#[derive(Debug)]
pub(crate) enum Checked {
    /// Right, and not yet used: it is to be spent.
    Right(RightCode),
    /// Right, and used by this very session before.
    Before,
    /// Right, and used before.
    Spent,
    /// None of a key of this person's.
    Wrong,
    /// It cannot be checked now.
    Unknown,
}

/// Checks a password that is to open the window of `session`, or none.
///
/// # Errors
/// Only the store's.
pub(crate) async fn check(
    store: &Store,
    yubico: Option<&Yubico>,
    user: UserId,
    session: Option<SessionId>,
    otp: &YubicoOtp,
) -> Result<Checked, StoreError> {
    let kind = FactorKind::Yubico;
    let keys = store.factors().keys(user, kind).await?;
    let name = credential(otp);
    let Some(key) = keys.into_iter().find(|key| key.credential == name) else { return Ok(Checked::Wrong) };
    let answer = otp.digest();
    if let Some(session) = session
        && store.step_ups().answered_before(session, kind, &answer).await?.is_some()
    {
        return Ok(Checked::Before);
    }
    let Some(yubico) = yubico else { return Ok(Checked::Unknown) };
    Ok(match yubico.validate(otp).await {
        Ok(counters) => Checked::Right(RightCode::Key {
            kind,
            factor: key.factor.id,
            counter: counters.both,
            sealed: None,
            answer,
        }),
        Err(YubicoError::Fault(YubicoFault::Wrong)) => Checked::Wrong,
        Err(YubicoError::Fault(YubicoFault::Replayed)) => Checked::Spent,
        Err(
            error @ (YubicoError::Fault(YubicoFault::Refused { .. } | YubicoFault::Untrusted { .. })
            | YubicoError::Fetch(_)
            | YubicoError::Address(_)
            | YubicoError::Status { .. }),
        ) => {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "what a YubiKey typed cannot be checked"
            );
            Checked::Unknown
        }
    })
}
