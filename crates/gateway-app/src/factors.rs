//! Second factors of people: enrolled, confirmed, listed, removed; each change an event before it is made.
//!
//! Who may do this to whom is the verdict's business before any of these is called. [`account`] is what
//! people do with their own, [`passkeys`] how a passkey or security key is enrolled and asked.

use std::time::Duration;

use gateway_audit::Event;
use gateway_identity::{BackupCode, TotpCode, TotpSecret, WebauthnFault};
use gateway_store::{Factor, FactorKind, Store, StoreError, User};
use gateway_types::{FactorId, Secret, Timestamp, UserId};

use crate::sign_in::SignInError;
use crate::{Operator, record};

pub mod account;
pub mod passkeys;
pub mod yubico;

/// What the digests of backup codes are keyed with.
pub const BACKUP_KEY: &str = "backup-codes/v1";

/// Who an authenticator shows the codes to be of.
const ISSUER: &str = "Rack Gateway";

/// How long after it was begun an enrolment can be ended.
pub const ENROL_WITHIN: Duration = Duration::from_secs(15 * 60);

/// Why a second factor was not changed.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// The store said no or cannot be reached.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The intent could not be recorded.
    #[error(transparent)]
    Record(#[from] crate::AppError),
    /// There is nothing to be approved with it.
    #[error(transparent)]
    Approval(#[from] crate::approvals::ApprovalError),
    /// There is no such person.
    #[error("there is no person {0}")]
    UnknownPerson(UserId),
    /// This person has no such factor, or it does not wait to be confirmed.
    #[error("this person has no such second factor, or it is confirmed already")]
    UnknownFactor(FactorId),
    /// There are too many.
    #[error("this person has as many second factors as there can be; remove one first")]
    TooMany,
    /// The key is enrolled, by this person or another one.
    #[error("this key is enrolled already")]
    KnownKey,
    /// A passkey's ceremony was not begun or not ended.
    #[error(transparent)]
    Passkey(#[from] WebauthnFault),
    /// The challenge is over, was answered, or was given to another session or for something else.
    #[error("the passkey was asked too long ago, or answered already; begin again")]
    NoCeremony,
    /// No validation server is configured.
    #[error(
        "this gateway has no validation server for what YubiKeys type (yubico.client_id); enrol the key as a passkey"
    )]
    NoYubico,
    /// The text is nothing that a YubiKey types.
    #[error("a YubiKey types 44 letters; touch it while the field has the cursor")]
    NotAnOtp,
    /// It is wrong, or was used before.
    #[error("what the key typed is not right or was used before; touch it once more")]
    WrongOtp,
    /// It cannot be checked.
    #[error("what the key typed cannot be checked now; try again later, or enrol the key as a passkey")]
    Yubico(#[source] yubico::YubicoError),
    /// Passkeys cannot be used at the address that was opened.
    #[error(transparent)]
    Place(#[from] SignInError),
    /// The code does not show that the authenticator works.
    #[error("the code is not the one that this authenticator should show now; check the clock of the device")]
    WrongCode,
    /// A factor needs a name of visible characters.
    #[error("a second factor's name has 1 to 100 visible characters")]
    BadName,
    /// A machine asks.
    #[error("second factors are people's; sign in to change yours")]
    NotAPerson,
    /// The text is no code.
    #[error("a one-time code is exactly six digits, 0 to 9")]
    NotACode,
    /// Too many codes of this session were wrong.
    #[error("too many codes of this session were wrong, so no more are looked at for now")]
    TooManyTries {
        /// Until when.
        until: Timestamp,
        /// The moment of this try.
        now: Timestamp,
    },
    /// A passkey is to be asked, and there is none.
    #[error("you have no passkey; give a code of your authenticator, or enrol a passkey first")]
    NoPasskey,
    /// Backup codes stand in for another factor.
    #[error("enrol a second factor first; backup codes are for when it is lost")]
    NoFactor,
}

/// An authenticator that was just enrolled. Its secret is shown here and never again.
#[derive(Debug)]
pub struct Enrolment {
    /// The factor.
    pub factor: Factor,
    /// The secret in base32, for an authenticator that cannot scan.
    pub secret: Secret<String>,
    /// The `otpauth://` address that a QR code shows.
    pub url: Secret<String>,
}

/// Begins to enrol an authenticator. It counts for nothing until [`confirm_totp`].
///
/// # Errors
/// [`FactorError::BadName`], [`FactorError::UnknownPerson`], [`FactorError::TooMany`], or the store's.
pub async fn enrol_totp(
    store: &Store,
    operator: &Operator<'_>,
    user: UserId,
    name: &str,
) -> Result<Enrolment, FactorError> {
    enrol(store, operator, user, name, "to be confirmed").await
}

async fn enrol(
    store: &Store,
    operator: &Operator<'_>,
    user: UserId,
    name: &str,
    stage: &str,
) -> Result<Enrolment, FactorError> {
    check_name(name)?;
    let person = person(store, user).await?;
    let mut event = event(operator, "gateway:factor:enrol", &person);
    event.parameters.insert("kind".to_owned(), FactorKind::Totp.name().to_owned());
    event.parameters.insert("name".to_owned(), gateway_audit::bounded(name));
    event.parameters.insert("stage".to_owned(), stage.to_owned());
    record(store, event).await?;
    let secret = TotpSecret::generate(operator.entropy);
    let factor = store.factors().create_totp(user, name, secret.bytes()).await.map_err(|error| {
        if matches!(error, StoreError::Conflict) { FactorError::TooMany } else { error.into() }
    })?;
    Ok(Enrolment { factor, secret: secret.base32(), url: secret.otpauth_url(ISSUER, &person.email) })
}

/// Ends an enrolment with the code that the authenticator shows now, which is thereby spent.
///
/// # Errors
/// [`FactorError::UnknownFactor`], [`FactorError::WrongCode`], or the store's.
pub async fn confirm_totp(
    store: &Store,
    operator: &Operator<'_>,
    user: UserId,
    id: FactorId,
    code: &TotpCode,
) -> Result<Factor, FactorError> {
    let seeds = store.factors().seeds(user).await?;
    let now = operator.clock.now();
    let waiting = seeds.into_iter().find(|(factor, _)| factor.id == id && waits(factor, now));
    let (factor, seed) = waiting.ok_or(FactorError::UnknownFactor(id))?;
    let step = TotpSecret::from_bytes(seed).matching_step(code, now).ok_or(FactorError::WrongCode)?;
    record_of(store, operator, "gateway:factor:enrol", &factor, "confirmed").await?;
    confirm(store, user, id, Some(step.0)).await
}

/// Enrols an authenticator that counts at once, without anybody having shown a code of it.
///
/// # Errors
/// As [`enrol_totp`].
///
/// # Security
/// Whoever calls this vouches for the person and holds their secret. Only commands on the server's own
/// machine may: `demo`, and the tests.
pub async fn enrol_confirmed_totp(
    store: &Store,
    operator: &Operator<'_>,
    user: UserId,
    name: &str,
) -> Result<Enrolment, FactorError> {
    let enrolment = enrol(store, operator, user, name, "confirmed by the operator").await?;
    let factor = confirm(store, user, enrolment.factor.id, None).await?;
    Ok(Enrolment { factor, ..enrolment })
}

async fn confirm(
    store: &Store,
    user: UserId,
    id: FactorId,
    step: Option<i64>,
) -> Result<Factor, FactorError> {
    store.factors().confirm(user, id, step).await.map_err(|error| unknown(error, id))
}

/// A person's authenticators, oldest first, also the one that waits to be confirmed.
///
/// # Errors
/// Only the store's.
pub async fn list(store: &Store, user: UserId) -> Result<Vec<Factor>, FactorError> {
    Ok(store.factors().list(user).await?)
}

/// Removes an authenticator, and ends the windows that it opened.
///
/// # Errors
/// [`FactorError::UnknownFactor`], or the store's.
pub async fn remove(
    store: &Store,
    operator: &Operator<'_>,
    user: UserId,
    id: FactorId,
) -> Result<(), FactorError> {
    let factors = store.factors().list(user).await?;
    let factor = factors.into_iter().find(|factor| factor.id == id).ok_or(FactorError::UnknownFactor(id))?;
    record_of(store, operator, "gateway:factor:remove", &factor, "removed").await?;
    store.factors().remove(user, id).await.map_err(|error| unknown(error, id))
}

/// Makes ten new backup codes in place of all that the person had; they are shown here and never again.
///
/// # Errors
/// [`FactorError::UnknownPerson`], or the store's.
pub async fn new_backup_codes(
    store: &Store,
    operator: &Operator<'_>,
    user: UserId,
) -> Result<Vec<Secret<String>>, FactorError> {
    let person = person(store, user).await?;
    record(store, event(operator, "gateway:factor:backup_codes", &person)).await?;
    let codes = BackupCode::generate(operator.entropy);
    let key = store.derive_key(BACKUP_KEY);
    let digests: Vec<String> = codes.iter().map(|code| code.digest(&key, user)).collect();
    store.factors().replace_backup_codes(user, &digests).await?;
    Ok(codes.iter().map(BackupCode::shown).collect())
}

/// Whether an enrolment was begun, not ended, and not too long ago.
fn waits(factor: &Factor, now: Timestamp) -> bool {
    let in_time = now.checked_since(factor.created).is_none_or(|age| age <= ENROL_WITHIN);
    factor.confirmed.is_none() && in_time
}

fn check_name(name: &str) -> Result<(), FactorError> {
    if crate::users::is_name(name) { Ok(()) } else { Err(FactorError::BadName) }
}

async fn person(store: &Store, user: UserId) -> Result<User, FactorError> {
    store.users().by_id(user).await?.ok_or(FactorError::UnknownPerson(user))
}

fn unknown(error: StoreError, id: FactorId) -> FactorError {
    if matches!(error, StoreError::NotFound) { FactorError::UnknownFactor(id) } else { error.into() }
}

fn event(operator: &Operator<'_>, action: &str, person: &User) -> Event {
    let mut event = operator.event(action);
    event.parameters.insert("user".to_owned(), person.id.to_string());
    event.parameters.insert("email".to_owned(), person.email.clone());
    event
}

async fn record_of(
    store: &Store,
    operator: &Operator<'_>,
    action: &str,
    factor: &Factor,
    stage: &str,
) -> Result<(), FactorError> {
    let mut event = event(operator, action, &person(store, factor.user).await?);
    event.parameters.insert("factor".to_owned(), factor.id.to_string());
    event.parameters.insert("kind".to_owned(), factor.kind.name().to_owned());
    event.parameters.insert("name".to_owned(), gateway_audit::bounded(&factor.name));
    event.parameters.insert("stage".to_owned(), stage.to_owned());
    Ok(record(store, event).await?)
}
