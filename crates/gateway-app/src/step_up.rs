//! Step-up: proving a second factor, for a window of one session or for one action once.
//!
//! Who needs a factor, and what for, policy says. Here a code is found right or wrong, spent exactly
//! once, and what it is good for is noted.
//!
//! # Security
//! Tries are counted before a code is looked at. A challenge is confirmed by its own person only, and
//! what it opens belongs to the session that was refused, not to the one that confirms.

mod copied;
mod few;
mod lock;
mod prove;
mod young;

use std::net::IpAddr;
use std::time::Duration;

use gateway_identity::{Assertion, InlineFactor, TotpSecret};
use gateway_store::{
    Asker, FactorKind, NewChallenge, OpenWindow, RightCode, Spent, Store, StoreError, Try, TryLimit,
    UsedFactor,
};
use gateway_types::{
    Caller, ChallengeId, FactorId, Layer, Operation, Principal, Problem, ProblemKind, Remedy, RemedyKind,
    Resource, SessionId, Timestamp, UserId,
};

pub use copied::{Copied, tell_of_copy};
pub use few::tell_of_few_codes;
pub use lock::{Lock, tell_of_lock};
pub use prove::{Proven, prove};
use young::is_young;
pub use young::{YOUNG, was_enrolled_lately};

use crate::factors::BACKUP_KEY;
use crate::factors::passkeys::{self, Asked, Checked, Purpose};
use crate::factors::yubico::{self, Yubico};
use crate::origin::Origin;
use crate::{App, Operator, record};

/// How many codes of one session may be wrong before no more are looked at. Those of one person are
/// limited too, see [`TRIES_OF_PERSON`].
pub const TRIES: TryLimit = TryLimit { most: 5, within: Duration::from_secs(5 * 60) };

/// How many codes of one person may be wrong, with all their sessions together. A thief who opens session
/// after session has no more guesses than this: about 1 in 100 to be right once in a week of trying.
pub const TRIES_OF_PERSON: TryLimit = TryLimit { most: 20, within: Duration::from_secs(60 * 60) };

/// The id that stands for the window of the session that asks.
pub const WINDOW: &str = "window";

/// The id that stands for one request that the session that asks will send with a passkey's answer.
pub const REQUEST: &str = "request";

/// The most challenges that one factor confirms: no session has more that are open.
const MOST_TOGETHER: usize = 50;

/// What became of a code.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Spending {
    /// It was right, and spent by this call, which opened the session's window.
    Fresh(OpenWindow),
    /// It was right, and spent by this very session before.
    Before,
    /// It is not one of this person's, or not one of this moment.
    Wrong,
    /// It was right and is spent.
    Spent,
    /// It is of this key, whose counter went back: there may be a copy of it.
    Copied(FactorId),
    /// It cannot be found out now.
    Unknown,
    /// Too many were wrong; no more are looked at until this moment.
    TooMany(Timestamp),
}

/// What factors are checked with.
#[derive(Clone, Copy, Debug)]
pub struct Checks<'a> {
    /// What is known of people's factors.
    pub store: &'a Store,
    /// The moment of the check.
    pub now: Timestamp,
    /// Who checks what YubiKeys type.
    pub yubico: Option<&'a Yubico>,
}

/// Who gives a factor, and what it is to be good for.
#[derive(Clone, Debug)]
pub struct Giving<'a> {
    /// Whose factor it must be.
    pub user: UserId,
    /// The session whose window it opens.
    pub session: SessionId,
    /// Who gives it, and is the one that asked a passkey.
    pub by: Asker<'a>,
    /// What a passkey must have been asked for.
    pub purpose: Purpose<'a>,
}

/// Spends a factor for a session, and opens its window when the factor is right and fresh.
///
/// # Errors
/// Only when the database cannot be used; whether the factor is spent is then not known.
pub async fn spend(
    checks: &Checks<'_>,
    giving: &Giving<'_>,
    factor: &InlineFactor,
) -> Result<Spending, StoreError> {
    let store = checks.store;
    let Giving { user, session, .. } = *giving;
    let step_ups = store.step_ups();
    if let Try::TooMany(until) = step_ups.begin_try(user, session, TRIES, TRIES_OF_PERSON).await? {
        return Ok(Spending::TooMany(until));
    }
    let giver = Giver { user, session: Some(session), by: giving.by, purpose: &giving.purpose };
    let code = match right_code(checks, &giver, factor).await? {
        Found::Code(code) => code,
        Found::Before => {
            is_no_guess(store, user, session).await;
            return Ok(Spending::Before);
        }
        Found::Not(spending) => {
            if spending == Spending::Unknown {
                is_no_guess(store, user, session).await;
            }
            return Ok(spending);
        }
    };
    match step_ups.spend(user, session, &code).await? {
        Spent::Fresh(window) => {
            was_right(store, user, session).await;
            Ok(Spending::Fresh(window))
        }
        Spent::Before(_) => {
            is_no_guess(store, user, session).await;
            Ok(Spending::Before)
        }
        Spent::Refused => Ok(not_spent(&code)),
    }
}

/// What a right code is that could not be spent.
const fn not_spent(code: &RightCode) -> Spending {
    match code {
        // A backup code that is none and one that was used look the same.
        RightCode::Backup { .. } => Spending::Wrong,
        // Its challenge was taken by this call alone: what is newer is the key's counter.
        RightCode::Key { kind: FactorKind::Webauthn, factor, .. } => Spending::Copied(*factor),
        RightCode::Totp { .. } | RightCode::Key { kind: FactorKind::Totp | FactorKind::Yubico, .. } => {
            Spending::Spent
        }
    }
}

/// Who gives a factor, before it is known what it opens.
struct Giver<'a> {
    user: UserId,
    /// The session whose window it opens; `None` = it opens none.
    session: Option<SessionId>,
    by: Asker<'a>,
    purpose: &'a Purpose<'a>,
}

/// What a factor was found to be.
enum Found {
    /// Right: it is to be spent.
    Code(RightCode),
    /// Right, and used by this very session before.
    Before,
    /// Not good.
    Not(Spending),
}

/// What the factor is, if it is one of this person's that is good now. Every authenticator is looked at,
/// so that the time tells nothing.
async fn right_code(
    checks: &Checks<'_>,
    giver: &Giver<'_>,
    factor: &InlineFactor,
) -> Result<Found, StoreError> {
    let (Checks { store, now, yubico }, user) = (*checks, giver.user);
    match factor {
        InlineFactor::Backup(code) => {
            Ok(Found::Code(RightCode::Backup { digest: code.digest(&store.derive_key(BACKUP_KEY), user) }))
        }
        InlineFactor::Webauthn(answer) => right_answer(store, giver, answer).await,
        InlineFactor::Yubico(otp) => {
            Ok(match yubico::check(store, yubico, user, giver.session, otp).await? {
                yubico::Checked::Right(code) => Found::Code(code),
                yubico::Checked::Before => Found::Before,
                yubico::Checked::Spent => Found::Not(Spending::Spent),
                yubico::Checked::Wrong => Found::Not(Spending::Wrong),
                yubico::Checked::Unknown => Found::Not(Spending::Unknown),
            })
        }
        InlineFactor::Totp(code) => {
            let mut right = None;
            for (factor, seed) in store.factors().seeds(user).await? {
                let step = TotpSecret::from_bytes(seed).matching_step(code, now);
                if let (Some(step), Some(_)) = (step, factor.confirmed) {
                    right = Some(RightCode::Totp { factor: factor.id, step: step.0 });
                }
            }
            Ok(right.map_or(Found::Not(Spending::Wrong), Found::Code))
        }
    }
}

/// The same of a passkey's answer, whose challenge it uses up.
async fn right_answer(store: &Store, giver: &Giver<'_>, answer: &Assertion) -> Result<Found, StoreError> {
    match passkeys::check(store, giver.user, giver.by, giver.purpose, answer).await? {
        Checked::Right(code) => Ok(Found::Code(code)),
        Checked::Wrong => Ok(Found::Not(Spending::Wrong)),
        Checked::CounterWentBack(factor) => {
            tracing::warn!(factor = %factor.id, "the counter of a passkey went back: there may be a copy of it");
            Ok(Found::Not(Spending::Copied(factor.id)))
        }
        Checked::NoCeremony => {
            let kind = FactorKind::Webauthn;
            let Some(session) = giver.session else { return Ok(Found::Not(Spending::Spent)) };
            let before = store.step_ups().answered_before(session, kind, answer.challenge()).await?;
            Ok(before.map_or(Found::Not(Spending::Spent), |_window| Found::Before))
        }
    }
}

async fn was_right(store: &Store, user: UserId, session: SessionId) {
    if let Err(error) = store.step_ups().succeeded(user, session).await {
        stays_counted(&error);
    }
}

/// What was right once, or cannot be found out, is no guess; nor does it free the session of what was wrong, or an old
/// answer that is sent again would.
async fn is_no_guess(store: &Store, user: UserId, session: SessionId) {
    if let Err(error) = store.step_ups().unchecked(user, session).await {
        stays_counted(&error);
    }
}

/// A count that stays too high only makes the limit stricter for a while.
pub(crate) fn stays_counted(error: &StoreError) {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, "a code that was not wrong stays counted as a try");
}

/// The problem of too many wrong codes.
pub fn too_many(until: Timestamp, now: Timestamp) -> Problem {
    let seconds = until.checked_since(now).map_or(0, |wait| wait.as_secs()) + 1;
    let mut problem = Problem::new(
        ProblemKind::TooManyRequests,
        Layer::Mfa,
        format!(
            "too many codes of this session were wrong, so no more are looked at for now; wait {seconds} s"
        ),
    );
    problem.retry_after_seconds = Some(seconds);
    problem
}

/// The problem of a store that cannot be asked about a factor.
pub fn unreachable(error: &StoreError) -> Problem {
    tracing::error!(error = error as &dyn std::error::Error, "a second factor could not be checked");
    Problem::new(
        ProblemKind::CannotRecord,
        Layer::Mfa,
        "the second factor cannot be checked, because the store cannot be reached",
    )
}

/// The problem of a factor that cannot be checked, because who checks it cannot be reached.
pub fn unchecked() -> Problem {
    let detail = "what the key typed cannot be checked, because the validation server cannot be reached; give another factor";
    Problem::new(ProblemKind::CannotRecord, Layer::Mfa, detail)
}

/// What a factor is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asks {
    /// For the window of the session.
    Window,
    /// For this very action, once.
    Action,
}

impl Asks {
    /// What these remedies ask for. A policy may ask more than the table does, so it is the verdict that says.
    pub fn of(remedies: &[Remedy]) -> Self {
        let bound = remedies.iter().any(|remedy| remedy.kind == RemedyKind::StepUpBound);
        if bound { Asks::Action } else { Asks::Window }
    }
}

/// What a refused request was for, as its challenge keeps it.
#[derive(Clone, Copy, Debug)]
pub struct Refused<'a> {
    /// What was asked for.
    pub operation: &'a Operation,
    /// On what.
    pub resource: &'a Resource,
    /// Method and path, and for a body a digest of it.
    pub target: &'a str,
    /// What the refusal asks for: a factor for this very action, or one that opens the window.
    pub asks: Asks,
    /// From which address.
    pub source_ip: IpAddr,
}

/// Opens the challenge of a request that this session was refused.
///
/// # Errors
/// Only the store's.
pub async fn open_challenge(
    store: &Store,
    user: UserId,
    session: SessionId,
    refused: Refused<'_>,
) -> Result<ChallengeId, StoreError> {
    let new = NewChallenge {
        session,
        user,
        action: refused.operation.action.as_str().to_owned(),
        resource: refused.resource.to_string(),
        target: gateway_audit::bounded(refused.target),
        bound: refused.asks == Asks::Action,
        ip: Some(refused.source_ip),
    };
    store.challenges().open(&new).await
}

/// A challenge, as its page and the JSON API show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    /// Its id, or [`WINDOW`].
    pub id: String,
    /// The action's full name; empty for the window alone.
    pub action: String,
    /// What it would be done to.
    pub resource: String,
    /// Method and path that were asked for.
    pub target: String,
    /// For this very action, once; else it opens the window.
    pub bound: bool,
    /// What the session that was refused was opened with.
    pub device: String,
    /// From which address it was asked for.
    pub ip: Option<IpAddr>,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends.
    pub expires: Timestamp,
    /// It was confirmed, and waits to be used.
    pub confirmed: bool,
    /// It is of the session that looks at it, which can then do more than before.
    pub own: bool,
    /// How long the window is open once it was confirmed.
    pub window: Duration,
    /// With the id [`WINDOW`]: what the session that asks was refused and nobody confirmed yet, newest first.
    pub waiting: Vec<Challenge>,
}

/// What the challenge `id` is for.
///
/// # Errors
/// A problem: there is none of this person, or the store cannot be reached.
pub async fn challenge(app: &App, caller: &Caller, id: &str) -> Result<Challenge, Problem> {
    let (user, session) = person(caller)?;
    let now = app.clock.now();
    let window = app.settings.step_up_window();
    let device_of = async |session: SessionId| match app.store.sessions().by_id(session).await {
        Ok(found) => Ok(found.map(|found| found.device).unwrap_or_default()),
        Err(error) => Err(unreachable(&error)),
    };
    if id == WINDOW {
        let device = device_of(session).await?;
        let waiting = app.store.challenges().waiting(session).await.map_err(|error| unreachable(&error))?;
        let waiting =
            waiting.into_iter().map(|found| shown(found, session, device.clone(), window)).collect();
        return Ok(Challenge {
            waiting,
            id: WINDOW.to_owned(),
            action: String::new(),
            resource: String::new(),
            target: String::new(),
            bound: false,
            device,
            ip: Some(caller.source_ip),
            created: now,
            expires: now.saturating_add(gateway_store::challenges::CHALLENGE_LIFE),
            confirmed: false,
            own: true,
            window,
        });
    }
    let found = find(app, user, id).await?;
    let device = device_of(found.session).await?;
    Ok(shown(found, session, device, window))
}

fn shown(found: gateway_store::Challenge, asker: SessionId, device: String, window: Duration) -> Challenge {
    Challenge {
        own: found.session == asker,
        device,
        waiting: Vec::new(),
        id: found.id.to_string(),
        action: found.action,
        resource: found.resource,
        target: found.target,
        bound: found.bound,
        ip: found.ip,
        created: found.created,
        expires: found.expires,
        confirmed: found.confirmed.is_some(),
        window,
    }
}

/// Opens a challenge of the window of the session that asks, so that its person can confirm it on a page in their
/// browser, with a passkey or from a phone.
///
/// # Errors
/// A problem, when the store cannot be reached.
pub async fn open_page(app: &App, caller: &Caller) -> Result<Challenge, Problem> {
    let (user, session) = person(caller)?;
    let new = NewChallenge {
        session,
        user,
        action: "gateway:auth:step_up".to_owned(),
        resource: Resource::gateway().to_string(),
        target: "rack-gateway step-up".to_owned(),
        bound: false,
        ip: Some(caller.source_ip),
    };
    let id = app.store.challenges().open(&new).await.map_err(|error| unreachable(&error))?;
    challenge(app, caller, &id.to_string()).await
}

/// The challenges that are confirmed together: none for the window alone, else the first, then the others of its session.
///
/// # Errors
/// A problem: one is not of this person or of another session, was confirmed before, or there are too many.
async fn together(
    app: &App,
    user: UserId,
    id: &str,
    also: &[String],
) -> Result<Vec<gateway_store::Challenge>, Problem> {
    let refused = |detail: &'static str| Problem::new(ProblemKind::NotPossible, Layer::Mfa, detail);
    if id == WINDOW {
        return match also {
            [] => Ok(Vec::new()),
            _ => {
                Err(refused("what is confirmed beside something else is named by its id, not with `window`"))
            }
        };
    }
    if also.len() >= MOST_TOGETHER {
        return Err(refused("these are too many to be confirmed with one factor; confirm at most 50"));
    }
    let mut found: Vec<gateway_store::Challenge> = Vec::with_capacity(also.len() + 1);
    for id in std::iter::once(id).chain(also.iter().map(String::as_str)) {
        let one = find(app, user, id).await?;
        if one.confirmed.is_some() || found.iter().any(|known| known.id == one.id) {
            return Err(refused("this was confirmed already; repeat what you were doing"));
        }
        if found.first().is_some_and(|first| first.session != one.session) {
            return Err(refused("these were asked for by different sessions; confirm those of each alone"));
        }
        found.push(one);
    }
    Ok(found)
}

/// Confirms the challenge `id` with a factor: the session that was refused gets its window, and may do
/// what a bound challenge is for once. The challenges `also`, of the same session, are confirmed with it.
///
/// # Errors
/// A problem: no such challenge, a wrong or spent code, too many tries, or the store cannot be reached.
///
/// # Security
/// Each challenge stays bound to one method, path and body, and lets one request through: one factor confirms a list
/// that is written down before, and nothing else.
pub async fn confirm(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: &str,
    also: &[String],
    factor: &InlineFactor,
) -> Result<(), Problem> {
    let (user, own_session) = person(caller)?;
    let mut all = together(app, user, id, also).await?;
    let others = if all.is_empty() { Vec::new() } else { all.split_off(1) };
    let found = all.pop();
    let session = found.as_ref().map_or(own_session, |challenge| challenge.session);
    let purpose = found.as_ref().map_or(Purpose::Window, |challenge| Purpose::Challenge(challenge.id));
    let giving = Giving { user, session, by: Asker::Session(own_session), purpose };
    record_confirmation(app, operator, session, found.as_ref(), &others).await?;
    let checks = app.checks();
    let turn = app.store.step_ups().turn(session).await;
    let spent = spend(&checks, &giving, factor).await.map_err(|error| unreachable(&error))?;
    drop(turn);
    match spent {
        Spending::Fresh(window) => {
            if window.factor == UsedFactor::BackupCode {
                tell_of_few_codes(&app.store, &*app.notices, user, &caller.principal.display_name()).await;
            }
            match found {
                None => Ok(()),
                Some(first) => {
                    let any_bound = first.bound || others.iter().any(|challenge| challenge.bound);
                    if any_bound && is_young(app, user, window.factor).await? {
                        return Err(wrong_code(YOUNG));
                    }
                    let used = window.factor.to_string();
                    for challenge in std::iter::once(&first).chain(&others) {
                        let confirmed = app.store.challenges().confirm(user, challenge.id, &used).await;
                        confirmed.map_err(|error| gone_or_unreachable(&error))?;
                    }
                    Ok(())
                }
            }
        }
        Spending::Before if others.is_empty() && found.as_ref().is_none_or(|challenge| !challenge.bound) => {
            let window = app.settings.step_up_window();
            let standing = app.store.step_ups().standing(user, session, window).await;
            match (standing.map_err(|error| unreachable(&error))?.window, found) {
                // The window that it opened is over.
                (None, _) => Err(wrong_code(told(factor).spent)),
                (Some(_), None) => Ok(()),
                (Some(window), Some(challenge)) => {
                    let used = window.factor.to_string();
                    let confirmed = app.store.challenges().confirm(user, challenge.id, &used).await;
                    confirmed.map_err(|error| gone_or_unreachable(&error))
                }
            }
        }
        Spending::Before | Spending::Spent => Err(wrong_code(told(factor).spent)),
        Spending::Wrong => Err(wrong_code(told(factor).wrong)),
        Spending::Copied(factor) => {
            let email = &caller.principal.display_name();
            let copied = Copied { user, email, factor, source_ip: Some(caller.source_ip) };
            tell_of_copy(&app.store, &*app.notices, operator, copied).await;
            Err(wrong_code(COPIED))
        }
        Spending::Unknown => Err(unchecked()),
        Spending::TooMany(until) => {
            let lock = Lock {
                user,
                email: &caller.principal.display_name(),
                session: Some(session),
                until,
                source_ip: Some(caller.source_ip),
            };
            tell_of_lock(&app.store, &*app.notices, operator, lock).await;
            Err(too_many(until, checks.now))
        }
    }
}

/// Notes what a factor is given for, before it is looked at: one event for all of it, since whoever gives wrong codes
/// must not be able to fill the log by naming many things.
async fn record_confirmation(
    app: &App,
    operator: &Operator<'_>,
    session: SessionId,
    challenge: Option<&gateway_store::Challenge>,
    others: &[gateway_store::Challenge],
) -> Result<(), Problem> {
    let mut event = operator.event("gateway:auth:step_up");
    event.parameters.insert("session".to_owned(), session.to_string());
    if let Some(challenge) = challenge {
        event.parameters.insert("challenge".to_owned(), challenge.id.to_string());
        event.parameters.insert("for_action".to_owned(), challenge.action.clone());
        event.parameters.insert("for_target".to_owned(), challenge.target.clone());
    }
    if !others.is_empty() {
        let other = |challenge: &gateway_store::Challenge| {
            serde_json::json!({
                "challenge": challenge.id.to_string(),
                "for_action": challenge.action,
                "for_target": challenge.target,
            })
        };
        event.after = Some(serde_json::json!({ "also": others.iter().map(other).collect::<Vec<_>>() }));
    }
    record(&app.store, event).await.map_err(|error| not_recorded(&error))
}

/// What a person is told of a factor that is not good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Told {
    /// When it is wrong.
    pub wrong: &'static str,
    /// When it was right and is spent.
    pub spent: &'static str,
}

/// What a person is told of a factor of this kind that is not good.
pub const fn told(factor: &InlineFactor) -> Told {
    match factor {
        InlineFactor::Totp(_) | InlineFactor::Backup(_) => Told {
            wrong: "The code is wrong or no longer good: check the clock of your device and give the code it shows now.",
            spent: "This code was used already: wait until your authenticator shows the next one.",
        },
        InlineFactor::Yubico(_) => Told {
            wrong: "What the key typed is not right, or the key is not yours; touch it once more.",
            spent: "What the key typed was used already; touch it once more.",
        },
        InlineFactor::Webauthn(_) => Told {
            wrong: "The passkey's answer is not right, or the passkey is not yours any more; try again.",
            spent: "The passkey was asked too long ago, for something else, or answered already; try again.",
        },
    }
}

/// What a person is told when a key's counter went back.
pub const COPIED: &str = "This passkey's counter went back, so there may be a copy of it, and it was not accepted. \
     Confirm with another factor, remove the passkey and enrol another.";

/// Asks the passkeys of the person who asks, for the challenge `id`; with [`REQUEST`] for `id`, for the request
/// `target` (method and path) that the same session will send.
///
/// # Errors
/// A problem: no such challenge, no passkey, a place where passkeys cannot be used, or the store cannot be
/// reached.
pub async fn ask_passkey(
    app: &App,
    caller: &Caller,
    claimed: &Origin,
    id: &str,
    target: Option<&str>,
) -> Result<Asked, Problem> {
    let (user, _session) = person(caller)?;
    let purpose = match (id, target) {
        (WINDOW, None) => Purpose::Window,
        (REQUEST, Some(target)) => Purpose::Request(target),
        (REQUEST, None) => {
            let detail = "say what the passkey is asked for: `for`, a method and a path";
            return Err(Problem::new(ProblemKind::BadParameter, Layer::Network, detail));
        }
        (id, _) => Purpose::Challenge(find(app, user, id).await?.id),
    };
    Ok(passkeys::ask(app, caller, claimed, &purpose).await?)
}

async fn find(app: &App, user: UserId, id: &str) -> Result<gateway_store::Challenge, Problem> {
    let id: ChallengeId = id.parse().map_err(|_none| no_such_challenge())?;
    app.store.challenges().of(user, id).await.map_err(|error| gone_or_unreachable(&error))
}

fn person(caller: &Caller) -> Result<(UserId, SessionId), Problem> {
    match &caller.principal {
        Principal::User { id, session, .. } => Ok((*id, *session)),
        Principal::Anonymous
        | Principal::ApiToken { .. }
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => Err(Problem::new(
            ProblemKind::Refused,
            Layer::Authentication,
            "only a person can confirm with a second factor",
        )),
    }
}

fn gone_or_unreachable(error: &StoreError) -> Problem {
    if matches!(error, StoreError::NotFound) { no_such_challenge() } else { unreachable(error) }
}

fn no_such_challenge() -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        Layer::Mfa,
        "there is nothing to confirm here: it is over, was used, or belongs to somebody else; repeat the command for a new link",
    )
}

fn wrong_code(detail: &str) -> Problem {
    let mut problem = Problem::new(ProblemKind::StepUpRequired, Layer::Mfa, detail);
    problem.max_age_seconds = Some(0);
    problem
}

fn not_recorded(error: &crate::AppError) -> Problem {
    tracing::error!(error = error as &dyn std::error::Error, "a step-up could not be recorded");
    Problem::new(ProblemKind::CannotRecord, Layer::Audit, "the audit log cannot be written")
}
