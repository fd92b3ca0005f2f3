//! What a scan found, for people and for programs.

use gateway_client::GatewayAddress;
use gateway_client::text::one_line;
use serde::Serialize;

use super::checks::{Check, Found, Outcome};
use super::wire::Wire;
use crate::output::{Output, Tone};

/// A report.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    /// The gateway that was scanned.
    url: String,
    /// Whether something between rewrites requests.
    behind_a_front: bool,
    /// How many requests were sent.
    requests: u32,
    /// How many checks found something.
    pub(super) findings: usize,
    /// Every check.
    checks: Vec<Check>,
}

impl Report {
    pub(super) fn of(address: &GatewayAddress, wire: &Wire, found: Found) -> Self {
        let Found { behind_a_front, checks } = found;
        let findings = checks.iter().filter(|check| check.outcome == Outcome::Finding).count();
        Self { url: address.to_string(), behind_a_front, requests: wire.sent(), findings, checks }
    }

    /// The report for people: findings first, each with what to change.
    pub(super) fn text(&self, output: &Output) -> String {
        let place =
            if self.behind_a_front { "through a front end" } else { "nothing rewrites requests on the way" };
        let mut text = format!("{} ({place}), {} requests\n", self.url, self.requests);
        for check in self.checks.iter().filter(|check| check.outcome == Outcome::Finding) {
            let word = output.toned(Tone::Bad, "FINDING");
            text.push_str(&format!(
                "{word} {:<4} {}: {}\n",
                check.label,
                check.title,
                one_line(&check.detail)
            ));
            text.push_str(&format!("             change: {}\n", check.change));
        }
        for check in self.checks.iter().filter(|check| check.outcome != Outcome::Finding) {
            let word = match check.outcome {
                Outcome::Clean => output.toned(Tone::Good, "ok     "),
                Outcome::Unknown | Outcome::Finding => "unknown".to_owned(),
            };
            text.push_str(&format!(
                "{word} {:<4} {}: {}\n",
                check.label,
                check.title,
                one_line(&check.detail)
            ));
        }
        let sum = match self.findings {
            0 => output.toned(Tone::Good, "nothing found"),
            1 => output.toned(Tone::Bad, "1 finding"),
            more => output.toned(Tone::Bad, &format!("{more} findings")),
        };
        text.push_str(&sum);
        text
    }
}
