//! Deploy approvals: somebody asks, others sign what is asked, and the deploy may follow that chain and no other.
//!
//! Whether the caller may ask, approve or deploy at all is the verdict's business before any of these is called; here
//! is what holds for whoever asks. What a row of the database says counts only as far as its seals and signatures
//! are right ([`standing`]); how a request of the data plane is compared with it is in [`enforcement`].

mod attestation;
mod commit;
pub mod enforcement;
mod error;
pub mod mark;
pub mod reports;
mod seal;
mod shown;
pub mod signing;
pub mod standing;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use gateway_approvals::chain::{Bound, Order, ReleaseFacts};
use gateway_approvals::commands::CommandRules;
use gateway_approvals::evidence::{Evidence, Method};
use gateway_approvals::state::{Move, State};
use gateway_approvals::statement::{EnvironmentChange, Purpose};
use gateway_audit::{Event, bounded};
use gateway_store::{Approval, ApprovalChange, ApprovalFilter, KeptSignature, NewApproval, Page, StoreError};
use gateway_types::wire::approvals as wire;
use gateway_types::{ApprovalId, Caller, Principal, Problem, Resource, Timestamp, UserId, WorkloadOrigin};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::elevations::is_app;
use crate::rights::person_of;
use crate::sentinel::RackSeen;
use crate::users::by;
use crate::{App, Notice, Operator, record};

pub use error::ApprovalError;
use standing::Standing;

/// How long a request waits for its signatures.
pub const ANSWER_TIME: Duration = Duration::from_secs(24 * 3600);

/// The most commands of one approval.
pub const MOST_COMMANDS: usize = 50;

/// The most texts that a CI system may tell, and the characters of one.
pub const MOST_METADATA: usize = 20;
const LONGEST_TEXT: usize = 500;

/// The most open ones of one requester for one app.
pub const MOST_OPEN: u32 = 20;

/// The manifest that is built unless another one is named.
const MANIFEST: &str = "convox.yml";

/// How often a change is tried again when somebody else changed the same approval at that moment.
const TRIES: usize = 5;

/// What is asked for, as it is kept. It never changes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The branch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// What the deploy is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// What the CI system told.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// The manifest that is built.
    pub manifest: String,
    /// Commands that may run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub commands: Vec<String>,
    /// What comes first.
    pub order: Order,
    /// How many people have to sign.
    pub quorum: u32,
    /// How long it can be used, in seconds.
    pub life_seconds: u64,
    /// How the environment differs from the release that runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub environment: Vec<EnvironmentChange>,
}

/// What the rack has at this moment, for whoever approves.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct RackImpact {
    /// The release that runs.
    pub active_release: Option<String>,
    /// Its description.
    pub active_description: Option<String>,
    /// Services and how many of their processes run.
    pub processes: BTreeMap<String, u32>,
    /// The image of each service that names one.
    pub images: BTreeMap<String, String>,
    /// Its manifest as lines to compare, without what may be secret.
    pub outline: Vec<String>,
    /// SHA-256 of its manifest, in hexadecimal.
    pub manifest_sha256: Option<String>,
}

/// What [`RackView`] answers.
pub type Viewing<'a, T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send + 'a>>;

/// What approvals ask the rack. The data plane answers; secrets never come with the answers.
pub trait RackView: fmt::Debug + Send + Sync {
    /// A release; `None` when the rack has none of this id.
    fn release<'a>(
        &'a self,
        by: &'a Principal,
        app: &'a str,
        id: &'a str,
    ) -> Viewing<'a, Option<ReleaseFacts>>;

    /// How the environment of the newest release differs from that of the release that runs, sorted by key.
    fn environment<'a>(&'a self, by: &'a Principal, app: &'a str) -> Viewing<'a, Vec<EnvironmentChange>>;

    /// What a promote would touch.
    fn impact<'a>(&'a self, by: &'a Principal, app: &'a str) -> Viewing<'a, RackImpact>;

    /// The apps and which release of each runs, as the sentinel compares them.
    fn survey(&self) -> Viewing<'_, RackSeen>;

    /// The ids of an app's newest releases and of its newest builds.
    fn history<'a>(&'a self, app: &'a str) -> Viewing<'a, (BTreeSet<String>, BTreeSet<String>)>;
}

/// A rack that has nothing: beside a server, and in tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct EmptyRack;

impl RackView for EmptyRack {
    fn release<'a>(
        &'a self,
        _by: &'a Principal,
        _app: &'a str,
        _id: &'a str,
    ) -> Viewing<'a, Option<ReleaseFacts>> {
        Box::pin(std::future::ready(Ok(None)))
    }

    fn environment<'a>(&'a self, _by: &'a Principal, _app: &'a str) -> Viewing<'a, Vec<EnvironmentChange>> {
        Box::pin(std::future::ready(Ok(Vec::new())))
    }

    fn impact<'a>(&'a self, _by: &'a Principal, _app: &'a str) -> Viewing<'a, RackImpact> {
        Box::pin(std::future::ready(Ok(RackImpact::default())))
    }

    fn survey(&self) -> Viewing<'_, RackSeen> {
        Box::pin(std::future::ready(Ok(RackSeen::default())))
    }

    fn history<'a>(&'a self, _app: &'a str) -> Viewing<'a, (BTreeSet<String>, BTreeSet<String>)> {
        Box::pin(std::future::ready(Ok((BTreeSet::new(), BTreeSet::new()))))
    }
}

/// Whose requests an approval allows: a token, a person, or the machine that a trust rule knows; `None` for whoever
/// cannot ask for one.
pub fn requester_of(principal: &Principal) -> Option<String> {
    match principal {
        Principal::User { id, .. } => Some(format!("user:{id}")),
        Principal::ApiToken { id, .. } => Some(format!("token:{id}")),
        // The row of an exchanged token is another one in each job.
        Principal::Workload { name, subject, .. } => Some(format!("workload:{name}:{subject}")),
        Principal::Anonymous | Principal::AccessToken { .. } => None,
    }
}

/// Whether `principal` asked for it, itself or by a token of theirs.
pub(crate) fn is_own(principal: &Principal, row: &Approval) -> bool {
    requester_of(principal).is_some_and(|requester| requester == row.requester)
        || person_of(principal).is_some_and(|person| row.person == Some(person))
}

/// The person behind a requester, also of a machine: whoever wrote its trust rule, or broke the glass.
async fn person_behind_any(app: &App, principal: &Principal) -> Result<Option<UserId>, ApprovalError> {
    let Principal::Workload { name, subject, origin, .. } = principal else {
        return Ok(person_of(principal));
    };
    let email = match origin {
        WorkloadOrigin::Exchange | WorkloadOrigin::Certificate => {
            app.store.trust_rules().by_name(name).await?.map(|rule| rule.updated_by)
        }
        WorkloadOrigin::BreakGlass => Some(subject.to_string()),
    };
    match email {
        Some(email) => Ok(app.store.users().by_email(&email).await?.map(|user| user.id)),
        None => Ok(None),
    }
}

/// A page of approvals, newest first.
///
/// # Errors
/// Only the store's.
pub async fn list(
    app: &App,
    caller: &Caller,
    filter: &ApprovalFilter,
) -> Result<Page<wire::Approval>, ApprovalError> {
    let page = app.store.approvals().list(filter).await?;
    let mut items = Vec::with_capacity(page.items.len());
    for row in page.items {
        items.push(match Standing::of(app, row.clone()).await {
            Ok(standing) => shown::shown(app, caller, &standing),
            // One that somebody else wrote hides none of the others.
            Err(error @ (ApprovalError::Forged { .. } | ApprovalError::Unreadable)) => {
                shown::faulty(caller, &row, error.to_string())
            }
            Err(error) => return Err(error),
        });
    }
    Ok(Page { items, next: page.next })
}

/// An approval with what it would touch.
///
/// # Errors
/// [`ApprovalError::Unknown`], or the store's. A rack that does not answer leaves the impact out.
pub async fn read(app: &App, caller: &Caller, id: ApprovalId) -> Result<wire::Approval, ApprovalError> {
    let standing = find(app, id).await?;
    let mut shown = shown::shown(app, caller, &standing);
    shown.findings = commit::findings(app, caller, &standing).await?;
    if standing.state.is_open() {
        shown.impact = shown::impact(app, caller, &standing).await;
    }
    Ok(shown)
}

/// The approval as a file that anybody can check.
///
/// # Errors
/// [`ApprovalError::Unknown`], or the store's.
pub async fn evidence(app: &App, id: ApprovalId) -> Result<Evidence, ApprovalError> {
    Ok(shown::evidence(app, &find(app, id).await?))
}

/// Asks for an approval; the one that is open for the same requester, app and commit is answered in its place.
///
/// # Errors
/// [`ApprovalError`]; when it cannot be recorded, nothing was asked for.
pub async fn request(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    asked: wire::RequestApproval,
) -> Result<wire::Approval, ApprovalError> {
    let requester = requester_of(&caller.principal).ok_or(ApprovalError::NotForThis)?;
    check(&asked)?;
    let open = ApprovalFilter {
        app: Some(asked.app.clone()),
        requester: Some(requester.clone()),
        open_only: true,
        limit: MOST_OPEN,
        ..ApprovalFilter::default()
    };
    let open = app.store.approvals().list(&open).await?.items;
    if open.len() >= usize::try_from(MOST_OPEN).unwrap_or(usize::MAX) {
        return Err(ApprovalError::TooManyOpen);
    }
    let environment = app.rack.environment(&caller.principal, &asked.app).await?;
    let kept = Asked {
        branch: asked.branch,
        message: asked.message,
        metadata: asked.metadata,
        manifest: asked.manifest.unwrap_or_else(|| MANIFEST.to_owned()),
        commands: asked.commands,
        order: app.settings.approval_order(&asked.app),
        quorum: app.settings.approval_quorum(&asked.app),
        life_seconds: app.settings.approval_life(&asked.app).as_secs(),
        environment,
    };
    let now = operator.clock.now();
    let id = ApprovalId::new(now, operator.entropy);
    let mut new = NewApproval {
        id,
        app: asked.app,
        commit: asked.commit,
        requester,
        requester_name: bounded(&caller.principal.display_name()),
        person: person_behind_any(app, &caller.principal).await?,
        request: serde_json::to_string(&kept).map_err(|_never| ApprovalError::Unreadable)?,
        created: now,
        answer_by: now.saturating_add(ANSWER_TIME),
        bound: serde_json::to_string(&Bound::default()).map_err(|_never| ApprovalError::Unreadable)?,
        bound_seal: String::new(),
    };
    new.bound_seal = seal::of_new(&app.store, &new);
    let mut event = event(operator, "gateway:approval:request", id, &new.app, &new.commit);
    event.parameters.insert("requester".to_owned(), new.requester.clone());
    event.after = Some(json!({ "state": State::Pending.name() }));
    record(&app.store, event).await?;
    let row = app.store.approvals().create(new).await?;
    let is_new = row.id == id;
    let standing = Standing::of(app, row).await?;
    if is_new {
        for job in reports::jobs(app, id, &standing.row.app, State::Pending) {
            app.store.jobs().enqueue(job).await?;
        }
        app.notices
            .notify(Notice::ApprovalAsked {
                email: caller.principal.display_name(),
                app: standing.row.app.clone(),
                commit: standing.row.commit.clone(),
                message: kept.message,
            })
            .await;
    }
    Ok(shown::shown(app, caller, &standing))
}

fn check(asked: &wire::RequestApproval) -> Result<(), ApprovalError> {
    if !is_app(&asked.app) {
        return Err(ApprovalError::BadApp);
    }
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if !matches!(asked.commit.len(), 40 | 64) || !asked.commit.bytes().all(is_digit) {
        return Err(ApprovalError::BadCommit);
    }
    let is_fine = |text: &str| {
        let is_hazard = |c: char| c != '\n' && (c.is_control() || gateway_audit::text::is_hazard(c));
        text.chars().count() <= LONGEST_TEXT && !text.chars().any(is_hazard)
    };
    let texts =
        asked.branch.iter().chain(&asked.message).chain(&asked.manifest).chain(asked.metadata.values());
    let names_fine = asked.metadata.keys().all(|name| !name.is_empty() && is_fine(name));
    if asked.metadata.len() > MOST_METADATA || !names_fine || !texts.into_iter().all(|text| is_fine(text)) {
        return Err(ApprovalError::BadText);
    }
    if asked.commands.len() > MOST_COMMANDS {
        return Err(ApprovalError::BadCommands { fault: format!("more than {MOST_COMMANDS}") });
    }
    if !asked.commands.iter().all(|command| is_fine(command)) {
        return Err(ApprovalError::BadText);
    }
    CommandRules::parse(&asked.commands)
        .map(drop)
        .map_err(|fault| ApprovalError::BadCommands { fault: fault.to_string() })
}

/// Approves somebody else's request. With the last signature that it takes it can be used.
///
/// # Errors
/// [`ApprovalError`].
pub async fn approve(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: ApprovalId,
    given: &wire::SignApproval,
) -> Result<wire::Approval, ApprovalError> {
    sign(app, operator, caller, id, Purpose::Approve, given).await
}

/// Makes an approved one last as long again, from now on. Once.
///
/// # Errors
/// [`ApprovalError`].
pub async fn extend(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: ApprovalId,
    given: &wire::SignApproval,
) -> Result<wire::Approval, ApprovalError> {
    sign(app, operator, caller, id, Purpose::Extend, given).await
}

async fn sign(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: ApprovalId,
    purpose: Purpose,
    given: &wire::SignApproval,
) -> Result<wire::Approval, ApprovalError> {
    let Principal::User { id: approver, .. } = caller.principal else {
        return Err(ApprovalError::NotAPerson);
    };
    let reason = given.reason.as_deref();
    check_reason(reason)?;
    let mut standing = find(app, id).await?;
    signing::may_sign(&standing, approver, purpose)?;
    // What was looked at, and nothing that came since.
    if given.statement != standing.digest() {
        return Err(ApprovalError::Changed);
    }
    // Before the signature is taken: what a passkey signed is not used up by a red check.
    let evidence = commit::check(app, operator, &standing, Some(approver)).await?;
    // An archive that was not uploaded yet has no digest; it is looked at when it is built and promoted.
    let attested = match &standing.bound.uploaded {
        Some(uploaded) => attestation::check(app, operator, &standing, &uploaded.sha256).await?,
        None => None,
    };
    let signature = signing::signature(app, operator, &standing, approver, purpose, reason).await?;
    let mut event = of(operator, "gateway:approval:approve", &standing);
    if let Some(evidence) = &evidence {
        event.parameters.insert("evidence".to_owned(), bounded(evidence));
    }
    if let Some(attested) = &attested {
        event.parameters.insert("attestation".to_owned(), bounded(attested));
    }
    event.parameters.insert("answer".to_owned(), signature.purpose.clone());
    event.parameters.insert("method".to_owned(), signature.method.clone());
    event.parameters.insert("statement".to_owned(), signing::digest(&signature.statement));
    event.reason = reason.map(bounded);
    event.before = Some(summary(&standing));
    let after = signed(&standing, purpose, &signature)?;
    event.after = Some(json!({ "state": after.state.name(), "signatures": standing.signatures.len() + 1 }));
    record(&app.store, event).await?;
    for _ in 0..TRIES {
        let mut change = signed(&standing, purpose, &signature)?;
        tell_others(app, &standing.row, &mut change);
        seal::seal(&app.store, &standing.row, &mut change);
        match app.store.approvals().change(&standing.row, change).await {
            Ok(row) => {
                let after = Standing::of(app, row).await?;
                if standing.state == State::Pending && after.state == State::Approved {
                    tell(app, &after, true, by(operator)).await;
                }
                return Ok(shown::shown(app, caller, &after));
            }
            Err(StoreError::Conflict) => {
                standing = find(app, id).await?;
                signing::may_sign(&standing, approver, purpose)?;
                if given.statement != standing.digest() {
                    return Err(ApprovalError::Changed);
                }
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict.into())
}

/// What becomes of the approval by a signature.
fn signed(
    standing: &Standing,
    purpose: Purpose,
    signature: &KeptSignature,
) -> Result<ApprovalChange, ApprovalError> {
    let mut change = standing.row.change();
    let quorum = usize::try_from(standing.asked.quorum.max(1)).unwrap_or(usize::MAX);
    let with_this = |others: Vec<(UserId, Timestamp)>| {
        let others = others.into_iter().filter(|(user, _)| *user != signature.user).map(|(_, ends)| ends);
        standing::quorums_end(others.chain([signature.expires]), quorum)
    };
    match purpose {
        Purpose::Approve => {
            if let Some(expires) = with_this(standing.counting()) {
                change.state = standing.row.state.after(Move::Approve)?;
                change.expires = Some(expires);
            }
        }
        Purpose::Extend => {
            if let Some(expires) = with_this(standing.extensions()) {
                change.extended = true;
                change.expires = Some(expires);
            }
        }
    }
    change.signature = Some(signature.clone());
    Ok(change)
}

/// Says no, also to one that was approved and is being used.
///
/// # Errors
/// [`ApprovalError::Over`], or the store's.
pub async fn reject(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: ApprovalId,
    reason: Option<&str>,
) -> Result<wire::Approval, ApprovalError> {
    close(app, operator, caller, id, Move::Reject, reason).await
}

/// Takes one's own request back.
///
/// # Errors
/// [`ApprovalError::NotYours`], [`ApprovalError::Over`], or the store's.
pub async fn withdraw(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: ApprovalId,
    reason: Option<&str>,
) -> Result<wire::Approval, ApprovalError> {
    close(app, operator, caller, id, Move::Withdraw, reason).await
}

async fn close(
    app: &App,
    operator: &Operator<'_>,
    caller: &Caller,
    id: ApprovalId,
    happening: Move,
    reason: Option<&str>,
) -> Result<wire::Approval, ApprovalError> {
    check_reason(reason)?;
    let rejects = happening == Move::Reject;
    let action = if rejects { "gateway:approval:approve" } else { "gateway:approval:withdraw" };
    for _ in 0..TRIES {
        let standing = find(app, id).await?;
        if !rejects && !is_own(&caller.principal, &standing.row) {
            return Err(ApprovalError::NotYours);
        }
        let to = standing.state.after(happening)?;
        let mut event = of(operator, action, &standing);
        event.parameters.insert("answer".to_owned(), to.name().to_owned());
        event.reason = reason.map(bounded);
        event.before = Some(summary(&standing));
        event.after = Some(json!({ "state": to.name() }));
        record(&app.store, event).await?;
        let mut change = standing.row.change();
        change.state = to;
        change.closed_by = Some(by(operator));
        change.reason = reason.map(bounded);
        tell_others(app, &standing.row, &mut change);
        seal::seal(&app.store, &standing.row, &mut change);
        match app.store.approvals().change(&standing.row, change).await {
            Ok(row) => {
                let standing = Standing::of(app, row).await?;
                if rejects {
                    tell(app, &standing, false, by(operator)).await;
                }
                return Ok(shown::shown(app, caller, &standing));
            }
            Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(StoreError::Conflict.into())
}

/// Marks what is over, and puts that into the log. By the clock it was over before.
///
/// # Errors
/// Only the store's.
pub async fn tidy(app: &App, operator: &Operator<'_>) -> Result<(), ApprovalError> {
    let store = &app.store;
    for row in store.approvals().overdue().await? {
        // What the gateway did not write is not made the gateway's.
        if !seal::is_right(store, &row) {
            continue;
        }
        let mut event = event(operator, "gateway:approval:expire", row.id, &row.app, &row.commit);
        event.before = Some(json!({ "state": row.state.name() }));
        event.after = Some(json!({ "state": State::Expired.name() }));
        record(store, event).await?;
        let mut change = row.change();
        change.state = row.state.after(Move::Expire)?;
        tell_others(app, &row, &mut change);
        seal::seal(store, &row, &mut change);
        match store.approvals().change(&row, change).await {
            // Somebody was faster: with the next round it is looked at again.
            Ok(_) | Err(StoreError::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// With the jobs that tell others where it stands from now on.
fn tell_others(app: &App, row: &Approval, change: &mut ApprovalChange) {
    if change.state != row.state {
        change.jobs = reports::jobs(app, row.id, &row.app, change.state);
    }
}

/// Where an approval stands now; `None` when there is none.
///
/// # Errors
/// [`ApprovalError::Forged`], [`ApprovalError::Unreadable`], or the store's.
pub(crate) async fn state(app: &App, id: ApprovalId) -> Result<Option<State>, ApprovalError> {
    match find(app, id).await {
        Ok(standing) => Ok(Some(standing.state)),
        Err(ApprovalError::Unknown) => Ok(None),
        Err(error) => Err(error),
    }
}

async fn find(app: &App, id: ApprovalId) -> Result<Standing, ApprovalError> {
    let row = app.store.approvals().by_id(id).await?.ok_or(ApprovalError::Unknown)?;
    Standing::of(app, row).await
}

fn check_reason(reason: Option<&str>) -> Result<(), ApprovalError> {
    let is_hazard = |c: char| c.is_control() || gateway_audit::text::is_hazard(c);
    let is_fine = |text: &str| text.chars().count() <= LONGEST_TEXT && !text.chars().any(is_hazard);
    if reason.is_none_or(is_fine) { Ok(()) } else { Err(ApprovalError::BadText) }
}

fn of(operator: &Operator<'_>, action: &str, standing: &Standing) -> Event {
    let row = &standing.row;
    let mut event = event(operator, action, row.id, &row.app, &row.commit);
    event.parameters.insert("requester".to_owned(), row.requester.clone());
    event
}

fn event(operator: &Operator<'_>, action: &str, id: ApprovalId, app: &str, commit: &str) -> Event {
    let mut event = operator.event(action);
    event.resource = Resource::app(app);
    event.approval = Some(id.to_string());
    event.parameters.insert("id".to_owned(), id.to_string());
    event.parameters.insert("commit".to_owned(), commit.to_owned());
    event
}

fn summary(standing: &Standing) -> serde_json::Value {
    json!({ "state": standing.state.name(), "signatures": standing.signatures.len() })
}

async fn tell(app: &App, standing: &Standing, approved: bool, by: String) {
    // A machine has no mailbox.
    let Some(person) = standing.row.person else { return };
    let owner = match app.store.users().by_id(person).await {
        Ok(Some(owner)) => owner,
        Ok(None) => return,
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "nobody was told of an approval");
            return;
        }
    };
    app.notices
        .notify(Notice::ApprovalDecided {
            email: owner.email,
            app: standing.row.app.clone(),
            commit: standing.row.commit.clone(),
            approved,
            by,
        })
        .await;
}

/// How somebody who may not give a passkey's signature confirms.
const fn weaker(mfa_step_up: bool) -> Method {
    if mfa_step_up { Method::Code } else { Method::None }
}
