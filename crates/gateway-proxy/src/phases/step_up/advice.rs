//! What a person is told when a second factor is missing: one line that an unmodified client prints.

use std::time::Duration;

use gateway_app::origin::Origin;
use gateway_app::step_up;
use gateway_identity::InlineFactor;
use gateway_types::{Caller, Channel, Problem, ProblemKind, RemedyKind};

/// Why a factor does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CodeFault {
    reason: &'static str,
    sentence: &'static str,
}

impl CodeFault {
    /// It is right, but the key's counter went back.
    pub(crate) const COPIED: Self =
        Self { reason: "second factor refused: the passkey's counter went back", sentence: step_up::COPIED };

    /// It is right, and too young for what is bound.
    pub(crate) const YOUNG: Self = Self {
        reason: "second factor refused: it was enrolled too short a while ago for a bound action",
        sentence: step_up::YOUNG,
    };

    /// It is not one of this person's, or not one of this moment.
    pub(crate) const fn wrong(factor: &InlineFactor) -> Self {
        Self { reason: "second factor refused: wrong code", sentence: step_up::told(factor).wrong }
    }

    /// It was right and is spent.
    pub(crate) const fn spent(factor: &InlineFactor) -> Self {
        Self {
            reason: "second factor refused: the code was spent before",
            sentence: step_up::told(factor).spent,
        }
    }

    /// The reason in the log.
    pub(crate) const fn reason(self) -> &'static str {
        self.reason
    }

    const fn sentence(self) -> &'static str {
        self.sentence
    }
}

/// Completes the problem of a missing second factor: what happened to the code that was given, how to
/// give one, and for how long one is good. `page` is where this very request can be confirmed.
pub(crate) fn advise(
    problem: &mut Problem,
    fault: Option<CodeFault>,
    caller: &Caller,
    origin: &Origin,
    page: Option<String>,
    window: Duration,
) {
    if problem.kind != ProblemKind::StepUpRequired {
        return;
    }
    let needs = |kind| problem.remedies.iter().any(|remedy| remedy.kind == kind);
    let (bound, enrol) = (needs(RemedyKind::StepUpBound), needs(RemedyKind::Enrol));
    problem.max_age_seconds = Some(if bound { 0 } else { window.as_secs() });
    if enrol {
        let page = origin.join("/app/account/factors");
        problem.detail.push_str(&format!(" Enrol one first, at {page}"));
        for remedy in problem.remedies.iter_mut().filter(|remedy| remedy.kind == RemedyKind::Enrol) {
            remedy.url = Some(page.clone());
        }
        return;
    }
    if let Some(fault) = fault {
        problem.detail = fault.sentence().to_owned();
    }
    let (way, command) = match caller.channel {
        Channel::RackProxy => (
            "repeat the command with .totp.CODE after your token, CODE being the six digits that your authenticator shows",
            Some("RACK_URL=https://convox:TOKEN.totp.CODE@HOST/api/v1/rack-proxy"),
        ),
        Channel::Api | Channel::Service | Channel::Local => (
            "repeat it with the header X-Mfa-Totp: CODE, the six digits that your authenticator shows",
            Some("rack-gateway step-up"),
        ),
        Channel::Web => ("give the six digits that your authenticator shows, or your passkey", None),
    };
    problem.detail = match &page {
        Some(page) => format!("{} Confirm at {page} and repeat, or {way}", problem.detail),
        None => {
            let mut way = way.to_owned();
            if let Some(first) = way.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            format!("{} {way}", problem.detail)
        }
    };
    for remedy in &mut problem.remedies {
        if matches!(remedy.kind, RemedyKind::StepUp | RemedyKind::StepUpBound) {
            remedy.command = command.map(str::to_owned);
            remedy.url.clone_from(&page);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use gateway_app::origin::Scheme;
    use gateway_types::{Layer, OsEntropy, Principal, Remedy, RequestId, Timestamp};

    use super::*;

    fn advised(kind: RemedyKind, fault: Option<CodeFault>, channel: Channel) -> Problem {
        let mut problem =
            Problem::new(ProblemKind::StepUpRequired, Layer::Mfa, "This needs a second factor.");
        problem.remedies = vec![Remedy::new(kind)];
        told(&mut problem, fault, channel, Some("https://gateway.example.com/step-up/1".to_owned()));
        problem
    }

    fn told(problem: &mut Problem, fault: Option<CodeFault>, channel: Channel, page: Option<String>) {
        let source_ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let caller = Caller { principal: Principal::Anonymous, channel, source_ip };
        let origin = Origin { scheme: Scheme::Https, authority: "gateway.example.com".to_owned() };
        advise(problem, fault, &caller, &origin, page, Duration::from_secs(600));
    }

    #[test]
    fn one_line_that_says_what_to_do() {
        let request = RequestId::new(Timestamp::from_micros(0), &OsEntropy);
        for kind in [RemedyKind::StepUp, RemedyKind::StepUpBound] {
            let code = InlineFactor::typed("123456").unwrap();
            for fault in
                [None, Some(CodeFault::wrong(&code)), Some(CodeFault::spent(&code)), Some(CodeFault::COPIED)]
            {
                let line = advised(kind, fault, Channel::RackProxy).sentence(request);
                assert!(line.contains(".totp.CODE") && line.contains("RACK_URL="), "{line}");
                assert!(line.contains("Confirm at https://gateway.example.com/step-up/1 and"), "{line}");
                assert!(!line.contains('%') && !line.contains('\n'), "{line}");
            }
        }
        let api = advised(RemedyKind::StepUp, None, Channel::Api);
        assert!(api.detail.contains("X-Mfa-Totp") && api.remedies[0].url.is_some());
        let enrol = advised(RemedyKind::Enrol, None, Channel::RackProxy);
        assert!(
            enrol.detail.ends_with("/app/account/factors") && !enrol.detail.contains("totp"),
            "{enrol:?}"
        );
    }

    #[test]
    fn for_how_long_a_factor_is_good() {
        assert_eq!(advised(RemedyKind::StepUp, None, Channel::Api).max_age_seconds, Some(600));
        assert_eq!(advised(RemedyKind::Enrol, None, Channel::Api).max_age_seconds, Some(600));
        assert_eq!(advised(RemedyKind::StepUpBound, None, Channel::Api).max_age_seconds, Some(0));
    }

    #[test]
    fn other_problems_are_left_alone() {
        let mut problem = Problem::new(ProblemKind::Refused, Layer::Authorization, "No.");
        let before = problem.clone();
        told(&mut problem, Some(CodeFault::COPIED), Channel::RackProxy, None);
        assert_eq!(problem, before);
    }
}
