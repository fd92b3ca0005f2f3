//! What a gateway says when it says no: an RFC 9457 problem, read with forbearance, because the gateway
//! may be newer than this client.

use std::fmt;

use gateway_types::{ProblemKind, RemedyKind};
use serde::{Deserialize, Serialize};

use crate::text::one_line;

/// A problem as it was received. Its texts are the server's, on one line each and made harmless.
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
    /// Reads one; `None` for what is no problem.
    pub(crate) fn read(body: &[u8]) -> Option<Refusal> {
        let mut refusal: Refusal = serde_json::from_slice(body).ok()?;
        let Refusal { kind_path, title, detail, instance, layer, rules, .. } = &mut refusal;
        for text in [kind_path, title, detail, instance, layer].into_iter().chain(rules) {
            *text = one_line(text);
        }
        for RefusalRemedy { kind, url, command } in &mut refusal.remedies {
            for text in [Some(kind), url.as_mut(), command.as_mut()].into_iter().flatten() {
                *text = one_line(text);
            }
        }
        Some(refusal)
    }

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
            let refusal: Refusal = Refusal::read(&problem.to_json(request, true)).unwrap();
            assert_eq!((refusal.kind(), refusal.status), (Some(*kind), kind.status()));
            assert_eq!(refusal.instance, request.to_string());
            assert!(refusal.wants_code());
        }
    }

    #[test]
    fn m5_its_texts_are_harmless() {
        let text = r#"{"type":"/problems/refused","title":"\u001b[2J","detail":"no\nhint: run this","instance":"\u202e","layer":"\u0007",
            "rules":["\u009b1m"],"remedies":[{"kind":"role\u001b","url":"https://g/\u001b","command":"x\ry"}]}"#;
        let refusal = Refusal::read(text.as_bytes()).unwrap();
        let shown =
            format!("{refusal} {} {} {} {:?}", refusal.title, refusal.instance, refusal.layer, refusal.rules);
        assert!(!shown.chars().any(crate::text::steers), "{shown:?}");
        let remedy = &refusal.remedies[0];
        let shown = format!("{} {:?} {:?}", remedy.kind, remedy.url.as_deref(), remedy.command.as_deref());
        assert!(!shown.chars().any(crate::text::steers), "{shown:?}");
    }

    #[test]
    fn what_a_newer_gateway_writes_is_read_too() {
        let text = r#"{"type":"/problems/new","detail":"x","remedies":[{"kind":"enrol","more":1},{"kind":"step_up"}],"n":[]}"#;
        let refusal: Refusal = Refusal::read(text.as_bytes()).unwrap();
        assert_eq!(refusal.kind(), None);
        assert!(!refusal.wants_code(), "there is no factor yet");
    }
}
