//! The outcome of a request: one guard made at its start, which writes what became of it on every
//! path, also when the client leaves, the rack breaks off or a handler panics.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use gateway_audit::End;
use gateway_audit::{Actor, Event, EventId, Phase, VerdictRecord};
use gateway_types::{
    ActionName, ApprovalId, Caller, Channel, Class, Facts, Layer, Operation, Principal, Problem, ProblemKind,
    RequestId, Resource, Timestamp, Verdict,
};
use http::HeaderMap;
use serde_json::Value;

use crate::limits::Held;
use crate::metrics::Stage;
use crate::plane::DataPlane;
use crate::rack_parameters::Difference;
use crate::sessions::Transfer;
use crate::spans::{RequestSpan, Traced};

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
    /// When the last stage ended, and how long each took.
    stage_began: Instant,
    stages: [Option<Duration>; Stage::ALL.len()],
    time: Timestamp,
    pub(crate) request_id: RequestId,
    pub(crate) recording: Recording,
    channel: Channel,
    source_ip: IpAddr,
    actor: Actor,
    /// A refusal is counted with others of its source, because anybody can cause it.
    counted_by_source: bool,
    action: ActionName,
    class: Option<Class>,
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
    /// What is summed of the bytes that go through.
    transfer: Option<Transfer>,
    /// Its names in traces, when requests are traced.
    traced: Option<Traced>,
}

impl OutcomeGuard {
    pub(crate) fn begin(plane: &Arc<DataPlane>, source_ip: IpAddr) -> Self {
        let started = Instant::now();
        Self {
            started,
            stage_began: started,
            stages: [None; Stage::ALL.len()],
            time: plane.parts.clock.now(),
            request_id: plane.new_request_id(),
            recording: Recording::Events,
            channel: Channel::Api,
            source_ip,
            actor: Actor::anonymous(),
            counted_by_source: true,
            action: ActionName::new("gateway:request:unknown"),
            class: None,
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
            transfer: None,
            traced: None,
            plane: plane.clone(),
        }
    }

    /// Gives it names in traces, when requests are traced.
    pub(crate) fn trace(&mut self, client: &HeaderMap) {
        let parts = &self.plane.parts;
        self.traced = parts.spans.as_ref().map(|spans| spans.begin(client, &*parts.entropy));
    }

    /// Its names in traces, for whoever is asked next.
    pub(crate) const fn traced(&self) -> Option<Traced> {
        self.traced
    }

    /// Hands over what took how long.
    fn offer_spans(&self, end: End) {
        let (Some(spans), Some(traced)) = (&self.plane.parts.spans, &self.traced) else { return };
        if !spans.wants(traced, end, self.status) {
            return;
        }
        let (trace, span, linked) = traced.names();
        let taken = Stage::ALL.iter().zip(self.stages).map(|(stage, took)| (stage.name(), took));
        spans.offer(RequestSpan {
            trace,
            span,
            linked,
            began: self.time,
            took: self.started.elapsed(),
            stages: traced.stages(taken),
            route: self.route.as_deref().map(str::to_owned),
            action: self.action.as_str().to_owned(),
            app: self.resource.app_name().map(str::to_owned),
            class: self.class,
            channel: self.channel,
            layer: self.layer,
            status: self.status,
            end,
            request: self.request_id,
        });
    }

    pub(crate) fn identified(&mut self, channel: Channel, operation: &Operation, resource: Resource) {
        self.channel = channel;
        self.action = operation.action.clone();
        self.class = Some(operation.class);
        self.route = Some(operation.route.clone());
        self.resource = resource;
    }

    /// A stage of the request is behind it.
    pub(crate) fn passed(&mut self, stage: Stage) {
        if self.recording == Recording::Silent {
            return;
        }
        let now = Instant::now();
        let took = now.duration_since(self.stage_began);
        self.stage_began = now;
        if let Some(place) = self.stages.get_mut(stage as usize) {
            *place = Some(took);
        }
        self.plane.parts.metrics.passed(stage, took);
    }

    /// The head of the reply is made: this long after the request, with what `Server-Timing` says of it. Nobody
    /// without a credential learns how long it took to refuse it.
    ///
    /// Source: W3C Server Timing, section 4.
    pub(crate) fn answered(&self) -> Option<String> {
        if self.recording == Recording::Silent {
            return None;
        }
        self.plane.parts.metrics.answered(self.channel, self.class, self.started.elapsed());
        if self.is_anonymous() {
            return None;
        }
        let timed = Stage::ALL.iter().zip(self.stages).filter_map(|(stage, took)| Some((stage, took?)));
        let mut text = String::new();
        for (stage, took) in timed {
            let separator = if text.is_empty() { "" } else { ", " };
            let micros = took.as_micros();
            // A number of milliseconds, with its thousandths.
            let _ = write!(text, "{separator}{};dur={}.{:03}", stage.name(), micros / 1000, micros % 1000);
        }
        Some(text).filter(|text| !text.is_empty())
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

    /// The mode in which reading is all that goes on, if it is: what is asked for now cannot be written down, or
    /// whoever runs the gateway wants it so.
    pub(crate) fn mode(&self) -> Option<&'static str> {
        let parts = &self.plane.parts;
        match (parts.store.audit().is_writable(), parts.app.health.read_only().is_some()) {
            (false, _) => Some("degraded"),
            (true, true) => Some("read-only"),
            (true, false) => None,
        }
    }

    fn is_anonymous(&self) -> bool {
        self.actor == Actor::anonymous()
    }

    pub(crate) fn authenticated(&mut self, caller: &Caller) {
        self.actor = Actor::of(&caller.principal);
        self.counted_by_source = matches!(caller.principal, Principal::Anonymous);
    }

    pub(crate) fn inspected(&mut self, operation: &Operation, parameters: BTreeMap<String, String>) {
        self.action = operation.action.clone();
        self.class = Some(operation.class);
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
        self.plane.parts.metrics.refused(problem.layer, problem.kind);
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

    /// What was noted of how it ended.
    pub(crate) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    pub(crate) fn status(&mut self, status: u16) {
        self.status = Some(status);
    }

    pub(crate) fn count_out(&mut self, bytes: u64) {
        self.bytes_out += bytes;
    }

    /// The bytes of this request and its reply are summed, and the outcome says to what.
    pub(crate) fn sums(&mut self, transfer: Transfer) {
        self.transfer = Some(transfer);
    }

    /// These bytes of a reply went out.
    pub(crate) fn sent(&mut self, bytes: &[u8]) {
        self.count_out(bytes.len() as u64);
        if let Some(transfer) = &self.transfer {
            transfer.down(bytes);
        }
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
        let end = if self.refused && end == End::Completed { End::Refused } else { end };
        self.plane.parts.metrics.ended(self.channel, self.class, end, self.status);
        self.offer_spans(end);
        let mut event = self.event(if self.intent.is_some() { Phase::Outcome } else { Phase::Single });
        event.intent = self.intent;
        event.status = self.status;
        event.bytes_in = Some(self.bytes_in.load(Ordering::Relaxed));
        event.bytes_out = Some(self.bytes_out);
        event.duration_us = u64::try_from(self.started.elapsed().as_micros()).ok();
        event.end = Some(end);
        event.reason = self.reason.take();
        if let Some(transfer) = self.transfer.take() {
            event.parameters.extend(transfer.parameters());
        }
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
