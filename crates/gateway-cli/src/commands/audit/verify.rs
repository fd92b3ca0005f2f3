//! `audit verify`: against the database, or offline against an export.

use std::fs::File;
use std::io::{self, BufReader, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use gateway_app::anchors::{self, AnchorError, BucketPlace};
use gateway_app::{AppError, audit, log};
use gateway_audit::{ExportError, Fault, NoteVerifier, Report, verify_export_against};
use gateway_types::{Clock, GatewayId, SystemClock, Timestamp};
use serde::Serialize;

use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::local::{DataPlace, LocalStore};
use crate::output::{Format, Output, Tone, remark};

/// The arguments of `audit verify`.
#[derive(Args, Debug)]
#[command(after_help = "Exits with 0 when the log is intact and 1 when it is not.")]
pub(crate) struct VerifyArguments {
    /// Verify this export instead of the database; nothing else is needed
    #[arg(long, value_name = "EXPORT", conflicts_with_all = ["data_dir", "database_url"])]
    pub(crate) file: Option<PathBuf>,
    /// The gateway's public key, as `audit verify` on the gateway's own machine prints it
    #[arg(long, value_name = "VKEY", requires = "file")]
    pub(crate) key: Option<String>,
    /// Also hold it to the anchors in this directory, to the one in this file, or to those at s3://BUCKET/PREFIX
    #[arg(long, value_name = "PATH")]
    pub(crate) anchors: Option<PathBuf>,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// What came out, for programs.
#[derive(Serialize)]
struct Answer {
    ok: bool,
    /// The trusted key: the gateway's own, or the one of `--key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    report: Option<Shown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
    /// The indexes among which the first bad entry is.
    #[serde(skip_serializing_if = "Option::is_none")]
    first_bad: Option<(u64, u64)>,
}

/// A report with its moments as text.
#[derive(Serialize)]
struct Shown {
    size: u64,
    root: String,
    signed_size: u64,
    checkpoints: u64,
    pruned: u64,
    first_time: Option<String>,
    last_time: Option<String>,
    intents_without_outcome: u64,
    outcomes_without_intent: u64,
}

impl Shown {
    fn of(report: &Report) -> Self {
        Self {
            size: report.size,
            root: report.root.to_string(),
            signed_size: report.signed_size,
            checkpoints: report.checkpoints,
            pruned: report.pruned,
            first_time: report.first_time.map(Timestamp::to_rfc3339),
            last_time: report.last_time.map(Timestamp::to_rfc3339),
            intents_without_outcome: report.intents_without_outcome,
            outcomes_without_intent: report.outcomes_without_intent,
        }
    }
}

/// Verifies.
pub(super) async fn run(context: &Context, arguments: &VerifyArguments) -> Result<(), Failure> {
    let (key, verified) = match &arguments.file {
        Some(path) => verify_file(path, arguments.key.as_deref(), &kept(arguments, None).await?)?,
        None => verify_database(context, arguments).await?,
    };
    match verified {
        Ok(report) => {
            if report.size == 0 {
                remark(
                    "warning: the log is empty, as before a gateway's first start: is this the right database?",
                );
            }
            let answer =
                Answer { ok: true, key, report: Some(Shown::of(&report)), fault: None, first_bad: None };
            context.output.answer(&answer, || text(&context.output, &answer))
        }
        Err(NotIntact { failure, first_bad }) => {
            let fault = Some(failure.sentence());
            let answer = Answer { ok: false, key, report: None, fault, first_bad };
            if context.output.format == Format::Json {
                context.output.answer(&answer, String::new)?;
            }
            Err(failure)
        }
    }
}

/// A log that was read and does not hold.
struct NotIntact {
    failure: Failure,
    first_bad: Option<(u64, u64)>,
}

type Verified = (Option<String>, Result<Report, NotIntact>);

async fn verify_database(context: &Context, arguments: &VerifyArguments) -> Result<Verified, Failure> {
    let local = LocalStore::open(context, &arguments.place).await?;
    let key = local.store.audit().verifier().to_string();
    let anchors = kept(arguments, Some(local.store.gateway_id())).await?;
    let mut progress = Progress::on_terminal();
    let verified = log::verify_against(&local.store, &anchors, |done, of| progress.show(done, of)).await;
    progress.clear();
    let wrong = match &verified {
        Ok(_report) => audit::first_wrong(&local.store).await?,
        Err(_) => None,
    };
    local.close().await;
    let verified = match verified {
        Ok(report) => wrong.map_or(Ok(report), |index| Err(not_found(index))),
        Err(AppError::Log(fault)) => {
            let first_bad = fault.first_bad();
            Err(NotIntact { failure: with_place(Failure::from(AppError::Log(fault)), first_bad), first_bad })
        }
        Err(error @ (AppError::Checkpoint(_) | AppError::Anchor(_))) => {
            Err(NotIntact { failure: Failure::from(error), first_bad: None })
        }
        Err(error) => return Err(error.into()),
    };
    Ok((Some(key), verified))
}

/// The tree holds, and searches tell something else.
fn not_found(index: u64) -> NotIntact {
    let failure = Failure::new(
        Exit::Failed,
        format!(
            "the log is intact, but searches do not agree with it: entry {index} is not found by what it says"
        ),
    )
    .hint(format!(
        "the columns beside entry {index} were altered in the database; `audit show {index}` and exports without a filter tell what is recorded"
    ));
    NotIntact { failure, first_bad: Some((index, index)) }
}

/// The anchors that were asked for; of this gateway alone when it is known.
async fn kept(arguments: &VerifyArguments, gateway: Option<GatewayId>) -> Result<Vec<String>, Failure> {
    const UNREADABLE: &str = "the anchors cannot be read";
    let Some(path) = &arguments.anchors else { return Ok(Vec::new()) };
    let kept = match path.to_str().and_then(|text| text.strip_prefix("s3://")) {
        None => anchors::read(path, gateway, None).problem(UNREADABLE)?,
        Some(address) => {
            let (bucket, prefix) = address.split_once('/').unwrap_or((address, ""));
            let place = BucketPlace { bucket: bucket.to_owned(), prefix: prefix.to_owned(), region: None };
            let clock: Arc<dyn Clock> = Arc::new(SystemClock);
            let environment = gateway_config::load_environment();
            let bucket =
                gateway_server::bucket_of_environment(&environment, place, &clock).problem(UNREADABLE)?;
            let found = anchors::read_bucket(&bucket, gateway, None, None).await.problem(UNREADABLE)?;
            if let Some(fault) = found.fault {
                return Err(fault).problem(UNREADABLE);
            }
            let kept = found.anchors;
            if kept.is_empty() {
                return Err(AnchorError::None { path: path.clone() }).problem(UNREADABLE);
            }
            kept
        }
    };
    Ok(kept.into_iter().map(|anchor| anchor.note).collect())
}

fn verify_file(path: &Path, key: Option<&str>, anchors: &[String]) -> Result<Verified, Failure> {
    let trusted: Option<NoteVerifier> = match key {
        Some(text) => Some(text.parse().problem("--key is not a key").map_err(|failure| {
            failure.exits(Exit::Usage).hint(
                "write NAME+ID+BASE64 in one word, as `audit verify` on the gateway's machine prints it",
            )
        })?),
        None => None,
    };
    let file = File::open(path).problem(format!("{} cannot be read", path.display()))?;
    let verified = verify_export_against(BufReader::new(file), trusted.as_ref(), anchors).map_err(|error| {
        let first_bad = match &error {
            ExportError::Fault { source } => Fault::first_bad(source),
            _ => None,
        };
        let failure = Err::<(), _>(error).problem(format!("{} does not verify", path.display()));
        NotIntact { failure: with_place(failure.err().unwrap_or_else(unexplained), first_bad), first_bad }
    });
    if trusted.is_none() && verified.is_ok() {
        remark("warning: without --key this only shows that the file agrees with the key it names itself");
    }
    Ok((trusted.map(|key| key.to_string()), verified))
}

fn unexplained() -> Failure {
    Failure::new(Exit::Failed, "the export does not verify")
}

/// Names the first bad index where the words of the fault leave a range.
fn with_place(failure: Failure, first_bad: Option<(u64, u64)>) -> Failure {
    match first_bad {
        Some((first, last)) if first == last => failure.hint(format!(
            "the first bad index is {first}; keep a copy of what you have, and compare it with an export or a checkpoint kept elsewhere"
        )),
        Some((first, last)) => failure.hint(format!(
            "the first bad index is between {first} and {last}; keep a copy of what you have, and compare it with an export or a checkpoint kept elsewhere"
        )),
        None => failure,
    }
}

fn text(output: &Output, answer: &Answer) -> String {
    let Some(report) = &answer.report else { return String::new() };
    let mut text = format!("{}: {} entries\n", output.toned(Tone::Good, "ok"), report.size);
    let mut line = |label: &str, value: String| text.push_str(&format!("  {label:<10} {value}\n"));
    line("root", report.root.clone());
    let checkpoints = if report.checkpoints == 1 { "checkpoint" } else { "checkpoints" };
    line("signed", format!("{} entries, by {} {checkpoints}", report.signed_size, report.checkpoints));
    if let (Some(first), Some(last)) = (&report.first_time, &report.last_time) {
        line("from", first.clone());
        line("to", last.clone());
    }
    if report.pruned > 0 {
        line("pruned", format!("{} of the oldest have only their hash left", report.pruned));
    }
    if report.intents_without_outcome > 0 {
        line(
            "open",
            format!("{} intents without an outcome: at work now, or killed", report.intents_without_outcome),
        );
    }
    if report.outcomes_without_intent > 0 {
        line("strange", format!("{} outcomes without an intent", report.outcomes_without_intent));
    }
    if let Some(key) = &answer.key {
        line("key", key.clone());
    }
    text
}

/// How far it is, rewritten in place on a terminal and nowhere else.
struct Progress {
    is_shown: bool,
}

impl Progress {
    fn on_terminal() -> Self {
        Self { is_shown: io::stderr().is_terminal() }
    }

    fn show(&mut self, done: u64, of: u64) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\rverified {done} of {of}");
        }
    }

    fn clear(&mut self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\u{1b}[K");
        }
    }
}

#[cfg(test)]
mod tests;
