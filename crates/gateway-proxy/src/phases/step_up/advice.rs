//! What a person is told when a second factor is missing: one line that an unmodified client prints.

use std::time::Duration;

use gateway_types::{Channel, Problem, ProblemKind, RemedyKind};

/// Why a code does not count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum CodeFault {
    /// It is not one of this person's, or not one of this moment.
    Wrong,
    /// It was right and is spent.
    Spent,
}

impl CodeFault {
    /// The reason in the log.
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            CodeFault::Wrong => "second factor refused: wrong code",
            CodeFault::Spent => "second factor refused: the code was spent before",
        }
    }

    const fn sentence(self) -> &'static str {
        match self {
            CodeFault::Wrong => {
                "The code is wrong or no longer good: check the clock of your device and give the code it shows now."
            }
            CodeFault::Spent => {
                "This code was used already: wait until your authenticator shows the next one."
            }
        }
    }
}

/// Completes the problem of a missing second factor: what happened to the code that was given, how to
/// give one, and for how long one is good.
pub(crate) fn advise(problem: &mut Problem, fault: Option<CodeFault>, channel: Channel, window: Duration) {
    if problem.kind != ProblemKind::StepUpRequired {
        return;
    }
    let needs = |kind| problem.remedies.iter().any(|remedy| remedy.kind == kind);
    let (bound, enrol) = (needs(RemedyKind::StepUpBound), needs(RemedyKind::Enrol));
    problem.max_age_seconds = Some(if bound { 0 } else { window.as_secs() });
    if enrol {
        problem.detail.push_str(" Ask whoever runs this gateway to enrol one for you.");
        return;
    }
    let (way, command) = match channel {
        Channel::RackProxy => (
            "Repeat the command with .totp.CODE after your token, CODE being the six digits that your authenticator shows",
            Some("RACK_URL=https://convox:TOKEN.totp.CODE@HOST/api/v1/rack-proxy"),
        ),
        Channel::Api | Channel::Web | Channel::Local => {
            ("Repeat it with the header X-Mfa-Totp: CODE, the six digits that your authenticator shows", None)
        }
    };
    match fault {
        Some(fault) => problem.detail = format!("{} {way}", fault.sentence()),
        None => problem.detail = format!("{} {way}", problem.detail),
    }
    for remedy in &mut problem.remedies {
        if matches!(remedy.kind, RemedyKind::StepUp | RemedyKind::StepUpBound) {
            remedy.command = command.map(str::to_owned);
        }
    }
}

#[cfg(test)]
mod tests {
    use gateway_types::{Layer, OsEntropy, Remedy, RequestId, Timestamp};

    use super::*;

    fn advised(kind: RemedyKind, fault: Option<CodeFault>, channel: Channel) -> Problem {
        let mut problem =
            Problem::new(ProblemKind::StepUpRequired, Layer::Mfa, "This needs a second factor.");
        problem.remedies = vec![Remedy::new(kind)];
        advise(&mut problem, fault, channel, Duration::from_secs(600));
        problem
    }

    #[test]
    fn one_line_that_says_what_to_do() {
        let request = RequestId::new(Timestamp::from_micros(0), &OsEntropy);
        for kind in [RemedyKind::StepUp, RemedyKind::StepUpBound] {
            for fault in [None, Some(CodeFault::Wrong), Some(CodeFault::Spent)] {
                let line = advised(kind, fault, Channel::RackProxy).sentence(request);
                assert!(line.contains(".totp.CODE") && line.contains("RACK_URL="), "{line}");
                assert!(!line.contains('%') && !line.contains('\n'), "{line}");
            }
        }
        let api = advised(RemedyKind::StepUp, None, Channel::Api);
        assert!(api.detail.contains("X-Mfa-Totp") && api.remedies[0].command.is_none());
        let enrol = advised(RemedyKind::Enrol, None, Channel::RackProxy);
        assert!(enrol.detail.ends_with("enrol one for you.") && !enrol.detail.contains("totp"), "{enrol:?}");
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
        advise(&mut problem, Some(CodeFault::Wrong), Channel::RackProxy, Duration::from_secs(600));
        assert_eq!(problem, before);
    }
}
