//! The trust zone: authorities, services and members. It is changed by command.

use askama::Template;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::vantage::{self, Listed, VantageState};
use gateway_app::zone::ZoneError;
use gateway_app::zone::authority::{self, Shown};
use gateway_config::duration::format_duration;
use gateway_types::{Problem, Timestamp};

use crate::page::Frame;
use crate::{Web, filters, reply};

/// How many members are shown.
const SHOWN: usize = 100;

#[derive(Template)]
#[template(path = "zone.html")]
struct ZonePage {
    frame: Frame,
    zone: Option<ZoneView>,
    points: Vec<Point>,
}

/// A vantage point and its last word.
struct Point {
    name: String,
    reporter: String,
    state: &'static str,
    tone: &'static str,
    looked: u64,
    reported: Timestamp,
    open: Vec<(String, String, Timestamp)>,
    unclear: String,
}

struct ZoneView {
    domain: String,
    gateway: String,
    sequence: u64,
    leaf_life: String,
    authorities: Vec<Authority>,
    services: Vec<Service>,
    members: Vec<Member>,
    more: usize,
}

struct Authority {
    kind: &'static str,
    phase: String,
    tone: &'static str,
    key: String,
    expires: Timestamp,
}

struct Service {
    name: String,
    listeners: String,
    callers: String,
}

struct Member {
    service: String,
    state: &'static str,
    tone: &'static str,
    sequence: u64,
    behind: bool,
    last_seen: Timestamp,
    expires: Timestamp,
    id: String,
}

/// `GET /app/zone`.
pub(crate) async fn show(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let zone = match authority::show(web.app()).await {
        Ok(shown) => Some(view(shown, web.app().clock.now())),
        Err(ZoneError::NoZone) => None,
        Err(error) => return Err(error.into()),
    };
    let points = vantage::list(&web.app().store).await?.into_iter().map(point).collect();
    reply::html(&ZonePage { frame: Frame::of(web, request, "Trust zone"), zone, points })
}

fn point(one: Listed) -> Point {
    let tone = match one.state {
        VantageState::Open => "bad",
        VantageState::Silent | VantageState::Unclear => "warn",
        VantageState::Quiet => "ok",
    };
    Point {
        name: one.name,
        reporter: one.reporter,
        state: one.state.name(),
        tone,
        looked: one.looked,
        reported: one.reported,
        open: one.open,
        unclear: one.unclear.join(", "),
    }
}

fn view(shown: Shown, now: Timestamp) -> ZoneView {
    let sequence = shown.content.zone.sequence;
    let authorities = shown.content.authorities.into_iter().map(|one| Authority {
        kind: if one.root.is_none() { "root" } else { "issuer" },
        tone: if one.phase == "active" { "ok" } else { "" },
        phase: one.phase,
        key: one.name,
        expires: one.expires,
    });
    let services = shown.services.into_iter().map(|(kept, checked)| Service {
        name: kept.name,
        listeners: checked.listeners_text().join(", "),
        callers: checked.callers_text().join(", "),
    });
    let more = shown.members.len().saturating_sub(SHOWN);
    let members = shown.members.into_iter().take(SHOWN).map(|one| {
        let (state, tone) = match (one.banned, one.expires < now) {
            (Some(_), _) => ("banned", "bad"),
            (None, true) => ("over", ""),
            (None, false) => ("live", "ok"),
        };
        Member {
            behind: state == "live" && one.seen < sequence,
            service: one.service,
            state,
            tone,
            sequence: one.seen,
            last_seen: one.last_seen,
            expires: one.expires,
            id: one.id.to_string(),
        }
    });
    ZoneView {
        domain: shown.domain.to_string(),
        gateway: shown.domain.gateway().to_string(),
        sequence,
        leaf_life: format_duration(shown.content.zone.leaf_life),
        authorities: authorities.collect(),
        services: services.collect(),
        members: members.collect(),
        more,
    }
}
