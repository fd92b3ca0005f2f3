//! `backup` and `restore`, on the server's own machine: the whole database as one sealed file, and back.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use gateway_app::{reading, restorations};
use gateway_client::text::one_line;
use gateway_config::{Database, load_database, masked_database_url};
use gateway_store::backup::{
    self, BackupError, BackupKey, Dump, Manifest, Restoration, Rows, Standing, Verified,
};
use gateway_types::{OsEntropy, Secret, SystemClock, Timestamp};
use serde::Serialize;

use super::zone::passphrase;
use crate::Context;
use crate::failure::{Exit, Failure, Problem as _};
use crate::lines::Lines;
use crate::local::{DataPlace, LocalStore};
use crate::output::remark;
use crate::terminal::waiting;

/// What is typed before a database gives way.
const REPLACE: &str = "replace";
/// How many rows are handled between two words about it.
const ROWS_BETWEEN: u64 = 1000;

/// The arguments of `backup`.
#[derive(Args, Debug)]
#[command(
    after_help = "The gateway may serve meanwhile: the backup is of one moment. It is sealed with APP_SECRET_KEY, or with a passphrase; a\ngateway that was never given an APP_SECRET_KEY needs a passphrase. APP_SECRET_KEY itself is not in it: keep it elsewhere.\nSessions are left out. See docs/backup.md."
)]
pub(crate) struct BackupArguments {
    /// The file to write, which must not be there yet
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
    /// Seal it with a passphrase: the first line of this file, - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// The arguments of `restore`.
#[derive(Args, Debug)]
#[command(
    after_help = "Stop every instance first. The backup is read to its end and verified before the database is touched; then everything\nis restored in one transaction, or nothing. A backup of SQLite can be restored into PostgreSQL, and the other way round."
)]
pub(crate) struct RestoreArguments {
    /// The backup
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Open it with a passphrase: the first line of this file, - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Verify it, say what is in it, and restore nothing
    #[arg(long, conflicts_with = "replace")]
    pub(crate) check: bool,
    /// What is in the database gives way
    #[arg(long)]
    pub(crate) replace: bool,
    /// Confirm it with the word `replace`, where nobody can type it
    #[arg(long, value_name = "WORD", requires = "replace")]
    pub(crate) confirm: Option<String>,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// What is in a backup, and what became of it.
#[derive(Serialize)]
struct Answer {
    gateway_id: String,
    made: String,
    program: String,
    engine: String,
    schema: Option<i64>,
    log_size: u64,
    log_root: String,
    rows: Rows,
    left_out: Vec<String>,
    /// Absent where nothing was restored.
    #[serde(skip_serializing_if = "Option::is_none")]
    restored: Option<bool>,
    /// How many entries the log had that gave way.
    #[serde(skip_serializing_if = "Option::is_none")]
    log_before: Option<u64>,
}

impl Answer {
    fn of(manifest: &Manifest, rows: &Rows) -> Self {
        Self {
            gateway_id: manifest.gateway_id.clone(),
            made: Timestamp::from_micros(manifest.made).to_rfc3339(),
            program: manifest.program.clone(),
            engine: manifest.engine.clone(),
            schema: manifest.schema.last().copied(),
            log_size: manifest.log_size,
            log_root: manifest.log_root.clone(),
            rows: rows.clone(),
            left_out: manifest.left_out.clone(),
            restored: None,
            log_before: None,
        }
    }

    fn text(&self, first: &str) -> String {
        let mut lines = Lines::default();
        lines.line("gateway", &self.gateway_id);
        lines.line("made", &format!("{} by {} on {}", self.made, self.program, self.engine));
        lines.line("log", &format!("{} entries, root {}", self.log_size, self.log_root));
        lines.line("rows", &self.rows.values().sum::<u64>().to_string());
        lines.line("without", &self.left_out.join(", "));
        format!("{first}\n{lines}")
    }
}

/// Writes a backup.
pub(crate) async fn back_up(context: &Context, arguments: BackupArguments) -> Result<ExitCode, Failure> {
    let Database { url, app_secret_key, .. } =
        load_database(context.config.clone(), arguments.place.flags())?;
    let key = key(arguments.passphrase_file.as_deref(), app_secret_key.as_ref())?;
    let shown = arguments.out.display().to_string();
    if arguments.out.exists() {
        return Err(Failure::new(Exit::Usage, format!("{shown} is there already"))
            .hint("a backup never takes the place of another: give another name"));
    }
    let partial = partial(&arguments.out);
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .problem(format!("{} cannot be made", partial.display()))?;
    let written = async {
        // Who takes a copy of everything is in the log, and so in the copy.
        let local = LocalStore::open_url(url.clone(), app_secret_key).await?;
        let said = [("sealed_with", word(&key))];
        reading::announce(&local.store, &local.operator(), "gateway:backup", &said).await?;
        local.close().await;
        let dump = Dump { url, key, clock: Arc::new(SystemClock), entropy: Arc::new(OsEntropy) };
        let (manifest, rows, file) =
            backup::dump(dump, file, &mut Told::new().by()).await.map_err(failure)?;
        file.sync_all().problem(format!("{} cannot be written out", partial.display()))?;
        fs::rename(&partial, &arguments.out).problem(format!("{shown} cannot be made"))?;
        Ok::<_, Failure>((manifest, rows))
    }
    .await;
    let (manifest, rows) = written.inspect_err(|_failure| {
        // A part of a backup helps nobody, and its name would be in the way of the next one.
        if let Err(error) = fs::remove_file(&partial) {
            remark(&format!("warning: {} is left behind: {error}", partial.display()));
        }
    })?;
    let answer = Answer::of(&manifest, &rows);
    context.output.answer(&answer, || answer.text(&format!("wrote {}", one_line(&shown))))?;
    Ok(ExitCode::SUCCESS)
}

/// Restores a backup.
pub(crate) async fn restore(context: &Context, arguments: RestoreArguments) -> Result<ExitCode, Failure> {
    let Database { url, app_secret_key, .. } =
        load_database(context.config.clone(), arguments.place.flags())?;
    let key = key(arguments.passphrase_file.as_deref(), app_secret_key.as_ref())?;
    let shown = one_line(&arguments.file.display().to_string());
    let found = backup::verified(opened(&arguments.file)?, &key).map_err(failure)?;
    let mut answer = Answer::of(&found.manifest, &found.rows);
    if arguments.check {
        context.output.answer(&answer, || answer.text(&format!("{shown} is whole")))?;
        return Ok(ExitCode::SUCCESS);
    }
    let before = backup::standing(&url).await.map_err(failure)?;
    if let Some(before) = &before {
        assent(context, &arguments, before, &found, &masked_database_url(&url))?;
    }
    let restoration = Restoration {
        url: url.clone(),
        key,
        app_secret_key: app_secret_key.clone(),
        clock: Arc::new(SystemClock),
        replace: arguments.replace,
    };
    let from = opened(&arguments.file)?;
    let restored =
        backup::restore(restoration, from, &found, &mut Told::new().by()).await.map_err(failure)?;
    record(url, app_secret_key).await.map_err(|failure| {
        failure.hint("the backup is restored and in force; the event that says so comes with the next start of the gateway")
    })?;
    (answer.restored, answer.log_before) = (Some(true), restored.log_before);
    if let Some(before) = restored.log_before.filter(|before| *before > restored.log_size) {
        remark(&format!(
            "warning: the log went back from {before} entries to {}. Whoever keeps anchors, exports or checkpoints of it will be alarmed: \
             tell them that this was a restore, and keep what they have of the lost entries.",
            restored.log_size
        ));
    }
    remark(
        "Everybody signs in again. What was revoked, removed, locked or used up after the backup was made is as it was then: look through tokens, people, second factors, elevations, approvals and policies before you start the gateway, and make new break-glass codes.",
    );
    context.output.answer(&answer, || answer.text(&format!("restored {shown}")))?;
    Ok(ExitCode::SUCCESS)
}

/// The restored log says itself that it was restored. Should this program be ended before, the next start says it.
async fn record(url: String, app_secret_key: Option<Secret<String>>) -> Result<(), Failure> {
    let local = LocalStore::open_url(url, app_secret_key).await?;
    restorations::tell(&local.store, &local.operator()).await?;
    local.close().await;
    Ok(())
}

/// Asks whether what is in the database shall give way.
fn assent(
    context: &Context,
    arguments: &RestoreArguments,
    before: &Standing,
    found: &Verified,
    database: &str,
) -> Result<(), Failure> {
    let Standing { gateway_id, log_size } = before;
    let stands =
        format!("{database} is the database of the gateway {gateway_id}, with {log_size} entries in its log");
    if !arguments.replace {
        return Err(Failure::new(Exit::Usage, stands).hint(
            "restore into an empty database, or say --replace when all of it shall give way; back it up before",
        ));
    }
    let typed = match &arguments.confirm {
        Some(typed) => Some(typed.clone()),
        None if context.terminal.is_there => {
            let size = found.manifest.log_size;
            let question = format!(
                "{stands}.\nAll of it gives way to the backup, whose log has {size}. Type {REPLACE} to go on: "
            );
            waiting(|| (context.terminal.ask)(&question))?
        }
        None => {
            return Err(Failure::new(
                Exit::Usage,
                format!("{stands}: nobody is there to confirm that it gives way"),
            )
            .hint(format!("say --confirm {REPLACE} when it is meant")));
        }
    };
    if typed.as_deref().map(str::trim) == Some(REPLACE) {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, format!("that is not `{REPLACE}`; nothing was changed")))
}

/// What the file is sealed with: the passphrase when one is given.
pub(super) fn key(
    passphrase_file: Option<&Path>,
    app_secret_key: Option<&Secret<String>>,
) -> Result<BackupKey, Failure> {
    if let Some(file) = passphrase_file {
        return Ok(BackupKey::Passphrase(Secret::new(passphrase(file)?)));
    }
    match app_secret_key.filter(|key| !key.expose().is_empty()) {
        Some(key) => Ok(BackupKey::AppSecretKey(key.clone())),
        None => Err(Failure::new(Exit::Usage, "there is no APP_SECRET_KEY to seal or open a backup with")
            .hint("give a passphrase with --passphrase-file; without APP_SECRET_KEY the database keeps the key itself, and so does its backup")),
    }
}

const fn word(key: &BackupKey) -> &'static str {
    match key {
        BackupKey::AppSecretKey(_) => "APP_SECRET_KEY",
        BackupKey::Passphrase(_) => "passphrase",
    }
}

fn partial(out: &Path) -> PathBuf {
    let mut name = out.as_os_str().to_owned();
    name.push(".partial");
    PathBuf::from(name)
}

fn opened(file: &Path) -> Result<BufReader<File>, Failure> {
    let shown = file.display().to_string();
    Ok(BufReader::new(File::open(file).problem(format!("{shown} cannot be opened"))?))
}

pub(super) fn failure(error: BackupError) -> Failure {
    let hint = match &error {
        BackupError::WrongKey { .. } | BackupError::NotItsKey => {
            Some("give the key that the gateway had when the backup was made")
        }
        BackupError::OtherWay { with } if *with == "a passphrase" => Some("give it with --passphrase-file"),
        BackupError::Altered | BackupError::Truncated => {
            Some("fetch the file again from where it is kept, or take an older backup")
        }
        _ => None,
    };
    let failure = Failure::from(error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Says on a terminal how far it is.
struct Told {
    is_there: bool,
}

impl Told {
    fn new() -> Self {
        Self { is_there: io::stderr().is_terminal() }
    }

    fn by(&self) -> impl FnMut(&str, u64) + Send + use<> {
        let is_there = self.is_there;
        move |table, rows| {
            if is_there && rows.is_multiple_of(ROWS_BETWEEN) {
                // That nobody can read it is no reason to stop.
                let _ = write!(io::stderr().lock(), "\r{rows} rows, in {table}\u{1b}[K\r");
            }
        }
    }
}
