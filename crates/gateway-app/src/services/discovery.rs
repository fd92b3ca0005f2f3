//! Instances that DNS SRV records name: looked up when an answer is over, put in force when it says something else, and told
//! of when a look fails. Each instance of the gateway looks by itself, and keeps what it found in memory.
//!
//! What becomes of an answer is [`Known::after`]'s; who asks name servers stands behind [`SrvLookup`]. An answer is held to
//! the declaration by [`Srv::place`].

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_audit::{End, bounded};
use gateway_services::{Registered, RegisteredInstances, Service, ServiceTable, Srv, SrvTarget, TableError};
use gateway_types::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::ServiceChangeError;
use crate::rules::Rules;
use crate::{App, Operator, record};

/// The shortest time that an answer is kept, whatever it says itself; also when a look that failed is made again.
const SHORTEST: Duration = Duration::from_secs(5);

/// The longest time that an answer is kept.
const LONGEST: Duration = Duration::from_secs(300);

/// How long instances stay after name servers said that there is none: a zone that is being loaded says so too.
const ABSENCE: Duration = Duration::from_secs(60);

/// How long all of one look may take.
const LOOK_LIMIT: Duration = Duration::from_secs(8);

/// Whoever asks name servers.
pub trait SrvLookup: fmt::Debug + Send + Sync {
    /// Asks for this record and the addresses of its targets.
    fn look(&self, srv: Srv) -> Looking;
}

/// What [`SrvLookup::look`] returns.
pub type Looking = Pin<Box<dyn Future<Output = Result<SrvAnswer, SrvFault>> + Send>>;

/// What name servers know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SrvAnswer {
    /// The targets; none = the record does not exist, or says that nobody is there.
    pub targets: Vec<SrvTarget>,
    /// How long it may be kept; `None` = it does not say.
    pub holds: Option<Duration>,
}

/// Why there is no answer, in words.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct SrvFault(pub String);

/// How the last look ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LookEnd {
    /// With instances.
    Found,
    /// There is no such record; instances stay for a minute.
    Absent,
    /// No answer, or none that may be followed; the instances before stay.
    Failed,
}

impl LookEnd {
    /// Its name in replies.
    pub const fn name(self) -> &'static str {
        match self {
            LookEnd::Found => "found",
            LookEnd::Absent => "absent",
            LookEnd::Failed => "failed",
        }
    }
}

/// What this instance knows of the instances of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Known {
    /// What was declared when it was looked up.
    pub srv: Srv,
    /// The instances.
    pub instances: Vec<Registered>,
    /// What the last answer named and the declaration does not allow.
    pub refused: BTreeSet<String>,
    /// How the last look ended.
    pub end: LookEnd,
    /// Why, unless it found instances.
    pub fault: Option<String>,
    /// When it was looked last.
    pub looked: Timestamp,
    /// When it is looked next.
    pub next: Timestamp,
    /// Since when there is no such record.
    absent: Option<Timestamp>,
}

impl Known {
    /// What is known after a look, of what was known of the same declaration before.
    fn after(
        before: Option<&Known>,
        srv: &Srv,
        answer: Result<SrvAnswer, SrvFault>,
        now: Timestamp,
    ) -> Known {
        let kept = before.map(|before| before.instances.clone()).unwrap_or_default();
        let absent = before.and_then(|before| before.absent);
        let known = |end, fault, holds: Duration| Known {
            srv: srv.clone(),
            instances: Vec::new(),
            refused: BTreeSet::new(),
            end,
            fault,
            looked: now,
            next: now.saturating_add(holds.clamp(SHORTEST, LONGEST)),
            absent: None,
        };
        // What is kept although the name servers said that nobody is there.
        let is_over = |since: Timestamp| now.checked_since(since).is_none_or(|for_now| for_now >= ABSENCE);
        match answer {
            Err(SrvFault(why)) => {
                let instances = if absent.is_some_and(is_over) { Vec::new() } else { kept };
                Known { instances, absent, ..known(LookEnd::Failed, Some(why), SHORTEST) }
            }
            Ok(SrvAnswer { targets, holds }) if targets.iter().all(|one| one.addresses.is_empty()) => {
                let since = absent.unwrap_or(now);
                let instances = if is_over(since) { Vec::new() } else { kept };
                let why = format!("`{}` names no address", srv.name);
                // Looked at again in time to let go of instances.
                let holds = holds.unwrap_or(SHORTEST).min(ABSENCE);
                Known { instances, absent: Some(since), ..known(LookEnd::Absent, Some(why), holds) }
            }
            Ok(SrvAnswer { targets, holds }) => {
                let placed = srv.place(&targets);
                if placed.instances.is_empty() {
                    // Whoever can answer falsely is not to take a service away by it.
                    let why = format!("no address of `{}` may be an instance", srv.name);
                    let refused = placed.refused;
                    return Known {
                        instances: kept,
                        refused,
                        absent,
                        ..known(LookEnd::Failed, Some(why), SHORTEST)
                    };
                }
                let found = known(LookEnd::Found, None, holds.unwrap_or(SHORTEST));
                Known { instances: placed.instances, refused: placed.refused, ..found }
            }
        }
    }

    /// Whether it is to be looked at again. A clock that was moved back is no reason to wait.
    fn is_over(&self, now: Timestamp) -> bool {
        now >= self.next || now < self.looked
    }

    fn shown(&self) -> Value {
        let of = |one: &Registered| {
            let at = &one.address;
            json!({ "address": at.authority(), "priority": at.priority, "weight": at.weight })
        };
        json!(self.instances.iter().map(of).collect::<Vec<_>>())
    }
}

/// What this instance looked up, by the name of the service.
#[derive(Debug, Default)]
pub struct Discovery(Mutex<BTreeMap<String, Known>>);

impl Discovery {
    /// What is known of a service by its declaration in force.
    pub fn of(&self, service: &Service) -> Option<Known> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(service.name.as_str()).filter(|known| Some(&known.srv) == service.srv.as_ref()).cloned()
    }

    /// The instances that these services have by what was looked up.
    fn instances(&self, table: &ServiceTable) -> RegisteredInstances {
        let known = |service: &Arc<Service>| Some((service.name.to_string(), self.of(service)?.instances));
        table.services().filter_map(known).collect()
    }

    fn keep(&self, name: &str, known: Known) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), known);
    }

    fn keep_only(&self, table: &ServiceTable) {
        let is_there = |name: &str| table.named(name).is_some_and(|service| service.srv.is_some());
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|name, _| is_there(name));
    }
}

/// A table with the instances of its services that registered themselves or were looked up.
pub(crate) fn fill(app: &App, table: ServiceTable) -> Result<ServiceTable, TableError> {
    Ok(table.with_instances(&instances(app, &table))?.unwrap_or(table))
}

/// Puts the instances in force that are known now. Whoever calls holds
/// [`Health::policies`](crate::health::Health::policies).
pub(crate) fn put(app: &App) -> Result<(), TableError> {
    let rules = app.rules.load();
    if let Some(table) = rules.services.with_instances(&instances(app, &rules.services))? {
        app.rules.put(Rules { policy: Arc::clone(&rules.policy), services: Arc::new(table) });
    }
    Ok(())
}

fn instances(app: &App, table: &ServiceTable) -> RegisteredInstances {
    let mut instances = app.zone.registry.instances(app, table);
    instances.extend(app.rules.discovered().instances(table));
    instances
}

/// Looks up what is not known yet, or known for too long. Called each second.
///
/// # Errors
/// When something cannot be recorded; what was known of that service before stays in force, and it is looked at again at once.
pub async fn look(app: &App, lookup: &dyn SrvLookup) -> Result<(), ServiceChangeError> {
    let (table, now) = (app.rules.services(), app.clock.now());
    app.rules.discovered().keep_only(&table);
    let mut looks = JoinSet::new();
    for service in table.services() {
        let is_known = app.rules.discovered().of(service).is_some_and(|known| !known.is_over(now));
        if let Some(srv) = service.srv.clone().filter(|_| !is_known) {
            let (service, looking) = (Arc::clone(service), lookup.look(srv.clone()));
            looks.spawn(async move {
                let slow = || Err(SrvFault("no name server answered in time".to_owned()));
                let answer = tokio::time::timeout(LOOK_LIMIT, looking).await;
                (service, srv, answer.unwrap_or_else(|_slow| slow()))
            });
        }
    }
    let mut ended = Ok(());
    while let Some(joined) = looks.join_next().await {
        // One that panicked is looked at again with the next call.
        let Ok((service, srv, answer)) = joined else { continue };
        let before = app.rules.discovered().of(&service);
        let after = Known::after(before.as_ref(), &srv, answer, app.clock.now());
        match tell(app, service.name.as_str(), before.as_ref(), &after).await {
            Ok(()) => app.rules.discovered().keep(service.name.as_str(), after),
            Err(error) => ended = Err(error),
        }
    }
    note_fault(app);
    // Held to the end, so that nobody puts an older table in force over this one.
    let _loaded = app.health.policies.lock().await;
    put(app)?;
    ended
}

/// Records what is news: other instances, something that is refused, the first look that fails and the first that does not.
async fn tell(
    app: &App,
    name: &str,
    before: Option<&Known>,
    after: &Known,
) -> Result<(), ServiceChangeError> {
    let operator = Operator::system(&*app.clock, &*app.entropy);
    let event = |action: &str| {
        let mut event = operator.event(action);
        event.parameters.insert("name".to_owned(), name.to_owned());
        event.parameters.insert("record".to_owned(), after.srv.name.clone());
        event
    };
    let nobody = Vec::new();
    if before.map_or(&nobody, |before| &before.instances) != &after.instances {
        let mut changed = event("gateway:service:instances_changed");
        changed.before = Some(before.map_or(json!([]), Known::shown));
        changed.after = Some(after.shown());
        record(&app.store, changed).await?;
    }
    if !after.refused.is_empty() && before.is_none_or(|before| before.refused != after.refused) {
        let mut refused = event("gateway:service:instance_refused");
        let addresses: Vec<&str> = after.refused.iter().map(String::as_str).collect();
        refused.parameters.insert("addresses".to_owned(), bounded(&addresses.join(" ")));
        refused.reason = Some("the name server named what the declaration does not allow".to_owned());
        refused.end = Some(End::Refused);
        record(&app.store, refused).await?;
    }
    let was_found = before.is_none_or(|before| before.end == LookEnd::Found);
    match (was_found, after.end == LookEnd::Found) {
        (true, false) => {
            let mut failed = event("gateway:service:discovery_failed");
            failed.reason = after.fault.as_deref().map(bounded);
            failed.end = Some(End::Failed);
            record(&app.store, failed).await?;
        }
        (false, true) => record(&app.store, event("gateway:service:discovery_recovered")).await?,
        (true, true) | (false, false) => {}
    }
    Ok(())
}

/// What `/readyz` and the metrics say.
fn note_fault(app: &App) {
    let table = app.rules.services();
    let fault = |service: &Arc<Service>| {
        let known = app.rules.discovered().of(service)?;
        Some(format!("the instances of `{}` cannot be looked up: {}", service.name, known.fault?))
    };
    let faults: Vec<String> = table.services().filter_map(fault).collect();
    app.health.set_discovery_fault((!faults.is_empty()).then(|| faults.join("; ")));
}

#[cfg(test)]
mod tests {
    use gateway_services::RawService;
    use gateway_types::Role;

    use super::*;
    use crate::rights::Expected;
    use crate::rules::RulesInForce;
    use crate::services::write;
    use crate::tests::World;

    /// Name servers whose answer is set.
    #[derive(Debug)]
    struct Answers(Mutex<(usize, Result<SrvAnswer, SrvFault>)>);

    impl Answers {
        fn set(&self, answer: Result<SrvAnswer, SrvFault>) {
            self.0.lock().unwrap().1 = answer;
        }

        fn count(&self) -> usize {
            self.0.lock().unwrap().0
        }
    }

    impl SrvLookup for Answers {
        fn look(&self, _srv: Srv) -> Looking {
            let mut kept = self.0.lock().unwrap();
            kept.0 += 1;
            let answer = kept.1.clone();
            Box::pin(async move { answer })
        }
    }

    fn found(addresses: &[&str], seconds: u64) -> Result<SrvAnswer, SrvFault> {
        let target = |address: &&str| SrvTarget {
            priority: 1,
            weight: 1,
            port: 8080,
            addresses: vec![address.parse().unwrap()],
        };
        let targets = addresses.iter().map(target).collect();
        Ok(SrvAnswer { targets, holds: Some(Duration::from_secs(seconds)) })
    }

    fn absent() -> Result<SrvAnswer, SrvFault> {
        Ok(SrvAnswer { targets: Vec::new(), holds: None })
    }

    fn failed() -> Result<SrvAnswer, SrvFault> {
        Err(SrvFault("nobody answers".to_owned()))
    }

    fn declaration() -> Value {
        json!({
            "hosts": ["wiki.example.com"],
            "instances": "srv",
            "srv": { "name": "_wiki._tcp.corp.internal" },
        })
    }

    fn srv() -> Srv {
        let mut raw = declaration();
        raw["name"] = json!("wiki");
        let raw: RawService = serde_json::from_value(raw).unwrap();
        Service::check(raw).unwrap().srv.unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    #[test]
    fn what_is_known_after_answers() {
        // Each answer with its second, then `END ADDRESSES next SECOND` after the last.
        let check = |answers: &[(i64, Result<SrvAnswer, SrvFault>)], expected: &str| {
            let mut known: Option<Known> = None;
            for (second, answer) in answers {
                known = Some(Known::after(known.as_ref(), &srv(), answer.clone(), at(*second)));
            }
            let known = known.unwrap();
            let hosts: Vec<&str> = known.instances.iter().map(|one| one.address.host.as_str()).collect();
            let next = known.next.micros() / 1_000_000;
            let told = format!("{} {} next {next}", known.end.name(), hosts.join(" "));
            assert_eq!(told, expected, "{answers:?}");
        };
        let (a, b) = (["10.0.0.1"], ["10.0.0.2"]);
        check(&[(0, found(&a, 60))], "found 10.0.0.1 next 60");
        check(&[(0, found(&a, 0))], "found 10.0.0.1 next 5");
        check(&[(0, found(&a, 86_400))], "found 10.0.0.1 next 300");
        check(&[(0, found(&a, 60)), (60, found(&b, 60))], "found 10.0.0.2 next 120");
        check(&[(0, failed())], "failed  next 5");
        check(&[(0, found(&a, 60)), (60, failed())], "failed 10.0.0.1 next 65");
        check(&[(0, found(&a, 60)), (60, failed()), (99_999, failed())], "failed 10.0.0.1 next 100004");
        check(&[(0, found(&a, 60)), (60, absent())], "absent 10.0.0.1 next 65");
        check(&[(0, found(&a, 60)), (60, absent()), (119, absent())], "absent 10.0.0.1 next 124");
        check(&[(0, found(&a, 60)), (60, absent()), (120, absent())], "absent  next 125");
        // A failure is no reason to keep longer what name servers said is not there.
        check(&[(0, found(&a, 60)), (60, absent()), (120, failed())], "failed  next 125");
        let back = [(0, found(&a, 60)), (60, absent()), (70, found(&a, 60)), (200, absent())];
        check(&back, "absent 10.0.0.1 next 205");
        // What only link-local addresses are in is no answer; beside others they are left out.
        let poisoned = ["169.254.169.254"];
        check(&[(0, found(&a, 60)), (60, found(&poisoned, 60))], "failed 10.0.0.1 next 65");
        check(&[(0, found(&["169.254.169.254", "10.0.0.3"], 60))], "found 10.0.0.3 next 60");
    }

    #[tokio::test]
    async fn instances_follow_the_name_server_and_the_log_says_so() {
        for mut world in World::both().await {
            world.app.rules = Arc::new(RulesInForce::new((*world.app.rules.load()).clone()));
            let ann = world.person("ann", &[Role::Admin]).await;
            let operator = world.operator(&ann.caller);
            write(&world.app, &operator, "wiki", declaration(), Expected::Any).await.unwrap();
            let answers = Answers(Mutex::new((0, found(&["10.0.0.1", "10.0.0.2"], 30))));
            let hosts = || -> Vec<String> {
                let table = world.app.rules.services();
                table.named("wiki").unwrap().upstreams.iter().map(|one| one.host.clone()).collect()
            };
            let turn = async |seconds: u64| {
                world.clock.advance(Duration::from_secs(seconds));
                look(&world.app, &answers).await.unwrap();
            };
            assert!(hosts().is_empty(), "nobody was asked yet");
            turn(0).await;
            assert_eq!(hosts(), ["10.0.0.1", "10.0.0.2"]);
            turn(29).await;
            assert_eq!(answers.count(), 1, "an answer is kept as long as it says");
            // A change of something else keeps what is known.
            let mut renamed = declaration();
            renamed["title"] = json!("Wiki");
            write(&world.app, &operator, "wiki", renamed, Expected::Any).await.unwrap();
            assert_eq!(hosts().len(), 2);
            answers.set(failed());
            turn(2).await;
            turn(6).await;
            assert_eq!((hosts().len(), answers.count()), (2, 3), "the last answer holds");
            assert!(world.app.health.discovery_fault().unwrap().contains("nobody answers"));
            answers.set(found(&["10.0.0.2", "169.254.169.254"], 30));
            turn(6).await;
            assert_eq!(hosts(), ["10.0.0.2"]);
            assert_eq!(world.app.health.discovery_fault(), None);
            answers.set(absent());
            turn(31).await;
            assert_eq!(hosts().len(), 1);
            turn(61).await;
            assert!(hosts().is_empty());
            // Another record has nothing of what this one had.
            let mut other = declaration();
            other["srv"]["name"] = json!("_other._tcp.corp.internal");
            answers.set(found(&["10.0.0.9"], 30));
            write(&world.app, &operator, "wiki", other, Expected::Any).await.unwrap();
            turn(0).await;
            assert_eq!(hosts(), ["10.0.0.9"]);
            let events = world.events().await;
            let of = |action: &str| events.iter().filter(|event| event.action.as_str() == action).count();
            assert_eq!(of("gateway:service:instances_changed"), 4);
            assert_eq!(of("gateway:service:discovery_failed"), 2, "once each time that it began");
            assert_eq!(of("gateway:service:discovery_recovered"), 1);
            assert_eq!(of("gateway:service:instance_refused"), 1);
        }
    }
}
