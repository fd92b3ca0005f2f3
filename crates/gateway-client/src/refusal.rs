//! What a gateway says when it says no: an RFC 9457 problem, read with forbearance, because the gateway
//! may be newer than this client.

use std::fmt;

use gateway_types::{ProblemKind, RemedyKind};
use serde::{Deserialize, Serialize};

/// A problem as it was received. Its texts are the server's: clean them before they meet a terminal.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Refusal {
    /// Where the gateway explains the kind: `/problems/refused`.
    #[serde(rename = "type", default)]
    pub kind_path: String,
    /// A short title.
    #[serde(default)]
    pub title: String,
    /// HTTP status.
    #[serde(default)]
    pub status: u16,
    /// One sentence.
    #[serde(default)]
    pub detail: String,
    /// The request's id, for `why`.
    #[serde(default)]
    pub instance: String,
    /// The layer that decided.
    #[serde(default)]
    pub layer: String,
    /// The rules that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// What would turn it into a yes.
    #[serde(default)]
    pub remedies: Vec<RefusalRemedy>,
    /// How long to wait before a repeat, in seconds; from `Retry-After`.
    #[serde(skip)]
    pub retry_after_seconds: Option<u64>,
}

/// One remedy as it was received.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RefusalRemedy {
    /// Its kind, which may be one that this client does not know.
    pub kind: String,
    /// A page that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// A command that does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

impl Refusal {
    /// The kind, when this client knows it.
    pub fn kind(&self) -> Option<ProblemKind> {
        self.kind_path.rsplit('/').next().and_then(ProblemKind::parse)
    }

    /// Whether a remedy of this kind is named.
    pub fn has_remedy(&self, kind: RemedyKind) -> bool {
        self.remedies.iter().any(|remedy| remedy.kind == kind.name())
    }

    /// Whether a code that the person has would do.
    pub fn wants_code(&self) -> bool {
        let asked = self.has_remedy(RemedyKind::StepUp) || self.has_remedy(RemedyKind::StepUpBound);
        asked && !self.has_remedy(RemedyKind::Enrol)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.detail.is_empty() { &self.title } else { &self.detail })
    }
}

#[cfg(test)]
mod tests {
    use gateway_types::{Layer, OsEntropy, Problem, Remedy, RequestId, Timestamp};

    use super::*;

    #[test]
    fn what_a_gateway_writes_is_read() {
        let request = RequestId::new(Timestamp::from_micros(0), &OsEntropy);
        for kind in ProblemKind::ALL {
            let mut problem = Problem::new(*kind, Layer::Mfa, "no");
            problem.remedies = vec![Remedy::new(RemedyKind::StepUp)];
            let refusal: Refusal = serde_json::from_slice(&problem.to_json(request, true)).unwrap();
            assert_eq!((refusal.kind(), refusal.status), (Some(*kind), kind.status()));
            assert_eq!(refusal.instance, request.to_string());
            assert!(refusal.wants_code());
        }
    }

    #[test]
    fn what_a_newer_gateway_writes_is_read_too() {
        let text = r#"{"type":"/problems/new","detail":"x","remedies":[{"kind":"enrol","more":1},{"kind":"step_up"}],"n":[]}"#;
        let refusal: Refusal = serde_json::from_str(text).unwrap();
        assert_eq!(refusal.kind(), None);
        assert!(!refusal.wants_code(), "there is no factor yet");
    }
}
