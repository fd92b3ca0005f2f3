//! `audit evidence`: an archive for auditors, which verifies without the gateway.
//!
//! All entries of the log that a time is about are in it, with a proof that none of them is left out; who may what now; approvals with
//! their signatures; the recordings' digests; and which controls of SOC 2 which of it speaks to. Each file's digest is in the manifest,
//! and the manifest's digest is in the log. Start at [`manifest`] for what an archive is.

mod archive;
mod collect;
mod controls;
mod manifest;
#[cfg(test)]
mod tests;
mod verify;

use std::io::BufReader;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use gateway_audit::digest;
use gateway_types::wire::audit::{AuditQuery, RecordEvidence};
use gateway_types::{Clock as _, SystemClock, Timestamp};
use serde::Serialize;

use super::export::{beside, keep, taken};
use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::output::{Tone, remark};
use crate::remote::Remote;
use crate::witness;
use collect::Collector;
use manifest::{Manifest, Record};

/// The arguments of `audit evidence`.
#[derive(Args, Debug)]
pub(crate) struct EvidenceArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: EvidenceCommand,
}

/// What to do with evidence.
#[derive(Subcommand, Debug)]
pub(crate) enum EvidenceCommand {
    /// Read it from the gateway and write it to a file
    Make {
        /// From this moment on, such as 2026-07-01T00:00:00Z
        #[arg(long, value_name = "TIME", value_parser = moment)]
        from: Timestamp,
        /// Before this moment [default: now]
        #[arg(long, value_name = "TIME", value_parser = moment)]
        to: Option<Timestamp>,
        /// Where to write it, such as evidence.tar.gz
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Check an archive, without any gateway: every file, every entry, and that nothing is left out
    Verify {
        /// The archive
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// A key of the log that you know to be its own, from `/log/keys` or a page; without it the archive's own are taken
        #[arg(long, value_name = "KEY")]
        key: Option<String>,
    },
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::parse_rfc3339(text)
        .ok_or_else(|| "it is no time in RFC 3339, such as 2026-07-01T00:00:00Z".to_owned())
}

#[derive(Serialize)]
struct Made {
    file: String,
    digest: String,
    entries: u64,
    files: usize,
    left_out: usize,
}

/// Makes an archive, or verifies one.
pub(super) async fn run(context: &Context, arguments: EvidenceArguments) -> Result<(), Failure> {
    match arguments.command {
        EvidenceCommand::Make { from, to, out } => {
            make(context, from, to.unwrap_or_else(|| SystemClock.now()), out).await
        }
        EvidenceCommand::Verify { file, key } => verify::run(context, &file, key.as_deref()),
    }
}

async fn make(context: &Context, from: Timestamp, to: Timestamp, out: PathBuf) -> Result<(), Failure> {
    if to <= from {
        return Err(Failure::new(Exit::Usage, "--to is not after --from"));
    }
    if out.exists() {
        return Err(taken(&out));
    }
    let remote = Remote::open(context)?;
    let place = tempfile::tempdir().problem("a temporary directory cannot be made")?;
    let collected = Collector::new(&remote, place.path(), (from, to)).collect().await?;
    for one in &collected.left_out {
        remark(&format!("left out: {}: {}", one.path, one.why));
    }
    let manifest = serde_json::to_vec_pretty(&collected)?;
    let record = record(&remote, &collected, &manifest).await?;
    let mut file = beside(&out)?;
    archive::write(file.as_file_mut(), place.path(), &collected, &manifest, &record)
        .problem(format!("{} cannot be written", out.display()))?;
    // What an auditor would find out is found out now.
    let written = file.reopen().problem(format!("{} cannot be read again", out.display()))?;
    let trusted = witness::trusted_keys(&remote).await?.newest().cloned();
    verify::check(BufReader::new(written), trusted.as_ref())
        .problem("ALARM: what the gateway gave does not hold, and nothing was written")?;
    keep(file, &out, false)?;
    let made = Made {
        file: out.display().to_string(),
        digest: digest(&manifest).to_hex(),
        entries: collected.entries.count,
        files: collected.files.len(),
        left_out: collected.left_out.len(),
    };
    context.output.answer(&made, || {
        format!(
            "{} {}: {} entries and {} other files\nit verifies anywhere with:\n  rack-gateway audit evidence verify {}",
            context.output.toned(Tone::Good, "wrote"),
            made.file,
            made.entries,
            made.files,
            made.file
        )
    })
}

/// Has the manifest's digest recorded, and takes the proof that it is.
async fn record(remote: &Remote, collected: &Manifest, manifest: &[u8]) -> Result<Record, Failure> {
    let asked = RecordEvidence {
        digest: digest(manifest).to_hex(),
        from: collected.from.clone(),
        to: collected.to.clone(),
        entries: collected.entries.count,
    };
    remote.ask(async |client| client.record_evidence(&asked).await).await?;
    let query = AuditQuery {
        action: Some(manifest::RECORDED_AS.to_owned()),
        limit: Some(100),
        ..AuditQuery::default()
    };
    let page = remote.ask(async |client| client.events(&query).await).await?;
    let index = page
        .items
        .iter()
        .find(|event| event.event.pointer("/parameters/digest").is_some_and(|found| *found == asked.digest))
        .map(|event| event.index)
        .ok_or_else(|| Failure::new(Exit::Failed, "the gateway did not record the archive's digest"))?;
    let entry = remote.ask(async |client| client.event(index).await).await?;
    Ok(Record { index, leaf: entry.leaf, path: entry.inclusion.path, checkpoint: entry.inclusion.checkpoint })
}
