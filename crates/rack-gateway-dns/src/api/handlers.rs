//! What each operation does.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use gateway_types::Clock;
use http::header::{ETAG, HeaderValue, LOCATION};
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::body::Condition;
use super::problem::{Problem, json as reply};
use super::route::{Query, Target};
use super::{Reply, Shared, ZoneApi};
use crate::access::{Caller, Right};
use crate::name::DnsName;
use crate::reconcile::{Standing, ZoneStatus};
use crate::record::{NameSets, RawSet};
use crate::store::{ChangeEntry, Edit, Held, ZoneState};

/// `GET /zones`.
pub(super) fn zones(shared: &Shared, caller: &Caller) -> Result<Reply, Problem> {
    let readable = shared.zones.values().filter(|zone| zone.access.of(caller) >= Right::Read);
    let zones: Vec<Value> = readable.map(|zone| summary(zone, caller)).collect();
    Ok(reply(StatusCode::OK, &json!({"zones": zones})))
}

/// `GET /zones/{zone}`.
pub(super) fn zone(zone: &ZoneApi, caller: &Caller) -> Result<Reply, Problem> {
    Ok(reply(StatusCode::OK, &summary(zone, caller)))
}

fn summary(zone: &ZoneApi, caller: &Caller) -> Value {
    let (state, status) = (zone.store.state(), Arc::clone(&zone.status.borrow()));
    let mut value = json!({
        "zone": zone.rules.zone.as_str(),
        "backend": zone.backend,
        "writable": zone.access.of(caller) == Right::Write,
        "revision": state.revision,
        "names": state.names.values().filter(|held| !held.sets.is_empty()).count(),
    });
    merge(&mut value, standing(&state, &status));
    value
}

/// How a zone stands, without what is in it.
fn standing(state: &ZoneState, status: &ZoneStatus) -> Value {
    json!({
        "status": word(state, status),
        "pending": status.pending(state),
        "error": status.failure.as_ref().map(|failure| failure.error.clone()),
        "failed_at": status.failure.as_ref().map(|failure| failure.at.to_rfc3339()),
        "retry_at": status.retry_at.map(|at| at.to_rfc3339()),
        "in_sync_at": status.succeeded_at.map(|at| at.to_rfc3339()),
    })
}

/// One word for how a zone stands.
pub(super) fn word(state: &ZoneState, status: &ZoneStatus) -> &'static str {
    if status.failure.is_some() {
        "failing"
    } else if !status.looked {
        "unknown"
    } else if !status.drift.is_empty() || status.stale.is_some() {
        "drifted"
    } else if status.pending(state) > 0 {
        "pending"
    } else {
        "in_sync"
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// `GET /drift`.
pub(super) fn drift(shared: &Shared, caller: &Caller) -> Result<Reply, Problem> {
    let readable = shared.zones.values().filter(|zone| zone.access.of(caller) >= Right::Read);
    let zones: Vec<Value> = readable
        .map(|zone| {
            let (state, status) = (zone.store.state(), Arc::clone(&zone.status.borrow()));
            let mut value = json!({
                "zone": zone.rules.zone.as_str(),
                "drift": status.drift,
                "stale": status.stale,
                "repaired": status.repaired,
                "foreign": {"count": status.foreign_count, "names": status.foreign},
            });
            merge(&mut value, standing(&state, &status));
            value
        })
        .collect();
    let is_in_sync = zones.iter().all(|zone| zone.get("status").is_some_and(|word| word == "in_sync"));
    Ok(reply(StatusCode::OK, &json!({"in_sync": is_in_sync, "zones": zones})))
}

/// `GET /zones/{zone}/names`.
pub(super) fn names(zone: &ZoneApi, query: &Query) -> Result<Reply, Problem> {
    let (state, status) = (zone.store.state(), Arc::clone(&zone.status.borrow()));
    let after = query.after.as_deref().map(parse_name).transpose()?;
    let held = state.names.iter().filter(|(_, held)| !held.sets.is_empty());
    let rest = held.skip_while(|(name, _)| after.as_ref().is_some_and(|after| *name <= after));
    let page: Vec<_> = rest.take(query.limit.saturating_add(1)).collect();
    let shown: Vec<Value> =
        page.iter().take(query.limit).map(|(name, held)| shown(&state, &status, name, held)).collect();
    let next =
        if page.len() > query.limit { shown.last().and_then(|last| last.get("name")).cloned() } else { None };
    Ok(reply(StatusCode::OK, &json!({"names": shown, "next": next})))
}

/// `GET /zones/{zone}/names/{name}`.
pub(super) fn name(zone: &ZoneApi, target: &Target) -> Result<Reply, Problem> {
    let name = parse_name(&target.item)?;
    let (state, status) = (zone.store.state(), Arc::clone(&zone.status.borrow()));
    let held = present(&state, &name).ok_or(Problem::NotHeld)?;
    let found = reply(StatusCode::OK, &shown(&state, &status, &name, held));
    Ok(with_tag(found, Some(&tag(held))))
}

/// `GET /zones/{zone}/changes/{revision}`.
pub(super) fn change(zone: &ZoneApi, target: &Target) -> Result<Reply, Problem> {
    let (state, status) = (zone.store.state(), Arc::clone(&zone.status.borrow()));
    let revision: u64 = target.item.parse().map_err(|_| Problem::NoChange)?;
    let change = state.changes.iter().find(|change| change.revision == revision).ok_or(Problem::NoChange)?;
    let (standing, words) = status.standing(&state, &change.name, revision);
    let body = json!({
        "revision": revision, "name": change.name.as_str(), "status": standing, "detail": words,
        "at": change.at.to_rfc3339(), "by": change.by, "request_id": change.request_id,
    });
    Ok(reply(StatusCode::OK, &body))
}

fn parse_name(text: &str) -> Result<DnsName, Problem> {
    let shown = || crate::record::escaped(text.as_bytes()).chars().take(80).collect();
    DnsName::parse(text).map_err(|fault| Problem::Name(shown(), fault))
}

fn present<'a>(state: &'a ZoneState, name: &DnsName) -> Option<&'a Held> {
    state.names.get(name).filter(|held| !held.sets.is_empty())
}

fn shown(state: &ZoneState, status: &ZoneStatus, name: &DnsName, held: &Held) -> Value {
    let (standing, words) = status.standing(state, name, held.revision);
    json!({
        "name": name.as_str(), "revision": held.revision, "status": standing, "detail": words,
        "sets": RawSet::all(&held.sets),
    })
}

/// The tag of what a name has: its revision, and a digest in case the state was put back to an earlier one.
fn tag(held: &Held) -> String {
    let text = serde_json::to_vec(&RawSet::all(&held.sets)).unwrap_or_default();
    let digest = HEXLOWER.encode(digest(&SHA256, &text).as_ref());
    format!("\"{}-{}\"", held.revision, digest.get(..16).unwrap_or_default())
}

fn with_tag(mut reply: Reply, tag: Option<&str>) -> Reply {
    if let Some(tag) = tag.and_then(|tag| HeaderValue::from_str(tag).ok()) {
        reply.headers_mut().insert(ETAG, tag);
    }
    reply
}

/// A write by somebody who may.
pub(super) struct Write<'a> {
    pub(super) zone: &'a ZoneApi,
    pub(super) caller: &'a Caller,
    pub(super) clock: &'a dyn Clock,
}

impl Write<'_> {
    /// `PUT /zones/{zone}/names/{name}`.
    pub(super) async fn put(
        self,
        target: &Target,
        sets: NameSets,
        headers: &HeaderMap,
        query: &Query,
    ) -> Result<Reply, Problem> {
        self.write(target, sets, headers, query).await
    }

    /// `DELETE /zones/{zone}/names/{name}`.
    pub(super) async fn delete(
        self,
        target: &Target,
        headers: &HeaderMap,
        query: &Query,
    ) -> Result<Reply, Problem> {
        self.write(target, NameSets::new(), headers, query).await
    }

    async fn write(
        self,
        target: &Target,
        sets: NameSets,
        headers: &HeaderMap,
        query: &Query,
    ) -> Result<Reply, Problem> {
        let name = parse_name(&target.item)?;
        let condition = Condition::of(headers)?;
        let revision = self.keep(&name, sets, condition).await?;
        self.wait(&name, revision, query).await;
        let (state, status) = (self.zone.store.state(), Arc::clone(&self.zone.status.borrow()));
        let (standing, words) = status.standing(&state, &name, revision);
        let change = format!("/zones/{}/changes/{revision}", self.zone.rules.zone);
        let held = present(&state, &name).filter(|held| held.revision == revision);
        let body = json!({
            "name": name.as_str(), "revision": revision, "status": standing, "detail": words, "change": change,
            "sets": held.map(|held| RawSet::all(&held.sets)).unwrap_or_default(),
        });
        let code = if standing == Standing::Applied { StatusCode::OK } else { StatusCode::ACCEPTED };
        let mut done = with_tag(reply(code, &body), held.map(tag).as_deref());
        if let Ok(change) = HeaderValue::from_str(&change) {
            done.headers_mut().insert(LOCATION, change);
        }
        Ok(done)
    }

    /// Keeps what is desired. What is so already is no new change.
    async fn keep(&self, name: &DnsName, sets: NameSets, condition: Condition) -> Result<u64, Problem> {
        let (rules, now) = (self.zone.rules.clone(), self.clock.now());
        let (by, subject) = (self.caller.name().to_owned(), self.caller.subject().to_owned());
        let (name, request_id) = (name.clone(), self.caller.request_id().to_owned());
        let edit = move |state: &mut ZoneState| {
            rules.check_name(&name)?;
            let there = present(state, &name);
            let tag = there.map(tag);
            if !condition.holds(tag.as_deref()) {
                return Err(Problem::Changed(tag));
            }
            match there {
                Some(held) if held.sets == sets => return Ok(Edit::Same(held.revision)),
                None if sets.is_empty() => return Err(Problem::NotHeld),
                Some(_) | None => {}
            }
            if !sets.is_empty() {
                rules.check(&state.names, &name, &sets)?;
            }
            let change =
                |revision| ChangeEntry { revision, name: name.clone(), at: now, by, subject, request_id };
            Ok(Edit::Changed(state.set(name.clone(), sets, change)))
        };
        self.zone.store.edit(edit).await?
    }

    /// Waits until the back end has it, or says no, or the caller's time is over.
    async fn wait(&self, name: &DnsName, revision: u64, query: &Query) {
        let Some(wait) = query.wait else { return };
        let deadline = Instant::now() + wait;
        let mut status = self.zone.status.clone();
        loop {
            let standing = status.borrow_and_update().standing(&self.zone.store.state(), name, revision).0;
            let is_open = standing == Standing::Pending;
            if !is_open || !matches!(timeout_at(deadline, status.changed()).await, Ok(Ok(()))) {
                return;
            }
        }
    }
}
