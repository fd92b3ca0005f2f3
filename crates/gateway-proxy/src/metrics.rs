//! What the data plane counts and times, for whoever watches it (`docs/metrics.md`).
//!
//! Labels are closed sets: classes, channels, ends, layers, kinds of problems. Nothing that a client sends, and no
//! name of a person or an app, is ever one. Start reading at [`Metrics::register`].

use std::time::Duration;

use gateway_audit::End;
use gateway_types::{Channel, Class, Layer, ProblemKind};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::{Family, MetricConstructor};
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Upper ends of durations, in seconds: from a read out of memory to a build that is waited for.
const BUCKETS: [f64; 13] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Ended {
    channel: &'static str,
    class: &'static str,
    end: &'static str,
    status: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Answered {
    channel: &'static str,
    class: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct InStage {
    stage: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Refused {
    layer: &'static str,
    kind: &'static str,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct Told {
    result: &'static str,
}

/// Makes histograms over [`BUCKETS`].
#[derive(Clone, Debug)]
struct Durations;

impl MetricConstructor<Histogram> for Durations {
    fn new_metric(&self) -> Histogram {
        Histogram::new(BUCKETS)
    }
}

/// What the data plane counts and times.
#[derive(Debug)]
pub struct Metrics {
    requests: Family<Ended, Counter>,
    answered: Family<Answered, Histogram, Durations>,
    stages: Family<InStage, Histogram, Durations>,
    refusals: Family<Refused, Counter>,
    traced: Family<Told, Counter>,
}

impl Metrics {
    /// Makes them known to a registry, whose prefix they get.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            answered: Family::new_with_constructor(Durations),
            stages: Family::new_with_constructor(Durations),
            refusals: Family::default(),
            traced: Family::default(),
        };
        registry.register(
            "requests",
            "Requests and sockets that are over, by channel, class, how they ended and the status that was told",
            metrics.requests.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From the head of a request to the head of its reply",
            Unit::Seconds,
            metrics.answered.clone(),
        );
        registry.register_with_unit(
            "stage_duration",
            "The same by stage: admit, authenticate, inspect, policy, audit, upstream",
            Unit::Seconds,
            metrics.stages.clone(),
        );
        registry.register(
            "refusals",
            "Requests that the gateway itself refused, by the layer that did and the kind of the problem",
            metrics.refusals.clone(),
        );
        registry.register(
            "traced_requests",
            "Requests whose spans went to the collector, and those whose spans did not",
            metrics.traced.clone(),
        );
        metrics
    }

    /// What counts requests whose spans were sent, or were dropped.
    pub fn traced(&self, were_sent: bool) -> Counter {
        self.traced.get_or_create_owned(&Told { result: if were_sent { "sent" } else { "dropped" } })
    }

    pub(crate) fn answered(&self, channel: Channel, class: Option<Class>, after: Duration) {
        let labels = Answered { channel: channel.name(), class: class_name(class) };
        self.answered.get_or_create(&labels).observe(after.as_secs_f64());
    }

    pub(crate) fn passed(&self, stage: Stage, took: Duration) {
        self.stages.get_or_create(&InStage { stage: stage.name() }).observe(took.as_secs_f64());
    }

    pub(crate) fn ended(&self, channel: Channel, class: Option<Class>, end: End, status: Option<u16>) {
        let labels = Ended {
            channel: channel.name(),
            class: class_name(class),
            end: end.name(),
            status: status_class(status),
        };
        self.requests.get_or_create(&labels).inc();
    }

    pub(crate) fn refused(&self, layer: Layer, kind: ProblemKind) {
        self.refusals.get_or_create(&Refused { layer: layer.name(), kind: kind.name() }).inc();
    }
}

/// A request that was not understood has no class.
fn class_name(class: Option<Class>) -> &'static str {
    class.map_or("none", Class::name)
}

fn status_class(status: Option<u16>) -> &'static str {
    match status {
        None => "none",
        Some(100..200) => "1xx",
        Some(200..300) => "2xx",
        Some(300..400) => "3xx",
        Some(400..500) => "4xx",
        Some(_) => "5xx",
    }
}

/// A part of a request's way to its reply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stage {
    /// Where it comes from, and what it asks for.
    Admit,
    /// Whose it is.
    Authenticate,
    /// Its limits, its body, its facts.
    Inspect,
    /// The verdict, with what a second factor takes.
    Policy,
    /// The intent, until it is durable.
    Audit,
    /// The effect, until the reply has a head; with what makes the reply safe.
    Upstream,
}

impl Stage {
    /// All stages, in their order.
    pub(crate) const ALL: [Stage; 6] =
        [Stage::Admit, Stage::Authenticate, Stage::Inspect, Stage::Policy, Stage::Audit, Stage::Upstream];

    /// The name in metrics and in `Server-Timing`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Stage::Admit => "admit",
            Stage::Authenticate => "authenticate",
            Stage::Inspect => "inspect",
            Stage::Policy => "policy",
            Stage::Audit => "audit",
            Stage::Upstream => "upstream",
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::encoding::text::encode;

    use super::*;

    #[test]
    fn what_is_told_of_a_request() {
        let mut registry = Registry::with_prefix("rack_gateway");
        let metrics = Metrics::register(&mut registry);
        let class = Some(Class::Change);
        metrics.passed(Stage::Audit, Duration::from_millis(2));
        metrics.answered(Channel::RackProxy, class, Duration::from_millis(3));
        metrics.ended(Channel::RackProxy, class, End::Completed, Some(204));
        metrics.ended(Channel::Api, None, End::Refused, Some(404));
        metrics.refused(Layer::Network, ProblemKind::UnknownRoute);
        let mut text = String::new();
        encode(&mut text, &registry).unwrap();
        for line in [
            "rack_gateway_requests_total{channel=\"rack_proxy\",class=\"change\",end=\"completed\",status=\"2xx\"} 1",
            "rack_gateway_requests_total{channel=\"api\",class=\"none\",end=\"refused\",status=\"4xx\"} 1",
            "rack_gateway_request_duration_seconds_bucket{le=\"0.0025\",channel=\"rack_proxy\",class=\"change\"} 0",
            "rack_gateway_request_duration_seconds_bucket{le=\"0.005\",channel=\"rack_proxy\",class=\"change\"} 1",
            "rack_gateway_stage_duration_seconds_count{stage=\"audit\"} 1",
            "rack_gateway_refusals_total{layer=\"network\",kind=\"unknown-route\"} 1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line}\n{text}");
        }
    }

    #[test]
    fn statuses_have_classes() {
        for (status, expected) in [
            (None, "none"),
            (Some(101), "1xx"),
            (Some(200), "2xx"),
            (Some(399), "3xx"),
            (Some(400), "4xx"),
            (Some(599), "5xx"),
        ] {
            assert_eq!(status_class(status), expected);
        }
    }
}
