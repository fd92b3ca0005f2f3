//! Approvals in words.

use std::collections::BTreeSet;

use gateway_client::text::one_line;
use gateway_types::wire::approvals::{
    Approval, ApprovalArtefact, ApprovalEnvironment, ApprovalFinding, ApprovalImpact, ApprovalSignature,
};

use super::minute;
use crate::lines::Lines;

/// The beginning of a commit's id, as people name it.
pub(super) fn short(commit: &str) -> &str {
    commit.get(..12).unwrap_or(commit)
}

/// The first line of a text.
pub(super) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

/// How many people's approvals count.
pub(super) fn approvers(one: &Approval) -> usize {
    let counting =
        one.signatures.iter().filter(|signature| signature.purpose == "approve" && signature.fault.is_none());
    counting.map(|signature| signature.by.as_str()).collect::<BTreeSet<_>>().len()
}

/// Which deploy it is about.
pub(super) fn subject(one: &Approval) -> String {
    format!("the deploy of {} at {}", one_line(&one.app), one_line(short(&one.commit)))
}

/// How far it is while it waits.
pub(super) fn progress(one: &Approval) -> String {
    let so_far = format!("{} of {} approvals", approvers(one), one.quorum);
    match one.waits_for.as_deref() {
        Some(what) => format!("waits for {} ({so_far})", one_line(what)),
        None => so_far,
    }
}

/// What became of it.
pub(super) fn decided(one: &Approval) -> String {
    let because = match (one.closed_by.as_deref(), one.reason.as_deref()) {
        (Some(who), Some(why)) => format!(" by {}: {}", one_line(who), one_line(why)),
        (Some(who), None) => format!(" by {}", one_line(who)),
        (None, Some(why)) => format!(": {}", one_line(why)),
        (None, None) => String::new(),
    };
    let until = match (one.state.as_str(), one.expires.as_deref()) {
        ("approved" | "deploying", Some(expires)) => format!(", until {}", minute(Some(expires), "")),
        ("pending", _) => format!(", {}", progress(one)),
        _ => String::new(),
    };
    format!("{}{until}: {}{because}", one_line(&one.state), subject(one))
}

/// All of it.
pub(super) fn whole(one: &Approval) -> String {
    let mut lines = Lines::default();
    lines.line("state", &one.state);
    lines.some("waits for", one.waits_for.as_deref());
    lines.some("closed by", one.closed_by.as_deref());
    lines.some("reason", one.reason.as_deref());
    lines.line("asked", &minute(Some(&one.created), ""));
    lines.line("answer by", &minute(Some(&one.answer_by), ""));
    lines.some("expires", one.expires.as_deref().map(|at| minute(Some(at), "")).as_deref());
    for (name, text) in &one.metadata {
        lines.line("told", &format!("{name}: {text}"));
    }
    lines.some("build", one.build.as_deref());
    lines.some("release", one.release.as_deref());
    if !one.processes.is_empty() {
        lines.line("processes", &one.processes.join(", "));
    }
    for signature in &one.signatures {
        lines.line("signed", &said_by(signature));
    }
    format!("{}{lines}", approved(one))
}

/// What is approved, and what it would touch.
pub(super) fn approved(one: &Approval) -> String {
    let mut lines = Lines::default();
    lines.line("app", &one.app);
    lines.line("commit", &one.commit);
    lines.some("branch", one.branch.as_deref());
    lines.some("message", one.message.as_deref());
    lines.line("asked by", &one.requester);
    lines.line("order", order(&one.order));
    lines.line("quorum", &format!("{} of {} approvals", approvers(one), one.quorum));
    environment(&mut lines, &one.environment);
    if let Some(archive) = &one.artefact {
        artefact(&mut lines, archive);
    }
    if one.commands.is_empty() {
        lines.line("commands", "none may run in processes of the release");
    }
    for command in &one.commands {
        lines.line("command", command);
    }
    for finding in &one.findings {
        lines.line(if finding.good { "shown" } else { "not shown" }, &found(finding));
    }
    if let Some(found) = &one.impact {
        impact(&mut lines, found);
    }
    format!("{}\n{lines}", one_line(&one.id))
}

fn order(order: &str) -> &str {
    match order {
        "commit" => "the commit is approved, then its archive is uploaded",
        "artefact" => "the archive is uploaded, then its digest is approved",
        other => other,
    }
}

fn environment(lines: &mut Lines, changes: &[ApprovalEnvironment]) {
    if changes.is_empty() {
        lines.line("env", "no key changes");
    }
    for change in changes {
        lines.line("env", &format!("{} {}", change.key, change.change));
    }
}

/// What others say of the commit.
fn found(finding: &ApprovalFinding) -> String {
    let place = finding.url.as_deref().map(|url| format!(" ({url})")).unwrap_or_default();
    format!("{}: {}{place}", finding.what, finding.said)
}

fn artefact(lines: &mut Lines, archive: &ApprovalArtefact) {
    lines.line("archive", &format!("sha256:{} ({} bytes)", archive.sha256, archive.size_bytes));
    lines.some("fault", archive.fault.as_deref());
    for (path, manifest) in &archive.manifests {
        lines.line("manifest", &format!("{path} sha256:{}", manifest.sha256));
        lines.some("fault", manifest.fault.as_deref());
        for (service, image) in &manifest.images {
            lines.line("image", &format!("{service}: {image}"));
        }
    }
}

fn impact(lines: &mut Lines, impact: &ApprovalImpact) {
    let now = match (&impact.active_release, &impact.active_description) {
        (Some(release), Some(description)) => Some(format!("{release} ({description})")),
        (Some(release), None) => Some(release.clone()),
        (None, _) => None,
    };
    lines.some("runs now", now.as_deref());
    lines.some("deployed", impact.active_commit.as_deref());
    lines.some("compare", impact.compare.as_deref());
    for command in &impact.before_start {
        lines.line("before", command);
    }
    for (service, count) in &impact.processes {
        lines.line("replaces", &format!("{count} of {service}"));
    }
    for line in &impact.manifest {
        lines.line("diff", line);
    }
    lines.some("link", impact.link.as_deref());
}

fn said_by(signature: &ApprovalSignature) -> String {
    let method = match signature.method.as_str() {
        "passkey" => "a passkey signed it",
        "code" => "by a one-time code, which is weaker",
        "none" => "without a second factor, which is weaker still",
        other => other,
    };
    let reason = signature.reason.as_deref().map(|why| format!("; {why}")).unwrap_or_default();
    let fault =
        signature.fault.as_deref().map(|fault| format!("; does not count: {fault}")).unwrap_or_default();
    let until = minute(Some(&signature.expires), "");
    format!("{} ({}), {method}, until {until}{reason}{fault}", signature.by, signature.purpose)
}

#[cfg(test)]
mod tests {
    use gateway_types::wire::approvals::Approval;

    use super::{approved, approvers, decided, whole};

    fn sample(more: &str) -> Approval {
        let text = format!(
            r#"{{"id":"0199","app":"shop","commit":"0123456789abcdef0123456789abcdef01234567","requester":"token:ci",
            "own":false,"order":"commit","manifest":"convox.yml","statement":"d1","created":"2026-11-22T04:13:00Z","answer_by":"2026-11-23T04:13:00Z",
            "extended":false,"quorum":2,"signatures":[
              {{"by":"ann","purpose":"approve","method":"passkey","made":"2026-11-22T04:14:00Z","expires":"2026-11-22T04:29:00Z"}},
              {{"by":"ann","purpose":"approve","method":"code","made":"2026-11-22T04:14:00Z","expires":"2026-11-22T04:29:00Z"}},
              {{"by":"bob","purpose":"approve","method":"code","made":"2026-11-22T04:14:00Z","expires":"2026-11-22T04:29:00Z",
                "fault":"bob may not approve any more"}}]{more}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn one_person_counts_once_and_a_fault_not_at_all() {
        assert_eq!(approvers(&sample(r#","state":"pending""#)), 1);
    }

    #[test]
    fn what_became_of_it_in_one_line() {
        let check = |more: &str, line: &str| assert_eq!(decided(&sample(more)), line);
        check(
            r#","state":"pending","waits_for":"its archive""#,
            "pending, waits for its archive (1 of 2 approvals): the deploy of shop at 0123456789ab",
        );
        check(
            r#","state":"approved","expires":"2026-11-22T04:29:00Z""#,
            "approved, until 2026-11-22 04:29: the deploy of shop at 0123456789ab",
        );
        check(
            r#","state":"rejected","closed_by":"bob\u001b","reason":"not now""#,
            "rejected: the deploy of shop at 0123456789ab by bob\u{fffd}: not now",
        );
    }

    #[test]
    fn whoever_approves_sees_what_for() {
        let one = sample(
            r#","state":"pending","branch":"main","commands":["bin/migrate"],
            "environment":[{"key":"A","change":"added"}],
            "artefact":{"object":"x.tgz","sha256":"ab","size_bytes":7,
              "manifests":{"convox.yml":{"sha256":"cd","images":{"web":"r/web:1"}}}},
            "impact":{"active_release":"R1","active_commit":"ffff","compare":"https://c","before_start":["web: bin/migrate"],"processes":{"web":2},"manifest":["+ port: 80"]}"#,
        );
        let text = approved(&one);
        for part in [
            "commit    0123456789abcdef0123456789abcdef01234567\n",
            "branch    main\n",
            "asked by  token:ci\n",
            "env       A added\n",
            "archive   sha256:ab (7 bytes)\n",
            "image     web: r/web:1\n",
            "command   bin/migrate\n",
            "quorum    1 of 2 approvals\n",
            "runs now  R1\n",
            "deployed  ffff\n",
            "compare   https://c\n",
            "before    web: bin/migrate\n",
            "replaces  2 of web\n",
            "diff      + port: 80\n",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let all = whole(&one);
        assert!(all.contains("ann (approve), a passkey signed it, until 2026-11-22 04:29\n"), "{all}");
        assert!(all.contains("; does not count: bob may not approve any more\n"), "{all}");
    }
}
