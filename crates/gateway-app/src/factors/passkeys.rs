//! Passkeys and security keys of people: enrolled, and asked to confirm something.
//!
//! A challenge is kept on the server, for the session that asks and for one purpose, five minutes and one
//! answer long. What an answer is good for is decided by that purpose alone, never by what comes with it.

use gateway_identity::webauthn::{self, Begun, CEREMONY_TIME};
use gateway_identity::{Assertion, Attestation, Passkey, RelyingParty};
use gateway_store::{Asker, Factor, FactorKind, KeptKey, NewCeremony, NewKey, RightCode, Store, StoreError};
use gateway_types::{Caller, ChallengeId, Timestamp, UserId};

use super::account::{self, Enrolled, asking};
use super::{FactorError, check_name, event, new_backup_codes, person};
use crate::approvals::signing;
use crate::origin::Origin;
use crate::sign_in::place;
use crate::{App, Notice, Operator, record};

/// The purpose of an enrolment's challenge.
const ENROL: &str = "enrol";

/// What a passkey is asked for.
#[derive(Clone, Debug)]
pub enum Purpose<'a> {
    /// The window of the session that asks.
    Window,
    /// A step-up challenge that its person looks at.
    Challenge(ChallengeId),
    /// A request that the same session will send: method and path.
    Request(&'a str),
    /// The sign-in that asks.
    SignIn,
}

impl Purpose<'_> {
    /// As it is kept.
    fn kept(&self) -> String {
        match self {
            Purpose::Window => "window".to_owned(),
            Purpose::Challenge(id) => format!("challenge:{id}"),
            Purpose::Request(target) => format!("request:{}", gateway_audit::bounded(target)),
            Purpose::SignIn => "sign-in".to_owned(),
        }
    }
}

/// A passkey that is to be asked, or made.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What the browser's `navigator.credentials` takes, as JSON.
    pub options: String,
    /// Until when it may answer.
    pub expires: Timestamp,
}

/// This gateway as passkeys know it, for a request that came to `claimed`.
///
/// # Errors
/// [`FactorError::Place`] when that is not the gateway's own address, [`FactorError::Passkey`] when the
/// address is no name.
async fn relying_party(app: &App, claimed: &Origin) -> Result<RelyingParty, FactorError> {
    let origin = place::holding(app, claimed).await?;
    Ok(RelyingParty::new(origin.host(), &origin.to_string())?)
}

/// Begins to enrol a passkey of the person who asks.
///
/// # Errors
/// [`FactorError::NotAPerson`], [`FactorError::BadName`], those of an address that passkeys cannot be used
/// at, or the store's.
pub async fn begin_enrolment(
    app: &App,
    caller: &Caller,
    claimed: &Origin,
    name: &str,
) -> Result<Asked, FactorError> {
    let (user, session) = asking(caller)?;
    check_name(name)?;
    let party = relying_party(app, claimed).await?;
    let known = keys(&app.store, user).await?;
    let known: Vec<Passkey> = known.into_iter().map(|(_, passkey)| passkey).collect();
    let account = person(&app.store, user).await?.email;
    let begun = party.begin_enrolment(user, &account, &known)?;
    keep(&app.store, Asker::Session(session), ENROL.to_owned(), begun).await
}

/// Ends it with what the browser answered. The key counts at once.
///
/// # Errors
/// As [`begin_enrolment`], [`FactorError::NoCeremony`], [`FactorError::Passkey`], [`FactorError::KnownKey`],
/// [`FactorError::TooMany`].
pub async fn finish_enrolment(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    name: &str,
    answer: &[u8],
) -> Result<Enrolled, FactorError> {
    let (user, session) = asking(caller)?;
    check_name(name)?;
    let answer = Attestation::from_json(answer)?;
    let taken = app.store.ceremonies().take(Asker::Session(session), ENROL, answer.challenge()).await?;
    let key = webauthn::finish_enrolment(&taken.ok_or(FactorError::NoCeremony)?, &answer)?;
    let new = NewKey {
        kind: FactorKind::Webauthn,
        name,
        credential: &format!("webauthn:{}", key.id()),
        material: &key.to_bytes()?,
        counter: key.counter(),
    };
    add_key(app, operator, user, new).await
}

/// Adds a key that was shown to work, and tells its person.
pub(super) async fn add_key(
    app: &App,
    operator: &Operator<'_>,
    user: UserId,
    new: NewKey<'_>,
) -> Result<Enrolled, FactorError> {
    let owner = person(&app.store, user).await?;
    let is_first = account::standing(app, user).await?.confirmed() == 0;
    let mut event = event(operator, "gateway:factor:enrol", &owner);
    event.parameters.insert("kind".to_owned(), new.kind.name().to_owned());
    event.parameters.insert("name".to_owned(), gateway_audit::bounded(new.name));
    event.parameters.insert("credential".to_owned(), gateway_audit::bounded(new.credential));
    event.parameters.insert("stage".to_owned(), "confirmed".to_owned());
    record(&app.store, event).await?;
    let factor = app.store.factors().create_key(user, new).await.map_err(|error| match error {
        StoreError::Exists => FactorError::KnownKey,
        StoreError::Conflict => FactorError::TooMany,
        StoreError::NotFound => FactorError::UnknownPerson(user),
        other => other.into(),
    })?;
    let backup_codes =
        if is_first { Some(new_backup_codes(&app.store, operator, user).await?) } else { None };
    app.notices.notify(Notice::FactorEnrolled { email: owner.email, factor: factor.name.clone() }).await;
    Ok(Enrolled { factor, backup_codes })
}

/// Asks the passkeys of the person who asks; what one answers is good for `purpose` alone.
///
/// # Errors
/// [`FactorError::NotAPerson`], [`FactorError::NoPasskey`] when they have none, those of an address that
/// passkeys cannot be used at, or the store's.
pub async fn ask(
    app: &App,
    caller: &Caller,
    claimed: &Origin,
    purpose: &Purpose<'_>,
) -> Result<Asked, FactorError> {
    let (user, session) = asking(caller)?;
    ask_of(app, user, Asker::Session(session), claimed, purpose).await
}

/// The same of this person, for whoever asks on their behalf.
pub(crate) async fn ask_of(
    app: &App,
    user: UserId,
    asker: Asker<'_>,
    claimed: &Origin,
    purpose: &Purpose<'_>,
) -> Result<Asked, FactorError> {
    let party = relying_party(app, claimed).await?;
    let known: Vec<Passkey> = keys(&app.store, user).await?.into_iter().map(|(_, key)| key).collect();
    if known.is_empty() {
        return Err(FactorError::NoPasskey);
    }
    let begun = match statement(app, user, purpose).await? {
        Some(statement) => party.begin_signature(&known, statement)?,
        None => party.begin_assertion(&known)?,
    };
    keep(&app.store, asker, purpose.kept(), begun).await
}

/// What is to be signed for `purpose`, when it is the approval of something.
async fn statement(app: &App, user: UserId, purpose: &Purpose<'_>) -> Result<Option<String>, FactorError> {
    let target = match purpose {
        Purpose::Request(target) => (*target).to_owned(),
        Purpose::Challenge(id) => app.store.challenges().of(user, *id).await?.target,
        Purpose::Window | Purpose::SignIn => return Ok(None),
    };
    signing::to_sign(app, user, &target).await.map_err(FactorError::from)
}

async fn keep(store: &Store, asker: Asker<'_>, purpose: String, begun: Begun) -> Result<Asked, FactorError> {
    let new =
        NewCeremony { asker, purpose, challenge: begun.challenge, state: begun.state, life: CEREMONY_TIME };
    let expires = store.ceremonies().open(&new).await?;
    Ok(Asked { options: begun.options, expires })
}

async fn keys(store: &Store, user: UserId) -> Result<Vec<(KeptKey, Passkey)>, FactorError> {
    let mut keys = Vec::new();
    for kept in store.factors().keys(user, FactorKind::Webauthn).await? {
        let passkey = Passkey::from_bytes(&kept.material)?;
        keys.push((kept, passkey));
    }
    Ok(keys)
}

/// What an answer turned out to be.
#[derive(Debug)]
pub(crate) enum Checked {
    /// Right, and not yet used: it is to be spent.
    Right(RightCode),
    /// It answers a challenge that is over, was answered, or is for something else.
    NoCeremony,
    /// It is not right.
    Wrong,
    /// It is right, but the key's counter went back.
    CounterWentBack(Factor),
}

/// Checks an answer that `asker` brings for `purpose`. Its challenge is used up, whatever comes of it.
///
/// # Errors
/// Only the store's.
pub(crate) async fn check(
    store: &Store,
    user: UserId,
    asker: Asker<'_>,
    purpose: &Purpose<'_>,
    answer: &Assertion,
) -> Result<Checked, StoreError> {
    let taken = store.ceremonies().take(asker, &purpose.kept(), answer.challenge()).await?;
    let Some(state) = taken else { return Ok(Checked::NoCeremony) };
    let known = match keys(store, user).await {
        Ok(known) => known,
        Err(FactorError::Store(error)) => return Err(error),
        Err(error) => {
            tracing::error!(error = &error as &dyn std::error::Error, "a passkey cannot be read");
            return Ok(Checked::Wrong);
        }
    };
    let asserted = match webauthn::finish_assertion(&state, answer) {
        Ok(asserted) => asserted,
        Err(webauthn::WebauthnFault::CounterWentBack) => {
            let id = answer.key();
            let whose = known.into_iter().find(|(_, key)| key.id() == id);
            return Ok(whose.map_or(Checked::Wrong, |(kept, _)| Checked::CounterWentBack(kept.factor)));
        }
        Err(fault) => {
            tracing::info!(error = &fault as &dyn std::error::Error, "a passkey's answer is not right");
            return Ok(Checked::Wrong);
        }
    };
    // It may have been removed since it was asked.
    let found = known.into_iter().find(|(_, key)| key.id() == asserted.id);
    let Some((kept, mut passkey)) = found else { return Ok(Checked::Wrong) };
    if let Some((statement, proof)) = asserted.signature(answer, &passkey) {
        signing::keep(store, user, &statement, &proof).await?;
    }
    asserted.update(&mut passkey);
    let Ok(material) = passkey.to_bytes() else { return Ok(Checked::Wrong) };
    Ok(Checked::Right(RightCode::Key {
        kind: FactorKind::Webauthn,
        factor: kept.factor.id,
        counter: asserted.counter,
        sealed: Some(store.factors().seal_key(&kept.factor, &material)?),
        answer: answer.challenge().to_owned(),
    }))
}
