//! Two sets of policies side by side: who gains or loses what, by role and by what was done lately.

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr};

use gateway_audit::{ActorKind, Event};
use gateway_policy::PolicyEngine;
use gateway_types::{
    Caller, Channel, CredentialKind, Facts, Grant, Layer, Operation, Principal, RemedyKind, Resource, Role,
    RoleSet, SessionId, Timestamp, TokenId, UserId, Verdict, WorkloadOrigin,
};
use uuid::Uuid;

use super::PolicyChangeError;
use super::recorded::{self, MOST_TOLD, Period, Reached, Seen};
use crate::{App, explain};

/// An answer that would be another one, for everybody of a role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RoleChange {
    /// The operation.
    pub route: String,
    /// Its action.
    pub action: String,
    /// `nobody`, a role (`none` = signed in without one), `t-` and a role for an API token, or `w-` and a role for a
    /// machine by a trust rule.
    pub who: String,
    /// The answer of the set in force, in a word.
    pub before: String,
    /// The answer of the other one.
    pub after: String,
}

/// A recorded decision that would be another one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplayChange {
    /// Who asked.
    pub actor: String,
    /// For what.
    pub action: String,
    /// On what.
    pub resource: String,
    /// The answer of the set in force, in a word.
    pub before: String,
    /// The answer of the other one.
    pub after: String,
    /// What that means for whoever asked.
    pub effect: Effect,
    /// How many of the replayed requests, and which.
    pub seen: Seen,
}

/// What another answer means for whoever asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    /// What was refused would be allowed.
    Gains,
    /// What was allowed would be refused.
    Loses,
    /// It stays refused and takes something else, or stays allowed and is observed, or no more.
    Changes,
}

impl Effect {
    /// The name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Effect::Gains => "gains",
            Effect::Loses => "loses",
            Effect::Changes => "changes",
        }
    }

    fn of(before: &str, after: &str) -> Self {
        let is_yes = |word: &str| word == YES || word == OBSERVED;
        match (is_yes(before), is_yes(after)) {
            (false, true) => Effect::Gains,
            (true, false) => Effect::Loses,
            (true, true) | (false, false) => Effect::Changes,
        }
    }
}

/// The words of what is allowed, and of what is allowed while a policy is only observed.
const YES: &str = "yes";
const OBSERVED: &str = "yes, observed";

/// Recorded decisions, asked again of both sets.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Replayed {
    /// How many were asked again.
    pub replayed: u64,
    /// How many could not be: whoever asked, or what they asked for, is no more.
    pub skipped: u64,
    /// Those that would be answered otherwise.
    pub changes: Vec<ReplayChange>,
    /// How far it came.
    pub reached: Reached,
}

/// Every operation × role × kind of credential that the two sets answer differently, as in
/// `authz-matrix.txt`: people have a factor and have not given it, settings are at their defaults, nothing
/// is approved.
pub(super) fn roles(present: &PolicyEngine, candidate: &PolicyEngine) -> Vec<RoleChange> {
    let columns = columns();
    let mut changes = Vec::new();
    for operation in present.operations() {
        for (who, caller) in &columns {
            let [before, after] = [present, candidate].map(|engine| cell(engine, operation, caller));
            if before != after {
                changes.push(RoleChange {
                    route: operation.route.to_string(),
                    action: operation.action.to_string(),
                    who: who.clone(),
                    before,
                    after,
                });
            }
        }
    }
    changes
}

fn columns() -> Vec<(String, Caller)> {
    let name = |role: Option<Role>| role.map_or("none", Role::name);
    let set = |role: Option<Role>| role.map_or(RoleSet::EMPTY, RoleSet::of);
    let roles = || std::iter::once(None).chain(Role::ALL.into_iter().map(Some));
    let person = |roles| Principal::User {
        id: UserId::from(Uuid::nil()),
        email: "somebody@example.com".into(),
        roles,
        session: SessionId::from(Uuid::nil()),
        kind: CredentialKind::CliSession,
    };
    let token = |roles| Principal::ApiToken {
        id: TokenId::from(Uuid::nil()),
        name: "some-token".into(),
        roles,
        grants: [Grant { critical: true, ..Grant::everything() }].into(),
        creator: UserId::from(Uuid::nil()),
        creator_email: "somebody@example.com".into(),
        creator_roles: RoleSet::of(Role::Admin).with(Role::Auditor),
    };
    let people = roles().map(|role| (name(role).to_owned(), person(set(role))));
    let tokens = roles().map(|role| (format!("t-{}", name(role)), token(set(role))));
    let workload = |roles| Principal::Workload {
        id: "some-rule".into(),
        name: "some-rule".into(),
        subject: "".into(),
        origin: WorkloadOrigin::Exchange,
        roles,
        grants: [Grant { critical: true, ..Grant::everything() }].into(),
    };
    let workloads = roles().map(|role| (format!("w-{}", name(role)), workload(set(role))));
    let nobody = std::iter::once(("nobody".to_owned(), Principal::Anonymous));
    nobody
        .chain(people)
        .chain(tokens)
        .chain(workloads)
        .map(|(who, principal)| (who, asking(principal)))
        .collect()
}

fn asking(principal: Principal) -> Caller {
    Caller { principal, channel: Channel::Api, source_ip: IpAddr::V4(Ipv4Addr::LOCALHOST) }
}

fn cell(engine: &PolicyEngine, operation: &Operation, caller: &Caller) -> String {
    let resource = if operation.route.contains("{app}") {
        Resource::app("some-app")
    } else if operation.action.as_str().starts_with("gateway:") {
        Resource::gateway()
    } else {
        Resource::rack()
    };
    let [others, own] = [false, true].map(|own_object| {
        let facts = Facts { mfa_enrolled: true, own_object, ..Facts::default() };
        word(&engine.decide(caller, operation, &resource, &facts))
    });
    if others == own { others } else { format!("{others}, own:{own}") }
}

/// A verdict in a word: `yes`, `signin`, or what is missing.
pub(super) fn word(verdict: &Verdict) -> String {
    if verdict.is_allowed() {
        return if verdict.observed.is_empty() { YES } else { OBSERVED }.to_owned();
    }
    if verdict.layer == Layer::Authentication {
        return "signin".to_owned();
    }
    let short = |kind: RemedyKind| match kind {
        RemedyKind::StepUpBound => "bound",
        RemedyKind::StepUp
        | RemedyKind::Enrol
        | RemedyKind::Approval
        | RemedyKind::Elevation
        | RemedyKind::Role
        | RemedyKind::Setting => kind.name(),
    };
    let kinds: Vec<&str> = verdict.remedies.iter().map(|remedy| short(remedy.kind)).collect();
    if kinds.is_empty() { "no".to_owned() } else { kinds.join("+") }
}

/// Asks recorded decisions again of both sets, with the facts of then and the roles of now: a role that changed
/// since is no doing of the policies.
pub(super) async fn replay(
    app: &App,
    present: &PolicyEngine,
    candidate: &PolicyEngine,
    period: Period,
) -> Result<Replayed, PolicyChangeError> {
    let operations: HashMap<(&str, &str), &Operation> = present
        .operations()
        .iter()
        .map(|operation| ((&*operation.route, operation.action.as_str()), operation))
        .collect();
    let page = recorded::decisions(app, period).await?;
    let mut callers = Callers { app, known: HashMap::new() };
    let mut answer = Replayed { reached: page.reached, ..Replayed::default() };
    let mut changes: BTreeMap<[String; 5], Seen> = BTreeMap::new();
    for (index, event) in &page.decisions {
        let Some(verdict) = &event.verdict else { continue };
        let key = (event.route.as_deref().unwrap_or_default(), event.action.as_str());
        let (Some(caller), Some(operation)) = (callers.of(event).await?, operations.get(&key)) else {
            answer.skipped += 1;
            continue;
        };
        answer.replayed += 1;
        let facts = at_its_time(app, event.time, &verdict.facts);
        let [was, would_be] = [present, candidate]
            .map(|engine| word(&engine.decide(&caller, operation, &event.resource, &facts)));
        if was == would_be {
            continue;
        }
        let (actor, action) = (event.actor.name.clone(), event.action.to_string());
        let change = [actor, action, event.resource.to_string(), was, would_be];
        if changes.len() < MOST_TOLD || changes.contains_key(&change) {
            changes.entry(change).or_default().add(*index, event);
        }
    }
    answer.changes = changes
        .into_iter()
        .map(|([actor, action, resource, before, after], seen)| ReplayChange {
            effect: Effect::of(&before, &after),
            actor,
            action,
            resource,
            before,
            after,
            seen,
        })
        .collect();
    Ok(answer)
}

/// The facts as they were recorded; of an event that is older than a fact, as they were by the clock. Whether policies
/// are only observed is that of now: it is no fact of the request, and both sets are asked under it.
fn at_its_time(app: &App, time: Timestamp, facts: &Facts) -> Facts {
    let facts = Facts { observing: app.settings.observe_policies(), ..facts.clone() };
    if facts.hour.is_some() {
        return facts;
    }
    let (hour, weekday) = app.settings.local_time(time).unzip();
    Facts { hour, weekday, ..facts }
}

/// Who asked, as they are now; each is looked up once.
struct Callers<'a> {
    app: &'a App,
    known: HashMap<String, Option<Principal>>,
}

impl Callers<'_> {
    async fn of(&mut self, event: &Event) -> Result<Option<Caller>, PolicyChangeError> {
        let channel = event.channel.unwrap_or(Channel::RackProxy);
        let principal = match (event.actor.kind, &event.actor.id) {
            (ActorKind::Anonymous, _) => Some(Principal::Anonymous),
            (ActorKind::User | ActorKind::ApiToken, Some(id)) => match self.known.get(id) {
                Some(known) => known.clone(),
                None => {
                    let found = self.find(event.actor.kind, id).await?;
                    self.known.insert(id.clone(), found.clone());
                    found
                }
            },
            // By the rule of its name as it is now.
            (ActorKind::Workload, _) => match self.known.get(&event.actor.name) {
                Some(known) => known.clone(),
                None => {
                    let found = self.machine(&event.actor.name).await?;
                    self.known.insert(event.actor.name.clone(), found.clone());
                    found
                }
            },
            (
                ActorKind::User
                | ActorKind::ApiToken
                | ActorKind::AccessToken
                | ActorKind::BreakGlass
                | ActorKind::System
                | ActorKind::LocalOperator,
                _,
            ) => None,
        };
        Ok(principal.map(|principal| Caller { channel, ..asking(principal) }))
    }

    async fn machine(&self, name: &str) -> Result<Option<Principal>, PolicyChangeError> {
        let Some(rule) = name.strip_prefix("workload:") else { return Ok(None) };
        let rule = self.app.store.trust_rules().by_name(rule).await?;
        Ok(rule.map(|rule| explain::workload(&rule).principal))
    }

    async fn find(&self, kind: ActorKind, id: &str) -> Result<Option<Principal>, PolicyChangeError> {
        let store = &self.app.store;
        if kind == ActorKind::ApiToken {
            let Ok(id) = id.parse::<TokenId>() else { return Ok(None) };
            return match store.tokens().by_id(id).await? {
                Some(token) => Ok(Some(explain::machine(store, &token).await?.principal)),
                None => Ok(None),
            };
        }
        let Ok(id) = id.parse::<UserId>() else { return Ok(None) };
        Ok(store.users().by_id(id).await?.map(|user| explain::person(&user).principal))
    }
}
