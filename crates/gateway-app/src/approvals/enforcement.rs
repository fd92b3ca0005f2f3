//! A request of a deploy, compared with the approvals of whoever asks: whether one of them allows it, and the steps
//! that are taken once.
//!
//! # Security
//! A step that is taken once is taken in the database before it reaches the rack, by one request of one instance. What
//! is not known to have failed stays taken.

use std::time::Duration;

use gateway_approvals::chain::{Bound, Broken, ReadManifest, ReleaseFacts, Step, UnderWay, Uploaded, follow};
use gateway_approvals::state::{Move, State};
use gateway_store::{Approval, ApprovalFilter, StoreError};
use gateway_types::{ApprovalId, Layer, Principal, Problem, ProblemKind};
use serde_json::{Value, json};

use super::standing::Standing;
use super::{ApprovalError, event, find, requester_of, seal};
use crate::{App, Operator, problems, record};

/// How many of a requester's newest approvals of one app are looked at.
const LOOKED_AT: u32 = 20;

/// How long whoever has deployed may watch what becomes of it.
pub const WATCH_TIME: Duration = Duration::from_secs(3600);

/// How often a change is tried again when somebody else changed the same approval at that moment.
const TRIES: usize = 8;

/// What approvals say to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// This one allows it.
    Follows(ApprovalId),
    /// None does; why, for people.
    Broken(String),
}

/// Whether an approval of `principal` allows this step of a deploy of `of_app`.
///
/// # Errors
/// A problem: the store or the rack cannot be asked. Then nothing is allowed.
pub async fn answer(
    app: &App,
    principal: &Principal,
    of_app: &str,
    step: &Step<'_>,
) -> Result<Answer, Problem> {
    let Some(requester) = requester_of(principal) else {
        return Ok(Answer::Broken(
            "only people, API tokens and machines of a trust rule have approvals".to_owned(),
        ));
    };
    let rows = candidates(app, of_app, &requester).await.map_err(|error| problems::of_store(&error))?;
    let mut facts = Facts::NotAsked;
    // What is said of an approval that is open tells more than what is said of one that is over.
    let mut why: Option<(bool, String)> = None;
    // An upload names no commit: of two it could be for, it is for neither.
    let mut uploads: Vec<ApprovalId> = Vec::new();
    for row in rows {
        let (id, commit) = (row.id, row.commit.clone());
        let (is_open, broken) = match Standing::of(app, row).await {
            Ok(standing) => {
                let release = facts.of(app, principal, of_app, step, &standing).await?;
                match allowed(&standing, step, release) {
                    Ok(()) if matches!(step, Step::Upload { .. }) => {
                        uploads.push(id);
                        continue;
                    }
                    Ok(()) => return Ok(Answer::Follows(id)),
                    Err(broken) => (standing.state.is_open(), broken),
                }
            }
            Err(error @ (ApprovalError::Forged { .. } | ApprovalError::Unreadable)) => {
                tracing::error!(approval = %id, error = &error as &dyn std::error::Error, "an approval does not count");
                (false, error.to_string())
            }
            Err(error) => return Err(error.into()),
        };
        if why.as_ref().is_none_or(|(was_open, _)| is_open && !was_open) {
            let short: String = commit.chars().take(12).collect();
            why = Some((is_open, format!("the approval {id} of {short} does not allow it: {broken}")));
        }
    }
    match *uploads {
        [] => {}
        [id] => return Ok(Answer::Follows(id)),
        [one, other, ..] => {
            return Ok(Answer::Broken(format!(
                "two approvals of yours wait for an upload ({one}, {other}), and it names neither; withdraw one"
            )));
        }
    }
    Ok(Answer::Broken(why.map_or_else(
        || format!("there is no approval of {of_app} for you; ask for one (`rack-gateway approvals request --app {of_app}`)"),
        |(_, why)| why,
    )))
}

/// Why the step is not the next link, for people.
fn allowed(standing: &Standing, step: &Step<'_>, release: Option<&ReleaseFacts>) -> Result<(), String> {
    if let Some(fault) = &standing.fault {
        return Err(fault.clone());
    }
    if standing.state == State::Deployed && is_old(standing) {
        return Err(Broken::State { state: State::Deployed }.to_string());
    }
    follow(&standing.approved(), step, release).map_err(|broken| broken.to_string())
}

fn is_old(standing: &Standing) -> bool {
    let since = standing.row.closed.and_then(|closed| standing.now.checked_since(closed));
    since.is_some_and(|since| since > WATCH_TIME)
}

/// What the rack says of the step's release; asked once, and only when an approval could allow the step.
enum Facts {
    NotAsked,
    Asked(Option<ReleaseFacts>),
}

impl Facts {
    async fn of(
        &mut self,
        app: &App,
        principal: &Principal,
        of_app: &str,
        step: &Step<'_>,
        standing: &Standing,
    ) -> Result<Option<&ReleaseFacts>, Problem> {
        let Some(release) = step.release().filter(|_| standing.state.is_open()) else { return Ok(None) };
        if matches!(self, Facts::NotAsked) {
            *self = Facts::Asked(app.rack.release(principal, of_app, release).await?);
        }
        match self {
            Facts::Asked(facts) => Ok(facts.as_ref()),
            Facts::NotAsked => Ok(None),
        }
    }
}

/// The approvals of this requester that are open, and those that were so lately, newest first.
async fn candidates(app: &App, of_app: &str, requester: &str) -> Result<Vec<Approval>, StoreError> {
    let filter = |open_only| ApprovalFilter {
        app: Some(of_app.to_owned()),
        requester: Some(requester.to_owned()),
        open_only,
        limit: LOOKED_AT,
        ..ApprovalFilter::default()
    };
    let mut rows = every(app, filter(true)).await?;
    let latest = app.store.approvals().list(&filter(false)).await?.items;
    let known: Vec<ApprovalId> = rows.iter().map(|row| row.id).collect();
    rows.extend(latest.into_iter().filter(|row| !known.contains(&row.id)));
    Ok(rows)
}

/// All pages.
async fn every(app: &App, mut filter: ApprovalFilter) -> Result<Vec<Approval>, StoreError> {
    let mut rows = Vec::new();
    loop {
        let page = app.store.approvals().list(&filter).await?;
        rows.extend(page.items);
        match page.next {
            Some(next) => filter.cursor = Some(next),
            None => return Ok(rows),
        }
    }
}

/// Whether this object belongs to an approval that is open: then nobody writes it again.
///
/// # Errors
/// Only the store's.
pub async fn is_bound_object(app: &App, of_app: &str, object: &str) -> Result<bool, StoreError> {
    is_held(app, of_app, object, None).await
}

/// Whether an open approval other than `but` holds this object.
async fn is_held(app: &App, of_app: &str, object: &str, but: Option<ApprovalId>) -> Result<bool, StoreError> {
    let filter = ApprovalFilter {
        app: Some(of_app.to_owned()),
        open_only: true,
        limit: 200,
        ..ApprovalFilter::default()
    };
    let rows = every(app, filter).await?;
    Ok(rows.iter().filter(|row| Some(row.id) != but).any(|row| {
        // What cannot be read counts as held: unsure means no.
        serde_json::from_str::<Bound>(&row.bound).map_or(true, |bound| bound.holds(object))
    }))
}

/// Takes a step for this request.
///
/// # Errors
/// A problem: another request was faster, the approval does not allow it any more, or it cannot be recorded.
pub async fn take(
    app: &App,
    operator: &Operator<'_>,
    principal: &Principal,
    id: ApprovalId,
    step: &Step<'_>,
) -> Result<(), Problem> {
    let Some(once) = step.once() else { return Ok(()) };
    if matches!(step, Step::Promote { .. }) {
        // Reviews are withdrawn and branches move: what was true at the signature is looked at again.
        super::commit::check(app, operator, &find(app, id).await?, None).await?;
    }
    if matches!(step, Step::Build { .. } | Step::Promote { .. }) {
        super::attestation::check_uploaded(app, operator, &find(app, id).await?).await?;
    }
    let request = operator.request_id.map(|request| request.to_string()).unwrap_or_default();
    for _ in 0..TRIES {
        let standing = find(app, id).await?;
        let release = match step.release() {
            Some(release) => app.rack.release(principal, &standing.row.app, release).await?,
            None => None,
        };
        if let Err(broken) = allowed(&standing, step, release.as_ref()) {
            return Err(refused(id, &broken));
        }
        let mut bound = standing.bound.clone();
        let object = match *step {
            Step::Upload { object } => Some(object.to_owned()),
            Step::Look
            | Step::Build { .. }
            | Step::ReadBuild { .. }
            | Step::ReadRelease { .. }
            | Step::Start { .. }
            | Step::Exec { .. }
            | Step::Process { .. }
            | Step::Promote { .. } => None,
        };
        bound.under_way = Some(UnderWay { step: once, request: request.clone(), object: object.clone() });
        let state = match standing.state {
            State::Approved => State::Approved.after(Move::Begin).map_err(ApprovalError::from)?,
            // An upload before the signatures begins nothing.
            state @ (State::Pending
            | State::Deploying
            | State::Deployed
            | State::Rejected
            | State::Expired
            | State::Withdrawn) => state,
        };
        let after = json!({ "state": state.name(), "step": once });
        match changed(app, operator, &standing, state, &bound, after).await {
            Ok(_) => {}
            Err(ApprovalError::Store(StoreError::Conflict)) => continue,
            Err(error) => return Err(error.into()),
        }
        // Each writes what it takes and then looks: of two that take one object at least one goes back.
        if let Some(object) = object {
            let held = is_held(app, &standing.row.app, &object, Some(id)).await;
            if held.map_err(|error| problems::of_store(&error))? {
                end(app, operator, id, &Ended::Failed).await?;
                return Err(refused(id, "another upload of this object is under way"));
            }
        }
        return Ok(());
    }
    Err(problems::of_store(&StoreError::Conflict))
}

fn refused(id: ApprovalId, broken: &str) -> Problem {
    let detail = format!("the approval {id} does not allow it: {broken}");
    Problem::new(ProblemKind::Refused, Layer::Authorization, detail)
}

/// How a step ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ended {
    /// The archive is at the rack.
    Uploaded(Uploaded),
    /// The build was begun.
    Built {
        /// Its id.
        build: String,
    },
    /// The release runs.
    Promoted {
        /// Which.
        release: String,
    },
    /// The rack did not take it: it may be tried again.
    Failed,
}

/// Writes down how the step ended that this request has taken.
///
/// # Errors
/// A problem when it cannot be recorded: then it stays taken.
pub async fn end(app: &App, operator: &Operator<'_>, id: ApprovalId, ended: &Ended) -> Result<(), Problem> {
    let request = operator.request_id.map(|request| request.to_string()).unwrap_or_default();
    let mine = |under_way: &UnderWay| under_way.request == request;
    for _ in 0..TRIES {
        let standing = find(app, id).await?;
        let mut bound = standing.bound.clone();
        if !bound.under_way.as_ref().is_some_and(mine) {
            return Ok(());
        }
        bound.under_way = None;
        let mut state = standing.row.state;
        let after = match ended {
            Ended::Uploaded(uploaded) => {
                let is_another = standing.state != State::Pending
                    && standing
                        .statement
                        .artefact
                        .as_ref()
                        .is_some_and(|signed| *signed != uploaded.artefact());
                // What was signed stays what can be built.
                if !is_another {
                    bound.uploaded = Some(uploaded.clone());
                }
                json!({ "object": uploaded.object, "sha256": uploaded.sha256, "signed": !is_another })
            }
            Ended::Built { build } => {
                bound.build = Some(build.clone());
                json!({ "build": build })
            }
            Ended::Promoted { release } => {
                bound.release = Some(release.clone());
                // One that was rejected meanwhile stays so; what was promoted is in the log.
                state = state.after(Move::Finish).unwrap_or(state);
                json!({ "release": release, "state": state.name() })
            }
            Ended::Failed => Value::Null,
        };
        match changed(app, operator, &standing, state, &bound, after).await {
            Ok(after) => {
                if matches!(ended, Ended::Uploaded(_)) && after.state == State::Pending {
                    tracing::info!(approval = %id, "an archive waits for its approval");
                }
                return Ok(());
            }
            Err(ApprovalError::Store(StoreError::Conflict)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(problems::of_store(&StoreError::Conflict))
}

/// Writes down that a process was started under it.
///
/// # Errors
/// A problem when it cannot be recorded: then the process is nobody's.
pub async fn started(
    app: &App,
    operator: &Operator<'_>,
    id: ApprovalId,
    release: &str,
    process: &str,
) -> Result<(), Problem> {
    for _ in 0..TRIES {
        let standing = find(app, id).await?;
        let mut bound = standing.bound.clone();
        bound.release.get_or_insert_with(|| release.to_owned());
        bound.processes.insert(process.to_owned());
        let after = json!({ "process": process });
        match changed(app, operator, &standing, standing.row.state, &bound, after).await {
            Ok(_) => return Ok(()),
            Err(ApprovalError::Store(StoreError::Conflict)) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(problems::of_store(&StoreError::Conflict))
}

async fn changed(
    app: &App,
    operator: &Operator<'_>,
    standing: &Standing,
    state: State,
    bound: &Bound,
    after: Value,
) -> Result<Standing, ApprovalError> {
    let row = &standing.row;
    let mut event = event(operator, "gateway:approval:step", row.id, &row.app, &row.commit);
    event.before = Some(json!({ "state": row.state.name() }));
    event.after = Some(after);
    record(&app.store, event).await?;
    let mut change = row.change();
    change.state = state;
    change.bound = serde_json::to_string(bound).map_err(|_never| ApprovalError::Unreadable)?;
    super::tell_others(app, row, &mut change);
    seal::seal(&app.store, row, &mut change);
    let changed = app.store.approvals().change(row, change).await?;
    Standing::of(app, changed).await
}

/// What was read of the manifests of an archive, with the settings of its app.
pub fn manifests(
    app: &App,
    of_app: &str,
    commit: &str,
    archive: &gateway_approvals::archive::Archive,
) -> std::collections::BTreeMap<String, ReadManifest> {
    let rules = app.settings.service_images(of_app);
    let digests = app.settings.image_digests(of_app);
    archive
        .manifests
        .iter()
        // A name that does not look like what it is, nobody can approve.
        .filter(|(path, _)| !path.chars().any(gateway_audit::text::is_hazard))
        .map(|(path, bytes)| (path.clone(), super::shown::read_manifest(bytes, &rules, digests, commit)))
        .collect()
}

/// The commit of an approval, for what an archive is checked against.
///
/// # Errors
/// As for a step: it is gone, or the store cannot be asked.
pub async fn commit_of(app: &App, id: ApprovalId) -> Result<String, Problem> {
    Ok(find(app, id).await?.row.commit)
}

/// SHA-256 in hexadecimal.
pub(super) fn sha256(bytes: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes);
    data_encoding::HEXLOWER.encode(digest.as_ref())
}
