//! What people do with their own second factors: enrol one, name it, remove it, get new backup codes.
//!
//! # Security
//! Never for an API token: a stolen one must not touch the factors of the person who made it. Codes that
//! end an enrolment are counted as tries like those of a step-up.

use gateway_identity::TotpCode;
use gateway_store::{Factor, FactorKind, Remaining, Try};
use gateway_types::{Caller, FactorId, Principal, Secret, SessionId, Timestamp, UserId};

use super::{
    ENROL_WITHIN, Enrolment, FactorError, check_name, confirm_totp, enrol_totp, event, new_backup_codes,
    person, record_of, unknown,
};
use crate::step_up::{Lock, TRIES, TRIES_OF_PERSON, tell_of_lock};
use crate::{App, Notice, Operator, record};

/// What a person can confirm with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// Factors, oldest first; also the authenticator that still waits to be confirmed.
    pub factors: Vec<Factor>,
    /// Backup codes that are not used yet.
    pub backup_codes_left: u64,
}

impl Standing {
    /// How many factors count.
    pub fn confirmed(&self) -> usize {
        self.factors.iter().filter(|factor| factor.confirmed.is_some()).count()
    }

    /// Whether one of them is a passkey or security key.
    pub fn has_passkey(&self) -> bool {
        self.factors.iter().any(|factor| factor.kind == FactorKind::Webauthn)
    }
}

/// An enrolment that was ended.
#[derive(Debug)]
pub struct Enrolled {
    /// The factor, which counts from now on.
    pub factor: Factor,
    /// Ten backup codes when it is the person's first one, shown here and never again.
    pub backup_codes: Option<Vec<Secret<String>>>,
}

/// What `user` can confirm with. An enrolment that nobody ended in time is left out.
///
/// # Errors
/// Only the store's.
pub async fn standing(app: &App, user: UserId) -> Result<Standing, FactorError> {
    let now = app.clock.now();
    let mut factors = app.store.factors().list(user).await?;
    factors.retain(|factor| factor.confirmed.is_some() || super::waits(factor, now));
    let left = app.store.factors().backup_codes_left(user).await?;
    Ok(Standing { factors, backup_codes_left: u64::try_from(left).unwrap_or(0) })
}

/// Begins to enrol an authenticator of the person who asks; it has to be confirmed within
/// [`ENROL_WITHIN`].
///
/// # Errors
/// [`FactorError::NotAPerson`], [`FactorError::BadName`], [`FactorError::TooMany`], or the store's.
pub async fn begin(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    name: &str,
) -> Result<Enrolment, FactorError> {
    let (user, _session) = asking(caller)?;
    enrol_totp(&app.store, operator, user, name).await
}

/// Ends it with the code that the authenticator shows.
///
/// # Errors
/// [`FactorError::NotAPerson`], [`FactorError::NotACode`], [`FactorError::UnknownFactor`] also when it was
/// begun too long ago, [`FactorError::WrongCode`], [`FactorError::TooManyTries`], or the store's.
pub async fn finish(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: FactorId,
    code: &str,
) -> Result<Enrolled, FactorError> {
    let (user, session) = asking(caller)?;
    let code: TotpCode = code.trim().parse().map_err(|_not| FactorError::NotACode)?;
    let step_ups = app.store.step_ups();
    if let Try::TooMany(until) = step_ups.begin_try(user, session, TRIES, TRIES_OF_PERSON).await? {
        return Err(locked(app, operator, caller, until).await);
    }
    let is_first = standing(app, user).await?.confirmed() == 0;
    let factor = confirm_totp(&app.store, operator, user, id, &code).await?;
    if let Err(error) = step_ups.succeeded(user, session).await {
        // A count that stays too high only makes the limit stricter for a while.
        tracing::warn!(error = &error as &dyn std::error::Error, "a right code stays counted as a try");
    }
    let backup_codes =
        if is_first { Some(new_backup_codes(&app.store, operator, user).await?) } else { None };
    let email = person(&app.store, user).await?.email;
    app.notices.notify(Notice::FactorEnrolled { email, factor: factor.name.clone() }).await;
    Ok(Enrolled { factor, backup_codes })
}

/// Too many codes of the person who asks were wrong: they are told, once, and no more are looked at.
pub(super) async fn locked(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    until: Timestamp,
) -> FactorError {
    let (user, session) = match asking(caller) {
        Ok(asking) => asking,
        Err(error) => return error,
    };
    let lock = Lock {
        user,
        email: &caller.principal.display_name(),
        session: Some(session),
        until,
        source_ip: Some(caller.source_ip),
    };
    tell_of_lock(&app.store, &*app.notices, operator, lock).await;
    FactorError::TooManyTries { until, now: app.clock.now() }
}

/// Gives an authenticator of the person who asks another name.
///
/// # Errors
/// [`FactorError::NotAPerson`], [`FactorError::BadName`], [`FactorError::UnknownFactor`], or the store's.
pub async fn rename(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: FactorId,
    name: &str,
) -> Result<Factor, FactorError> {
    let (user, _session) = asking(caller)?;
    check_name(name)?;
    let factors = app.store.factors().list(user).await?;
    let factor = factors.into_iter().find(|factor| factor.id == id).ok_or(FactorError::UnknownFactor(id))?;
    let mut event = event(operator, "gateway:factor:rename", &person(&app.store, user).await?);
    event.parameters.insert("factor".to_owned(), id.to_string());
    event.before = Some(serde_json::json!({ "name": gateway_audit::bounded(&factor.name) }));
    event.after = Some(serde_json::json!({ "name": gateway_audit::bounded(name) }));
    record(&app.store, event).await?;
    app.store.factors().rename(user, id, name).await.map_err(|error| unknown(error, id))?;
    Ok(Factor { name: name.to_owned(), ..factor })
}

/// Removes an authenticator of the person who asks. With the last one that counts go the backup codes, and
/// all their other sessions end.
///
/// # Errors
/// [`FactorError::NotAPerson`], [`FactorError::UnknownFactor`], or the store's.
pub async fn remove_own(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: FactorId,
) -> Result<Remaining, FactorError> {
    let (user, session) = asking(caller)?;
    let factors = app.store.factors().list(user).await?;
    let factor = factors.into_iter().find(|factor| factor.id == id).ok_or(FactorError::UnknownFactor(id))?;
    record_of(&app.store, operator, "gateway:factor:remove", &factor, "removed").await?;
    let email = person(&app.store, user).await?.email;
    let removed = app.store.factors().remove_from(user, id, session).await;
    let remaining = removed.map_err(|error| unknown(error, id))?;
    if factor.confirmed.is_some() {
        let by = crate::users::by(operator);
        app.notices.notify(Notice::FactorRemoved { email, factor: factor.name, by }).await;
    }
    Ok(remaining)
}

/// Makes ten new backup codes for the person who asks, in place of all they had.
///
/// # Errors
/// [`FactorError::NotAPerson`], [`FactorError::NoFactor`], or the store's.
pub async fn own_backup_codes(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
) -> Result<Vec<Secret<String>>, FactorError> {
    let (user, _session) = asking(caller)?;
    if standing(app, user).await?.confirmed() == 0 {
        return Err(FactorError::NoFactor);
    }
    let codes = new_backup_codes(&app.store, operator, user).await?;
    let email = person(&app.store, user).await?.email;
    app.notices.notify(Notice::BackupCodesMade { email }).await;
    Ok(codes)
}

/// Until when an enrolment that was begun can be ended.
pub fn ends(factor: &Factor) -> gateway_types::Timestamp {
    factor.created.saturating_add(ENROL_WITHIN)
}

pub(super) fn asking(caller: &Caller) -> Result<(UserId, SessionId), FactorError> {
    match &caller.principal {
        Principal::User { id, session, .. } => Ok((*id, *session)),
        Principal::Anonymous
        | Principal::ApiToken { .. }
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => Err(FactorError::NotAPerson),
    }
}
