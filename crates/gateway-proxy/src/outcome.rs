//! The outcome of a request: one guard made at its start, which writes what became of it on every
//! path, also when the client leaves, the rack breaks off or a handler panics.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

pub use gateway_audit::End;
use gateway_audit::{Actor, Event, EventId, Phase, VerdictRecord};
use gateway_types::{
    ActionName, ApprovalId, Caller, Channel, Facts, Layer, Operation, Principal, Problem, ProblemKind,
    RequestId, Resource, Timestamp, Verdict,
};
use serde_json::Value;

use crate::limits::Held;
use crate::plane::DataPlane;
use crate::rack_parameters::Difference;

/// Whether the request leaves events at all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Recording {
    /// Its outcome is an event.
    Events,
    /// A probe (`/machines`, `/racks`, health): no event, whatever happens.
    Silent,
}

/// Collects what is known of a request and writes its outcome exactly once.
pub struct OutcomeGuard {
    plane: Arc<DataPlane>,
    started: Instant,
    time: Timestamp,
    pub(crate) request_id: RequestId,
    pub(crate) recording: Recording,
    channel: Channel,
    source_ip: IpAddr,
    actor: Actor,
    /// A refusal is counted with others of its source, because anybody can cause it.
    counted_by_source: bool,
    action: ActionName,
    resource: Resource,
    route: Option<Arc<str>>,
    parameters: BTreeMap<String, String>,
    layer: Option<Layer>,
    verdict: Option<VerdictRecord>,
    step_up: Option<String>,
    approval: Option<String>,
    /// What is before and after a change of which that is known.
    change: Option<(Value, Value)>,
    intent: Option<u64>,
    status: Option<u16>,
    bytes_in: Arc<AtomicU64>,
    bytes_out: u64,
    reason: Option<String>,
    refused: bool,
    finished: bool,
    /// Places among what may be open at one time, free again when the request is over.
    held: Vec<Held>,
}

impl OutcomeGuard {
    pub(crate) fn begin(plane: &Arc<DataPlane>, source_ip: IpAddr) -> Self {
        Self {
            started: Instant::now(),
            time: plane.parts.clock.now(),
            request_id: plane.new_request_id(),
            recording: Recording::Events,
            channel: Channel::Api,
            source_ip,
            actor: Actor::anonymous(),
            counted_by_source: true,
            action: ActionName::new("gateway:request:unknown"),
            resource: Resource::gateway(),
            route: None,
            parameters: BTreeMap::new(),
            layer: None,
            verdict: None,
            step_up: None,
            approval: None,
            change: None,
            intent: None,
            status: None,
            bytes_in: Arc::default(),
            bytes_out: 0,
            reason: None,
            refused: false,
            finished: false,
            held: Vec::new(),
            plane: plane.clone(),
        }
    }

    pub(crate) fn identified(&mut self, channel: Channel, operation: &Operation, resource: Resource) {
        self.channel = channel;
        self.action = operation.action.clone();
        self.route = Some(operation.route.clone());
        self.resource = resource;
    }

    /// The client's address, as a listed forwarder told it.
    pub(crate) fn comes_from(&mut self, source_ip: IpAddr) {
        self.source_ip = source_ip;
    }

    /// Keeps a place among what may be open at one time until the request is over, be it a stream or a socket.
    pub(crate) fn hold(&mut self, held: Held) {
        self.held.push(held);
    }

    /// Whether a second factor was spent on this very request.
    pub(crate) fn is_stepped_up(&self) -> bool {
        self.step_up.is_some()
    }

    pub(crate) fn on_channel(&mut self, channel: Channel) {
        self.channel = channel;
    }

    pub(crate) fn authenticated(&mut self, caller: &Caller) {
        self.actor = Actor::of(&caller.principal);
        self.counted_by_source = matches!(caller.principal, Principal::Anonymous);
    }

    pub(crate) fn inspected(&mut self, operation: &Operation, parameters: BTreeMap<String, String>) {
        self.action = operation.action.clone();
        self.parameters = parameters;
    }

    pub(crate) fn decided(&mut self, verdict: &Verdict, facts: &Facts) {
        self.layer = Some(verdict.layer);
        self.verdict = Some(VerdictRecord::new(verdict, facts));
    }

    /// An approval allows this very request.
    pub(crate) fn approved(&mut self, approval: ApprovalId) {
        self.approval = Some(approval.to_string());
    }

    /// A second factor was spent on this very request.
    pub(crate) fn stepped_up(&mut self, factor: String) {
        self.step_up = Some(factor);
    }

    /// What the change that this request makes is.
    pub(crate) fn changes(&mut self, difference: &Difference) {
        self.change = Some((difference.before.clone(), difference.after.clone()));
    }

    pub(crate) fn recorded(&mut self, intent: u64) {
        self.intent = Some(intent);
    }

    pub(crate) fn problem(&mut self, problem: &Problem) {
        self.layer = Some(problem.layer);
        // What a phase noted says more than what the caller is told.
        self.reason.get_or_insert_with(|| problem.detail.clone());
        self.refused = true;
        if problem.kind == ProblemKind::TooManyRequests && problem.layer == Layer::Network {
            // Nobody fills the log by being refused, whoever it is.
            self.counted_by_source = true;
        }
        // Probes are silent when they pass; a credential must not be tried out without a trace.
        if problem.layer != Layer::Network {
            self.recording = Recording::Events;
        }
    }

    /// A credential that was issued here once and does not work: never counted together with others.
    pub(crate) fn refused_credential(&mut self, reason: &str) {
        self.reason = Some(reason.to_owned());
        self.counted_by_source = false;
    }

    pub(crate) fn note(&mut self, reason: impl Into<String>) {
        self.reason = Some(reason.into());
    }

    pub(crate) fn status(&mut self, status: u16) {
        self.status = Some(status);
    }

    pub(crate) fn count_out(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }

    pub(crate) fn counter_in(&self) -> Arc<AtomicU64> {
        self.bytes_in.clone()
    }

    /// The event of this moment: the intent, before the effect.
    pub(crate) fn intent_event(&self) -> Event {
        self.event(Phase::Intent)
    }

    /// Takes the guard over to whoever goes on with the request; what stays behind writes nothing.
    pub(crate) fn take(&mut self) -> Self {
        let mut left_behind = OutcomeGuard::begin(&self.plane, self.source_ip);
        left_behind.recording = Recording::Silent;
        left_behind.request_id = self.request_id;
        std::mem::replace(self, left_behind)
    }

    /// Writes the outcome. Later calls do nothing.
    pub(crate) fn finish(mut self, end: End) {
        self.write(end);
    }

    fn event(&self, phase: Phase) -> Event {
        let plane = &self.plane.parts;
        let id = EventId::new(plane.clock.now(), &*plane.entropy);
        let mut event =
            Event::new(plane.clock.now(), id, self.action.clone(), self.resource.clone(), self.actor.clone());
        event.phase = phase;
        event.request_id = Some(self.request_id);
        event.channel = Some(self.channel);
        event.source_ip = Some(self.source_ip);
        event.route = self.route.as_deref().map(str::to_owned);
        // An outcome points at its intent, which holds these; they are not written twice.
        if self.intent.is_none() || phase == Phase::Intent {
            event.parameters = self.parameters.clone();
            event.verdict = self.verdict.clone();
            event.step_up = self.step_up.clone();
            event.approval = self.approval.clone();
            (event.before, event.after) = self.change.clone().unzip();
        }
        event.layer = self.layer;
        event
    }

    fn write(&mut self, end: End) {
        if self.finished || self.recording == Recording::Silent {
            return;
        }
        self.finished = true;
        let mut event = self.event(if self.intent.is_some() { Phase::Outcome } else { Phase::Single });
        event.intent = self.intent;
        event.status = self.status;
        event.bytes_in = Some(self.bytes_in.load(Ordering::Relaxed));
        event.bytes_out = Some(self.bytes_out);
        event.duration_us = u64::try_from(self.started.elapsed().as_micros()).ok();
        event.end = Some(if self.refused && end == End::Completed { End::Refused } else { end });
        event.reason = self.reason.take();
        if self.counted_by_source && self.refused && self.intent.is_none() {
            // A scan must not fill the disk: one event for each source and minute, with a count.
            if let Some(event) = self.plane.refusals.count(self.source_ip, self.time, event) {
                self.plane.parts.store.audit().queue(event);
            }
        } else {
            self.plane.parts.store.audit().queue(event);
        }
    }
}

impl Drop for OutcomeGuard {
    fn drop(&mut self) {
        // Whoever drops the guard without finishing it was cut off: by the client, or by a panic.
        self.write(if std::thread::panicking() { End::Panicked } else { End::AbortedByClient });
    }
}
