//! The audit log: a listing with filters, and one event with everything it says.

use askama::Template;
use gateway_app::audit::saved::{self, SavedSearchError};
use gateway_app::audit::{self as log, Entry, Inclusion, Whose};
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::environments::person;
use gateway_audit::Phase;
use gateway_store::{EventFilter, SavedSearch};
use gateway_types::wire::audit::{AuditFilter, AuditPhase, AuditVerdict};
use gateway_types::{Decision, Layer, Problem, ProblemKind, RequestId, Timestamp};

use super::choices::{self, Choice};
use super::command;
use super::event::{EventView, Reader};
use crate::page::Frame;
use crate::query::{Pager, Query};
use crate::{Web, filters, gate, reply};

const PATH: &str = "/app/audit";
const PAGE_SIZE: u32 = 50;
const LISTING: &str = "GET /app/audit";
const CHARTS: &str = "GET /app/audit/charts";
const SHARES: &str = "GET /app/audit/shares";
const KEEP: &str = "POST /app/audit/searches";
const REMOVE: &str = "POST /app/audit/searches/{id}/remove";
const ONE: &str = "GET /app/audit/{index}";

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    frame: Frame,
    /// Why others' events are not shown to somebody who cannot see them.
    mine_only: Option<String>,
    mine: bool,
    may_see_all: bool,
    may_read_one: bool,
    filter: Entered,
    /// The page without any filter.
    clear_href: String,
    verdicts: Vec<Choice>,
    phases: Vec<Choice>,
    stories_href: String,
    charts_href: Option<String>,
    /// Whether this person may make links for auditors.
    may_share: bool,
    faults: Vec<String>,
    /// From which entry on events are shown, when older ones were pruned.
    pruned_before: Option<u64>,
    /// Why nothing is pruned.
    hold: Option<String>,
    events: Vec<EventView>,
    pager: Pager,
    command: String,
    searches: Vec<KeptSearch>,
    /// Why this person may not keep searches.
    may_not_keep: Option<String>,
}

/// A search that somebody kept.
struct KeptSearch {
    id: String,
    name: String,
    href: String,
    /// Whose, when it is somebody else's.
    owner: Option<String>,
    shared: bool,
    may_remove: bool,
}

/// The fields of the filter as they were entered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Entered {
    actor: String,
    action: String,
    app: String,
    verdict: String,
    phase: String,
    request: String,
    from: String,
    to: String,
    text: String,
}

impl Entered {
    fn of(query: &Query) -> Self {
        let one = |name| query.one(name).unwrap_or_default();
        Self {
            actor: one("actor"),
            action: one("action"),
            app: one("app"),
            verdict: one("verdict"),
            phase: one("phase"),
            request: one("request"),
            from: one("from"),
            to: one("to"),
            text: one("q"),
        }
    }

    /// What the listing holds; or what is wrong with what was entered.
    fn filter(&self) -> Result<EventFilter, Vec<String>> {
        let moments = moments(&self.from, &self.to);
        let request = (!self.request.is_empty()).then(|| self.request.parse::<RequestId>()).transpose();
        let (since, until, request) = match (moments, request) {
            (Ok((since, until)), Ok(request)) => (since, until, request),
            (moments, request) => {
                let mut faults = moments.err().unwrap_or_default();
                if request.is_err() {
                    faults.push(format!("Request: `{}` is no id of a request.", self.request));
                }
                return Err(faults);
            }
        };
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        Ok(EventFilter {
            actor: given(&self.actor),
            action: given(&self.action),
            app: given(&self.app),
            since,
            until,
            decision: match self.verdict.as_str() {
                "allowed" => Some(Decision::Allow),
                "refused" => Some(Decision::Refuse),
                _ => None,
            },
            phase: [Phase::Intent, Phase::Outcome, Phase::Single]
                .into_iter()
                .find(|phase| phase.name() == self.phase),
            request,
            text: given(&self.text),
        })
    }

    /// The stories of what was asked for, as far as stories have it.
    fn stories(&self, mine: bool) -> String {
        let mut query = Query::default().with("view", "story");
        if mine {
            query = query.with("mine", "true");
        }
        let actor = if mine { "" } else { self.actor.as_str() };
        for (name, value) in [("actor", actor), ("app", &self.app), ("from", &self.from), ("to", &self.to)] {
            if !value.is_empty() {
                query = query.with(name, value);
            }
        }
        query.link(PATH)
    }

    /// The numbers of the app or the actor that was asked for.
    fn charts(&self) -> String {
        [("app", &self.app), ("actor", &self.actor)]
            .into_iter()
            .filter(|(_, value)| !value.is_empty())
            .fold(Query::default(), |query, (name, value)| query.with(name, value))
            .link("/app/audit/charts")
    }

    /// The same question as a command.
    fn command(&self) -> String {
        let mut words = vec!["rack-gateway".to_owned(), "audit".to_owned(), "search".to_owned()];
        let exact = |text: &String| moment(text).map(Timestamp::to_rfc3339).unwrap_or_default();
        for (flag, value) in [
            ("--actor", &self.actor),
            ("--action", &self.action),
            ("--app", &self.app),
            ("--phase", &self.phase),
            ("--request", &self.request),
            ("--from", &exact(&self.from)),
            ("--to", &exact(&self.to)),
        ] {
            if !value.is_empty() {
                words.extend([flag.to_owned(), command::word(value)]);
            }
        }
        match self.verdict.as_str() {
            "refused" => words.push("--refused".to_owned()),
            "allowed" => words.push("--allowed".to_owned()),
            _ => {}
        }
        if !self.text.is_empty() {
            words.extend(["--".to_owned(), command::word(&self.text)]);
        }
        words.join(" ")
    }
}

/// From and until as they were entered.
///
/// # Errors
/// What is wrong with them, in sentences.
pub(super) fn moments(from: &str, to: &str) -> Result<(Option<Timestamp>, Option<Timestamp>), Vec<String>> {
    let mut faults = Vec::new();
    let mut at = |label: &str, text: &str| {
        if text.is_empty() {
            return None;
        }
        let found = moment(text);
        if found.is_none() {
            faults.push(format!(
                "{label}: `{text}` is no moment. Write a day such as 2026-11-22, or 2026-11-22T08:00; both are UTC."
            ));
        }
        found
    };
    let found = (at("From", from), at("Until", to));
    if faults.is_empty() { Ok(found) } else { Err(faults) }
}

/// A moment as people write it: RFC 3339, or a day or minute of UTC.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    ["", "Z", ":00Z", "T00:00:00Z"].iter().find_map(|rest| Timestamp::parse_rfc3339(&format!("{text}{rest}")))
}

/// `GET /app/audit`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let (app, query) = (web.app(), Query::of(request));
    if query.one("view").as_deref() == Some("story") {
        return super::stories::list(web, request).await;
    }
    let others = gate::refusal(app, &request.caller, LISTING, false);
    // What the verdict was about, and nothing wider.
    let mine = request.facts.own_object || others.is_some();
    let mut entered = Entered::of(&query);
    if mine {
        entered.actor = request.caller.principal.display_name();
    }
    let before = log::cursor(query.one("cursor").as_deref())?;
    let whose = if mine { Whose::Own(&request.caller) } else { Whose::Everybodys };
    let (found, faults) = match entered.filter() {
        Ok(filter) => (Some(log::search(app, whose, filter, before, PAGE_SIZE).await?), Vec::new()),
        Err(faults) => (None, faults),
    };
    let retained = app.store.audit_retention().retained().await.map_err(log::AuditError::from)?;
    let (policy, reader) = (app.policy(), Reader::of(app, &request.caller));
    let (items, next) = found.map_or_else(Default::default, |page| (page.items, page.next));
    reply::html(&AuditPage {
        frame: Frame::of(web, request, "Audit log"),
        may_see_all: others.is_none(),
        mine_only: others,
        mine,
        may_read_one: gate::could_use(app, &request.caller, ONE, false),
        verdicts: choices::one_of(
            &[("", "any"), ("allowed", "allowed"), ("refused", "refused")],
            &entered.verdict,
        ),
        clear_href: reader.listing().link(PATH),
        phases: choices::one_of(
            &[("", "any"), ("intent", "intent"), ("outcome", "outcome"), ("single", "event")],
            &entered.phase,
        ),
        stories_href: entered.stories(mine),
        charts_href: gate::could_use(app, &request.caller, CHARTS, false).then(|| entered.charts()),
        may_share: gate::could_use(app, &request.caller, SHARES, false),
        faults,
        pruned_before: Some(retained.first_kept).filter(|first| *first > 0),
        hold: retained.hold.map(|hold| hold.reason),
        events: items.iter().map(|(index, event)| EventView::new(*index, event, &policy, &reader)).collect(),
        pager: Pager::new(PATH, &query, next.as_deref()),
        command: entered.command(),
        searches: searches(web, request, mine).await?,
        may_not_keep: gate::refusal(app, &request.caller, KEEP, true),
        filter: entered,
    })
}

async fn searches(web: &Web, request: &OwnRequest, mine: bool) -> Result<Vec<KeptSearch>, Problem> {
    let (app, caller) = (web.app(), &request.caller);
    let user = person(&caller.principal);
    let found = match user {
        Some(_) => saved::list(app, caller).await?,
        None => Vec::new(),
    };
    let removes_others = gate::could_use(app, caller, REMOVE, false);
    let shown = |search: &SavedSearch| {
        let own = user == Some(search.user);
        let mut query = query_of(&saved::filter_of(search)?);
        if mine {
            query = query.with("mine", "true");
        }
        Ok(KeptSearch {
            id: search.id.to_string(),
            name: search.name.clone(),
            href: query.link(PATH),
            owner: (!own).then(|| search.owner.clone()),
            shared: search.shared,
            may_remove: own || removes_others,
        })
    };
    found.iter().map(shown).collect()
}

/// The query of the page that shows what a filter finds.
fn query_of(filter: &AuditFilter) -> Query {
    let verdict = filter.verdict.map(|verdict| match verdict {
        AuditVerdict::Allow => "allowed",
        AuditVerdict::Refuse => "refused",
    });
    let phase = filter.phase.map(|phase| match phase {
        AuditPhase::Intent => "intent",
        AuditPhase::Outcome => "outcome",
        AuditPhase::Single => "single",
    });
    let members = [
        ("actor", filter.actor.as_deref()),
        ("action", filter.action.as_deref()),
        ("app", filter.app.as_deref()),
        ("verdict", verdict),
        ("phase", phase),
        ("request", filter.request.as_deref()),
        ("from", filter.from.as_deref()),
        ("to", filter.to.as_deref()),
        ("q", filter.q.as_deref()),
    ];
    let given = members.into_iter().filter_map(|(name, value)| Some((name, value?)));
    given.fold(Query::default(), |query, (name, value)| query.with(name, value))
}

/// `POST /app/audit/searches`.
pub(crate) async fn keep(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let given = |name| request.field(name).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
    let at = |name| given(name).map(|text| moment(&text).map_or(text, Timestamp::to_rfc3339));
    let filter = AuditFilter {
        actor: given("actor"),
        action: given("action"),
        app: given("app"),
        verdict: match given("verdict").as_deref() {
            Some("allowed") => Some(AuditVerdict::Allow),
            Some("refused") => Some(AuditVerdict::Refuse),
            _ => None,
        },
        phase: match given("phase").as_deref() {
            Some("intent") => Some(AuditPhase::Intent),
            Some("outcome") => Some(AuditPhase::Outcome),
            Some("single") => Some(AuditPhase::Single),
            _ => None,
        },
        from: at("from"),
        to: at("to"),
        q: given("q"),
        request: given("request"),
    };
    let operator = web.app().operator(&request.caller, request.request_id);
    let (name, shared) = (given("name").unwrap_or_default(), given("shared").is_some());
    saved::keep(web.app(), &operator, &request.caller, &name, &filter, shared).await?;
    Ok(reply::done(&own_page(web, request), "saved"))
}

/// `POST /app/audit/searches/{id}/remove`.
pub(crate) async fn forget(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let id = request.parameter("id").and_then(|id| id.parse().ok()).ok_or(SavedSearchError::Unknown)?;
    let operator = web.app().operator(&request.caller, request.request_id);
    saved::remove(web.app(), &operator, &request.caller, id).await?;
    Ok(reply::done(&own_page(web, request), "search-removed"))
}

/// The page of the log that this person may see.
fn own_page(web: &Web, request: &OwnRequest) -> String {
    match gate::refusal(web.app(), &request.caller, LISTING, false) {
        Some(_) => Query::default().with("mine", "true").link(PATH),
        None => PATH.to_owned(),
    }
}

#[derive(Template)]
#[template(path = "audit_event.html")]
struct EventPage {
    frame: Frame,
    event: EventView,
    intent: Option<u64>,
    leaf_hash: String,
    inclusion: Inclusion,
    previous: Option<u64>,
    following: Option<u64>,
}

/// `GET /app/audit/{index}`.
pub(crate) async fn one(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let index = request.parameter("index").and_then(|index| index.parse::<u64>().ok());
    let index = index.ok_or_else(no_such_event)?;
    let Entry { event, hash, inclusion, .. } = log::read(web.app(), index).await?;
    let policy = web.app().policy();
    reply::html(&EventPage {
        frame: Frame::of(web, request, &format!("Event #{index}")),
        intent: event.intent,
        event: EventView::new(index, &event, &policy, &Reader::of(web.app(), &request.caller)),
        leaf_hash: hash.to_hex(),
        previous: index.checked_sub(1),
        following: index.checked_add(1).filter(|next| *next < inclusion.size),
        inclusion,
    })
}

pub(super) fn no_such_event() -> Problem {
    Problem::new(ProblemKind::NotFound, Layer::Authorization, "The log has no event with this index.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let expected = expected.and_then(Timestamp::parse_rfc3339);
        assert_eq!(moment(text), expected, "{text}");
    }

    #[test]
    fn moments_as_people_write_them() {
        check("2026-11-22", Some("2026-11-22T00:00:00Z"));
        check("2026-11-22T08:30", Some("2026-11-22T08:30:00Z"));
        check("2026-11-22T08:30:15", Some("2026-11-22T08:30:15Z"));
        check("2026-11-22T08:30:15+01:00", Some("2026-11-22T07:30:15Z"));
        check("yesterday", None);
        check("2026-13-01", None);
    }

    #[test]
    fn a_wrong_moment_is_said_and_filters_nothing() {
        let entered = Entered { from: "soon".to_owned(), ..Entered::default() };
        assert_eq!(entered.filter().map_err(|faults| faults.len()), Err(1));
        let entered = Entered { request: "x".to_owned(), ..entered };
        assert_eq!(entered.filter().map_err(|faults| faults.len()), Err(2));
    }

    #[test]
    fn the_same_filter_as_a_command() {
        let entered =
            Entered { actor: "a b".to_owned(), verdict: "refused".to_owned(), ..Entered::default() };
        assert_eq!(entered.command(), "rack-gateway audit search --actor 'a b' --refused");
        let entered = Entered { from: "2026-11-22".to_owned(), text: "-x".to_owned(), ..Entered::default() };
        let command = "rack-gateway audit search --from 2026-11-22T00:00:00.000000Z -- '-x'";
        assert_eq!(entered.command(), command);
    }
}
