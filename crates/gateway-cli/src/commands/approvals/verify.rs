//! `approvals verify`: who signed what, checked on this machine with nothing but the file.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use gateway_approvals::evidence::{Checked, Evidence, FORMAT, Method, Report};
use gateway_approvals::state::State;
use gateway_approvals::statement::{KeyChange, Purpose, Statement};
use gateway_client::text::one_line;
use serde::Serialize;

use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::lines::Lines;
use crate::output::Tone;

/// The most bytes of a file that is read: many times what the gateway writes.
const MOST_BYTES: u64 = 4 * 1024 * 1024;

/// The arguments of `approvals verify`.
#[derive(Args, Debug)]
#[command(
    after_help = "A passkey's signature is checked with the public key in the file. Whose key that is, is the gateway's word:\ncompare its fingerprint with one that you know. Ends with 0 when enough people's passkeys signed, else with 4."
)]
pub(crate) struct VerifyArguments {
    /// The file, as `approvals show --export` wrote it
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Only if it is for this app
    #[arg(long, value_name = "APP")]
    pub(crate) app: Option<String>,
    /// Only if it is for this commit
    #[arg(long, value_name = "SHA")]
    pub(crate) commit: Option<String>,
    /// Count those too who approved without a passkey, on the gateway's word
    #[arg(long)]
    pub(crate) accept_codes: bool,
}

#[derive(Serialize)]
struct Answer<'a> {
    verified: bool,
    reasons: Vec<String>,
    gateway: &'a str,
    approval: &'a str,
    state: &'a str,
    quorum: u32,
    signed: usize,
    approved: usize,
    signatures: Vec<Shown<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    statement: Option<&'a Statement>,
}

#[derive(Serialize)]
struct Shown<'a> {
    name: &'a str,
    method: Method,
    purpose: Option<Purpose>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<&'a str>,
}

/// Checks the file, and says all that was found.
pub(super) fn run(context: &Context, arguments: &VerifyArguments) -> Result<ExitCode, Failure> {
    let evidence = read(&arguments.file)?;
    let report = evidence.verify();
    let reasons = reasons(&evidence, &report, arguments);
    let answer = Answer {
        verified: reasons.is_empty(),
        reasons,
        gateway: &evidence.gateway,
        approval: &evidence.approval,
        state: &evidence.state,
        quorum: report.quorum,
        signed: report.signed,
        approved: report.approved,
        signatures: report.signatures.iter().map(shown).collect(),
        statement: report.statement.as_ref(),
    };
    context.output.answer(&answer, || text(context, &answer, arguments.accept_codes))?;
    Ok(if answer.verified { ExitCode::SUCCESS } else { Exit::Refused.code() })
}

/// # Errors
/// When it cannot be read, or is not such a file.
fn read(path: &Path) -> Result<Evidence, Failure> {
    let cannot = || format!("{} cannot be read", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).problem(cannot())?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).problem(cannot())?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length > MOST_BYTES) {
        return Err(Failure::new(
            Exit::Failed,
            format!("{} is too long for what was signed", path.display()),
        ));
    }
    let is_no_evidence = format!("{} is not what `approvals show --export` writes", path.display());
    let evidence: Evidence = serde_json::from_slice(&bytes).problem(is_no_evidence.clone())?;
    if evidence.format == FORMAT {
        return Ok(evidence);
    }
    Err(Failure::new(Exit::Failed, is_no_evidence).hint("another version of this program may know its form"))
}

/// Why it does not show that this deploy was approved; empty when it does.
fn reasons(evidence: &Evidence, report: &Report, arguments: &VerifyArguments) -> Vec<String> {
    let mut reasons = Vec::new();
    let quorum = report.quorum;
    let enough = if arguments.accept_codes { report.is_approved() } else { report.is_signed() };
    if !enough && arguments.accept_codes {
        reasons.push(format!("{} of {quorum} people's approvals are right", report.approved));
    } else if !enough {
        let weaker = if report.is_approved() { "; with --accept-codes it would be enough" } else { "" };
        reasons.push(format!("{} of {quorum} people's passkeys signed{weaker}", report.signed));
    }
    match evidence.state.parse::<State>() {
        Ok(State::Rejected) => reasons.push("it was rejected".to_owned()),
        Ok(State::Withdrawn) => reasons.push("it was withdrawn".to_owned()),
        Ok(State::Pending | State::Approved | State::Deploying | State::Deployed | State::Expired) => {}
        Err(unknown) => reasons.push(unknown.to_string()),
    }
    let Some(statement) = &report.statement else { return reasons };
    if let Some(app) = arguments.app.as_ref().filter(|app| **app != statement.app) {
        reasons.push(format!("it is for the app {}, not {app}", statement.app));
    }
    let other = |commit: &&String| !commit.eq_ignore_ascii_case(&statement.commit);
    if let Some(commit) = arguments.commit.as_ref().filter(other) {
        reasons.push(format!("it is for the commit {}, not {commit}", statement.commit));
    }
    reasons
}

fn shown(checked: &Checked) -> Shown<'_> {
    Shown {
        name: &checked.name,
        method: checked.method,
        purpose: checked.purpose,
        fingerprint: checked.fingerprint.as_deref(),
        fault: checked.fault.as_deref(),
    }
}

fn text(context: &Context, answer: &Answer<'_>, accept_codes: bool) -> String {
    let mut lines = Lines::default();
    lines.line("approval", answer.approval);
    lines.line("gateway", answer.gateway);
    lines.line("state", &format!("{} when it was written, as the gateway says", answer.state));
    if let Some(statement) = answer.statement {
        signed(&mut lines, statement);
    }
    for signature in &answer.signatures {
        by(&mut lines, signature);
    }
    for reason in &answer.reasons {
        lines.line("but", reason);
    }
    let word = if answer.verified {
        context.output.toned(Tone::Good, "verified")
    } else {
        context.output.toned(Tone::Bad, "not verified")
    };
    let (signed, approved, quorum) = (answer.signed, answer.approved, answer.quorum);
    if accept_codes {
        format!(
            "{word}: {approved} of {quorum} people approved, {signed} of them with a passkey's signature\n{lines}"
        )
    } else {
        format!("{word}: {signed} of {quorum} people's passkeys signed\n{lines}")
    }
}

/// What was signed.
fn signed(lines: &mut Lines, statement: &Statement) {
    lines.line("app", &statement.app);
    lines.line("commit", &statement.commit);
    lines.some("branch", statement.branch.as_deref());
    lines.line("asked by", &statement.requester);
    lines.line("quorum", &statement.quorum.to_string());
    lines.line("expires", &statement.expires);
    if let Some(archive) = &statement.artefact {
        let size = archive.size_bytes;
        lines.line("archive", &format!("sha256:{} ({size} bytes)", archive.sha256));
        for (path, sha256) in &archive.manifests {
            lines.line("manifest", &format!("{path} sha256:{sha256}"));
        }
    }
    for (service, image) in &statement.images {
        lines.line("image", &format!("{service}: {image}"));
    }
    for change in &statement.environment {
        let what = match change.change {
            KeyChange::Added => "added",
            KeyChange::Changed => "changed",
            KeyChange::Removed => "removed",
        };
        lines.line("env", &format!("{} {what}", change.key));
    }
    for command in &statement.commands {
        lines.line("command", command);
    }
}

fn by(lines: &mut Lines, signature: &Shown<'_>) {
    let how = match signature.method {
        Method::Passkey => "a passkey",
        Method::Code => "a one-time code (weaker: that this was meant is the gateway's word)",
        Method::None => "no second factor (weaker still)",
    };
    let what = match signature.purpose {
        Some(Purpose::Approve) => "approved with",
        Some(Purpose::Extend) => "extended with",
        None => "signed something with",
    };
    lines.line("by", &format!("{} {what} {how}", one_line(signature.name)));
    lines.some("key", signature.fingerprint);
    lines.some("fault", signature.fault);
}

#[cfg(test)]
mod tests;
