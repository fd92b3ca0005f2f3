//! What an event of the log says, in words for people. It knows neither where events come from nor who may
//! read them.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_app::App;
use gateway_audit::{ActorKind, End, Event, Phase, VerdictRecord};
use gateway_policy::{Effect, PolicyEngine};
use gateway_types::{Caller, Decision, Facts, Layer, RemedyKind, Resource, Timestamp};
use serde_json::Value;

use crate::gate;
use crate::query::Query;

/// A word with a tone, as `parts::badge` takes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Badge {
    pub(crate) text: &'static str,
    pub(crate) tone: &'static str,
}

/// A line of a list of terms.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Term {
    pub(crate) name: String,
    pub(crate) value: String,
}

/// One fact that policy was told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct FactRow {
    pub(crate) text: &'static str,
    pub(crate) holds: bool,
    pub(crate) detail: String,
}

/// A policy that decided.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct RuleRow {
    pub(crate) id: String,
    pub(crate) effect: &'static str,
    pub(crate) needs: String,
    /// Its text in the present policy set; empty when that has no such rule any more.
    pub(crate) text: String,
}

/// What policy said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct VerdictView {
    pub(crate) facts: Vec<FactRow>,
    pub(crate) rules: Vec<RuleRow>,
    pub(crate) remedies: Vec<&'static str>,
    pub(crate) policy_version: String,
    /// The policy set of today is another one.
    pub(crate) outdated: bool,
}

/// One value that a change touched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    pub(crate) path: String,
    pub(crate) before: Option<String>,
    pub(crate) after: Option<String>,
}

/// Who looks at events: links lead only to what they may see.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Reader {
    /// Their own events are all that they see.
    own_only: bool,
    /// Whether they may ask why anybody's request was decided so.
    asks_of_all: bool,
    /// What they are signed in with.
    credential: Option<String>,
}

impl Reader {
    pub(crate) fn of(app: &App, caller: &Caller) -> Self {
        Self {
            own_only: !gate::could_use(app, caller, "GET /app/audit", false),
            asks_of_all: app.could(caller, "gateway:policy:why", &Resource::gateway(), false),
            credential: caller.principal.credential_id(),
        }
    }

    /// The query of a listing that they may open.
    pub(crate) fn listing(&self) -> Query {
        let query = Query::default();
        if self.own_only { query.with("mine", "true") } else { query }
    }
}

/// An event as pages show it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct EventView {
    pub(crate) index: u64,
    pub(crate) time: Timestamp,
    pub(crate) actor: String,
    pub(crate) actor_kind: &'static str,
    pub(crate) actor_href: String,
    pub(crate) on_behalf_of: Option<String>,
    pub(crate) action: String,
    pub(crate) action_href: String,
    pub(crate) resource: String,
    pub(crate) app_href: Option<String>,
    pub(crate) decision: Option<Badge>,
    pub(crate) layer: Option<&'static str>,
    pub(crate) phase: &'static str,
    pub(crate) end: Option<Badge>,
    pub(crate) status: Option<u16>,
    pub(crate) reason: Option<String>,
    pub(crate) request_id: Option<String>,
    /// The page that tells why the request was decided so, for those who may ask.
    pub(crate) why_href: Option<String>,
    pub(crate) route: Option<String>,
    /// What else the event says of itself.
    pub(crate) more: Vec<Term>,
    pub(crate) parameters: Vec<Term>,
    pub(crate) verdict: Option<VerdictView>,
    pub(crate) changes: Vec<Change>,
}

impl EventView {
    /// The event at `index`; `policy` explains the rules it names, and `reader` is who looks.
    pub(crate) fn new(index: u64, event: &Event, policy: &PolicyEngine, reader: &Reader) -> Self {
        let listing = |name: &str, value: &str| reader.listing().with(name, value).link("/app/audit");
        let may_ask = reader.asks_of_all
            || (reader.credential.is_some() && event.actor.credential_id == reader.credential);
        let why = event.request_id.filter(|_| may_ask);
        let app = event.resource.app_name();
        let decision = decision(event);
        // A refusal that ended as one says so once.
        let end = event.end.map(end).filter(|end| decision.is_none_or(|decision| decision.text != end.text));
        Self {
            index,
            time: event.time,
            actor: event.actor.name.clone(),
            actor_kind: actor_kind(event.actor.kind),
            actor_href: listing("actor", &event.actor.name),
            on_behalf_of: event.actor.on_behalf_of.clone(),
            action: event.action.to_string(),
            action_href: listing("action", event.action.as_str()),
            resource: app
                .map_or_else(|| event.resource.kind.name().to_lowercase(), |app| format!("app {app}")),
            app_href: app.map(|app| listing("app", app)),
            decision,
            layer: event.layer.map(layer_in_words),
            phase: phase(event.phase),
            end,
            status: event.status,
            reason: event.reason.clone(),
            request_id: event.request_id.map(|id| id.to_string()),
            why_href: why.map(|id| format!("/app/why/{id}")),
            route: event.route.clone(),
            more: more(event),
            parameters: terms(&event.parameters),
            verdict: event.verdict.as_ref().map(|verdict| verdict_view(verdict, policy)),
            changes: difference(event.before.as_ref(), event.after.as_ref()),
        }
    }
}

fn terms(map: &BTreeMap<String, String>) -> Vec<Term> {
    map.iter().map(|(name, value)| Term { name: name.clone(), value: value.clone() }).collect()
}

fn more(event: &Event) -> Vec<Term> {
    let term = |name: &str, value: Option<String>| value.map(|value| Term { name: name.to_owned(), value });
    let bytes = |count: Option<u64>| count.map(|count| format!("{count} bytes"));
    [
        term("Came in by", event.channel.map(|channel| channel.name().replace('_', " "))),
        term("From address", event.source_ip.map(|ip| ip.to_string())),
        term("Credential", event.actor.credential_id.clone()),
        term("Second factor", event.step_up.clone()),
        term("Approval", event.approval.clone()),
        term("Stands for", event.count.map(|count| format!("{count} like events"))),
        term("Received", bytes(event.bytes_in)),
        term("Sent", bytes(event.bytes_out)),
        term("Took", event.duration_us.map(|micros| took(Duration::from_micros(micros)))),
        term("Event id", Some(event.id.to_string())),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn took(length: Duration) -> String {
    match length.as_micros() {
        micros @ 0..1000 => format!("{micros} µs"),
        micros @ 1000..10_000_000 => format!("{} ms", micros / 1000),
        _ => crate::filters::in_words(length),
    }
}

/// A layer as people call it.
pub(crate) const fn layer_in_words(layer: Layer) -> &'static str {
    match layer {
        Layer::Mfa => "second factor",
        Layer::Network | Layer::Authentication | Layer::Authorization | Layer::Audit => layer.name(),
    }
}

const fn actor_kind(kind: ActorKind) -> &'static str {
    match kind {
        ActorKind::Anonymous => "nobody known",
        ActorKind::User => "person",
        ActorKind::ApiToken => "API token",
        ActorKind::AccessToken => "access token of an issuer",
        ActorKind::Workload => "workload",
        ActorKind::BreakGlass => "break-glass",
        ActorKind::System => "the gateway itself",
        ActorKind::LocalOperator => "operator on the server",
    }
}

const fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Intent => "intent",
        Phase::Outcome => "outcome",
        Phase::Single => "event",
    }
}

const fn end(end: End) -> Badge {
    match end {
        End::Completed => Badge { text: "completed", tone: "ok" },
        End::Refused => Badge { text: "refused", tone: "bad" },
        End::AbortedByClient => Badge { text: "client went away", tone: "warn" },
        End::UpstreamLost => Badge { text: "rack did not answer", tone: "bad" },
        End::Failed => Badge { text: "gateway failed", tone: "bad" },
        End::Panicked => Badge { text: "gateway failed (panic)", tone: "bad" },
    }
}

/// Whether it was allowed; `None` where nothing was decided. A refusal before policy has no verdict but
/// names its layer.
pub(crate) fn decision(event: &Event) -> Option<Badge> {
    let is_refusal = event.phase != Phase::Outcome || event.end == Some(End::Refused);
    match (event.verdict.as_ref().map(|verdict| verdict.decision), event.layer) {
        (Some(Decision::Allow), _) => Some(Badge { text: "allowed", tone: "ok" }),
        (Some(Decision::Refuse), _) => Some(Badge { text: "refused", tone: "bad" }),
        (None, Some(_)) if is_refusal => Some(Badge { text: "refused", tone: "bad" }),
        (None, _) => None,
    }
}

fn verdict_view(verdict: &VerdictRecord, policy: &PolicyEngine) -> VerdictView {
    let rule = |id: &String| {
        let known = policy.rule(id);
        RuleRow {
            id: id.clone(),
            effect: known.map_or("decided", |rule| match rule.effect {
                Effect::Permit => "permits",
                Effect::Forbid if rule.observed => "would forbid; it is only observed",
                Effect::Forbid => "forbids",
            }),
            needs: known.and_then(|rule| rule.needs.clone()).unwrap_or_default(),
            text: known.map(|rule| rule.text.clone()).unwrap_or_default(),
        }
    };
    VerdictView {
        facts: facts(&verdict.facts),
        rules: verdict.rules.iter().chain(&verdict.observed).map(rule).collect(),
        remedies: verdict.remedies.iter().map(|kind| remedy(*kind)).collect(),
        policy_version: verdict.policy_version.clone(),
        outdated: verdict.policy_version != policy.version(),
    }
}

/// What turns a refusal into a yes, as an order.
pub(crate) const fn remedy(kind: RemedyKind) -> &'static str {
    match kind {
        RemedyKind::StepUp => "Confirm with a second factor, then repeat it.",
        RemedyKind::StepUpBound => "Confirm with a second factor for this very action.",
        RemedyKind::Enrol => "Enrol a second factor first.",
        RemedyKind::Approval => "Have this deploy approved.",
        RemedyKind::Elevation => "Ask for a higher role for a while.",
        RemedyKind::Role => "Ask an admin for a role, or a grant, that may do this.",
        RemedyKind::Setting => "An admin can switch it on in the settings.",
    }
}

/// Every fact that is not at its default is told first; a new kind of fact does not compile until it is here.
fn facts(facts: &Facts) -> Vec<FactRow> {
    let Facts {
        mfa_window,
        mfa_bound,
        mfa_enrolled,
        mfa_off,
        mfa_required,
        own_object,
        approval_matches,
        destructive_allowed,
        external_builds_allowed,
        sensitive_parameters,
        networks,
        labels,
        hour,
        weekday,
        elevated,
        roles_here,
        elevation_possible,
        observing,
    } = facts;
    let row = |text, holds: bool| FactRow { text, holds, detail: String::new() };
    let names: Vec<&str> = sensitive_parameters.iter().map(String::as_str).collect();
    let mut rows = vec![
        row("a second factor was given within the window", *mfa_window),
        row("a second factor was given for this very action", *mfa_bound),
        row("the person has a second factor", *mfa_enrolled),
        row("second factors are switched off", *mfa_off),
        row("everybody must have a second factor", *mfa_required),
        row("it is about the caller's own", *own_object),
        row("an approval matches", *approval_matches),
        row("destructive actions are switched on", *destructive_allowed),
        row("external builds are switched on", *external_builds_allowed),
        FactRow {
            text: "sensitive parameters were given",
            holds: !names.is_empty(),
            detail: names.join(", "),
        },
        FactRow {
            text: "the address is in a named network",
            holds: !networks.is_empty(),
            detail: networks.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        },
        FactRow {
            text: "the app has labels",
            holds: !labels.is_empty(),
            detail: labels.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        },
        FactRow {
            text: "a live elevation gives a role here",
            holds: !elevated.is_empty(),
            detail: elevated.to_string(),
        },
        FactRow {
            text: "a grant gives a role here",
            holds: !roles_here.is_empty(),
            detail: roles_here.iter().map(String::as_str).collect::<Vec<_>>().join(", "),
        },
        FactRow {
            text: "the hour and the day of the week (1 = Monday) are known",
            holds: hour.is_some() || weekday.is_some(),
            detail: hour
                .zip(*weekday)
                .map(|(hour, day)| format!("hour {hour}, day {day}"))
                .unwrap_or_default(),
        },
        row("an elevation could be asked for", *elevation_possible),
        row("the operator's own policies are only observed", *observing),
    ];
    rows.sort_by_key(|row| !row.holds);
    rows
}

/// What differs, one line for each value that is not the same, by path. What is only on one side is there
/// with `None` on the other.
pub(crate) fn difference(before: Option<&Value>, after: Option<&Value>) -> Vec<Change> {
    let (mut old, mut new) = (BTreeMap::new(), BTreeMap::new());
    before.into_iter().for_each(|value| flatten("", value, &mut old));
    after.into_iter().for_each(|value| flatten("", value, &mut new));
    let mut paths: Vec<&String> = old.keys().chain(new.keys()).collect();
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter(|path| old.get(*path) != new.get(*path))
        .map(|path| Change {
            path: path.clone(),
            before: old.get(path).cloned(),
            after: new.get(path).cloned(),
        })
        .collect()
}

/// Objects are opened; lists are shown whole, since their places mean nothing.
fn flatten(path: &str, value: &Value, into: &mut BTreeMap<String, String>) {
    let shown = match value {
        // Nothing was there, or nothing is there any more.
        Value::Null => return,
        Value::Object(members) => {
            for (name, member) in members {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                flatten(&path, member, into);
            }
            return;
        }
        Value::String(text) => text.clone(),
        Value::Array(items) if items.iter().all(Value::is_string) => {
            items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        }
        Value::Array(_) | Value::Bool(_) | Value::Number(_) => value.to_string(),
    };
    into.insert(if path.is_empty() { "value".to_owned() } else { path.to_owned() }, shown);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(before: Option<Value>, after: Option<Value>, expected: &[(&str, Option<&str>, Option<&str>)]) {
        let found = difference(before.as_ref(), after.as_ref());
        let found: Vec<_> = found
            .iter()
            .map(|row| (row.path.as_str(), row.before.as_deref(), row.after.as_deref()))
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn differences() {
        check(None, None, &[]);
        check(Some(json!({"a": 1})), Some(json!({"a": 1})), &[]);
        check(
            Some(json!({"roles": ["viewer"], "name": "x", "locked": false})),
            Some(json!({"roles": ["viewer", "ops"], "name": "x", "locked": false})),
            &[("roles", Some("viewer"), Some("viewer, ops"))],
        );
        check(Some(Value::Null), Some(json!("10m")), &[("value", None, Some("10m"))]);
        check(Some(json!({"a": {"b": true}})), None, &[("a.b", Some("true"), None)]);
    }

    #[test]
    fn how_long_it_took() {
        assert_eq!(took(Duration::from_micros(7)), "7 µs");
        assert_eq!(took(Duration::from_micros(12_345)), "12 ms");
        assert_eq!(took(Duration::from_secs(61)), "1 min");
    }
}
