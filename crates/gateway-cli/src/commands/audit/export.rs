//! `audit export`: the whole log in a file that verifies without the database.

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use gateway_app::log;
use gateway_app::reading::announce;
use serde::Serialize;
use tempfile::NamedTempFile;

use super::search::FilterArguments;
use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::local::{DataPlace, LocalStore};

/// The arguments of `audit export`.
#[derive(Args, Debug)]
pub(crate) struct ExportArguments {
    /// Where to write; - for standard output
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Replace the file if there is one
    #[arg(long)]
    pub(crate) force: bool,
    /// How a gateway writes it (only when a gateway is asked)
    #[arg(long, value_enum, default_value_t = ExportFormat::Ndjson)]
    pub(crate) format: ExportFormat,
    /// Which events (only when a gateway is asked: a file that verifies has all).
    #[command(flatten)]
    pub(crate) which: FilterArguments,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// How a gateway writes events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, clap::ValueEnum)]
pub(crate) enum ExportFormat {
    /// One JSON object a line, newest first
    #[default]
    Ndjson,
    /// Comma-separated values, newest first
    Csv,
}

#[derive(Serialize)]
struct Answer {
    file: String,
    entries: u64,
    key: String,
}

/// Exports. A file is there whole or not at all.
pub(super) async fn run(context: &Context, arguments: &ExportArguments) -> Result<(), Failure> {
    let path = &arguments.out;
    if path.as_os_str() == "-" {
        let local = open(context, arguments).await?;
        log::export(&local.store, BufWriter::new(io::stdout())).await?;
        local.close().await;
        return Ok(());
    }
    if !arguments.force && path.exists() {
        return Err(taken(path));
    }
    let mut file = beside(path)?;
    let local = open(context, arguments).await?;
    let entries = log::export(&local.store, BufWriter::new(file.as_file_mut() as &mut dyn Write)).await?;
    let key = local.store.audit().verifier().to_string();
    local.close().await;
    file.as_file().sync_all().problem(format!("{} cannot be written", path.display()))?;
    keep(file, path, arguments.force)?;
    let answer = Answer { file: path.display().to_string(), entries, key };
    context.output.answer(&answer, || {
        format!(
            "wrote {} entries to {}\nit verifies anywhere with:\n  rack-gateway audit verify --file {} --key {}",
            answer.entries, answer.file, answer.file, answer.key
        )
    })
}

/// A file that will be in the place of `path` once it is whole.
pub(super) fn beside(path: &Path) -> Result<NamedTempFile, Failure> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    NamedTempFile::new_in(directory).problem(format!("nothing can be written in {}", directory.display()))
}

async fn open(context: &Context, arguments: &ExportArguments) -> Result<LocalStore, Failure> {
    let local = LocalStore::open(context, &arguments.place).await?;
    let out = arguments.out.display().to_string();
    announce(&local.store, &local.operator(), "gateway:audit:export", &[("out", &out)]).await?;
    Ok(local)
}

/// Puts a whole file in its place.
pub(super) fn keep(file: NamedTempFile, path: &Path, replaces: bool) -> Result<(), Failure> {
    let kept = if replaces { file.persist(path) } else { file.persist_noclobber(path) };
    match kept {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Err(taken(path)),
        Err(error) => Err(error.error).problem(format!("{} cannot be written", path.display())),
    }
}

pub(super) fn taken(path: &Path) -> Failure {
    Failure::new(Exit::Failed, format!("{} is there already", path.display()))
        .hint("name another file, or replace it with --force")
}
