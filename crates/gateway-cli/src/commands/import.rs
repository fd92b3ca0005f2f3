//! `import`: moving in from another gateway's database, on the server's own machine.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use gateway_app::moving_in::{self, Fate, Found, GO_PROJECT, Line, Present};
use gateway_app::reading;
use gateway_app::tokens::{Expiry, LONGEST_LIFE};
use gateway_client::text::one_line;
use gateway_config::{Database, load_database};
use gateway_store::backup::BackupKey;
use gateway_store::imports::ImportKind;
use gateway_store::predecessor::appendix::{self, Appendix};
use gateway_store::{EventFilter, Predecessor};
use gateway_types::OsEntropy;
use serde::Serialize;
use serde_json::json;

use super::backup::{failure as of_backup, key};
use super::zone::passphrase;
use crate::Context;
use crate::failure::{Exit, Failure, Problem as _};
use crate::local::{DataPlace, LocalStore};
use crate::output::{Format, remark};

/// The arguments of `import`.
#[derive(Args, Debug)]
pub(crate) struct ImportArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: ImportCommand,
}

/// From where.
#[derive(Subcommand, Debug)]
pub(crate) enum ImportCommand {
    /// Take people, API tokens, settings and the audit rows from the database of the Go project
    #[command(
        name = GO_PROJECT,
        after_help = "Nothing there is changed, and nothing here that is there already; run it again as often as you like. Second factors,\nsessions and trusted devices are not taken: people sign in and enrol anew. See docs/moving-in.md."
    )]
    Go(GoArguments),
    /// Verify the audit rows that were taken, and show them, one line of JSON each
    ShowAppendix(ShowArguments),
}

/// The arguments of `import rack-gateway-go`.
#[derive(Args, Debug)]
pub(crate) struct GoArguments {
    /// Its database, postgres://… (other people on this machine can see arguments: see --from-file)
    #[arg(long, value_name = "URL", required_unless_present = "from_file")]
    pub(crate) from: Option<String>,
    /// The same, from the first line of a file, - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "from")]
    pub(crate) from_file: Option<PathBuf>,
    /// Say what would be taken, and take nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How long tokens go on at most, such as 30d [default: 90d]
    #[arg(long, value_name = "TIME")]
    pub(crate) token_life: Option<String>,
    /// Keep its audit rows in this file, which must not be there yet, sealed as backups are
    #[arg(long, value_name = "FILE")]
    pub(crate) appendix: Option<PathBuf>,
    /// Seal that file with a passphrase: the first line of this file, - for standard input
    #[arg(long, value_name = "FILE", requires = "appendix")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// The arguments of `import show-appendix`.
#[derive(Args, Debug)]
pub(crate) struct ShowArguments {
    /// The file
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Open it with a passphrase: the first line of this file, - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Verify it, and show no rows
    #[arg(long)]
    pub(crate) check: bool,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// What was taken, and what was not.
#[derive(Serialize)]
struct Answer {
    dry_run: bool,
    lines: Vec<Line>,
    /// Rows of tables of which nothing is taken.
    left_behind: BTreeMap<&'static str, u64>,
    /// Its audit rows, when it has any.
    #[serde(skip_serializing_if = "Option::is_none")]
    appendix: Option<AppendixAnswer>,
}

#[derive(Serialize)]
struct AppendixAnswer {
    #[serde(flatten)]
    appendix: Appendix,
    /// How its chain stands.
    chain_in_words: String,
    fate: Fate,
}

impl Answer {
    fn text(&self) -> String {
        let mut text = String::new();
        for (fate, title) in
            [(Fate::Taken, "taken"), (Fate::Here, "here already"), (Fate::LeftOut, "left out")]
        {
            let lines: Vec<&Line> = self.lines.iter().filter(|line| line.fate == fate).collect();
            if lines.is_empty() {
                continue;
            }
            text.push_str(&format!("{title}:\n"));
            for line in lines {
                text.push_str(&format!("  {} {}\n", line.kind, one_line(&line.name)));
                for remark in &line.remarks {
                    text.push_str(&format!("      {}\n", one_line(remark)));
                }
            }
        }
        for (table, rows) in self.left_behind.iter().filter(|(_, rows)| **rows > 0) {
            text.push_str(&format!("left behind: {rows} rows of {table}\n"));
        }
        if let Some(AppendixAnswer { appendix, chain_in_words, fate }) = &self.appendix {
            let fate = match fate {
                Fate::Taken => "kept as the appendix",
                Fate::Here => "were kept before",
                Fate::LeftOut => "not kept: give --appendix FILE",
            };
            let Appendix { rows, digest, .. } = appendix;
            text.push_str(&format!("audit rows: {rows}, {fate}; digest {digest}\n      {chain_in_words}\n"));
        }
        text.push_str(if self.dry_run {
            "nothing was changed: this was a dry run"
        } else {
            "people sign in and enrol a second factor anew"
        });
        text
    }
}

/// Does it.
pub(crate) async fn run(context: &Context, arguments: ImportArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        ImportCommand::Go(arguments) => take(context, arguments).await,
        ImportCommand::ShowAppendix(arguments) => show(context, arguments).await,
    }
}

async fn take(context: &Context, arguments: GoArguments) -> Result<ExitCode, Failure> {
    let life = life(arguments.token_life.as_deref())?;
    let from = match (&arguments.from, &arguments.from_file) {
        (Some(url), _) => url.clone(),
        (None, Some(file)) => passphrase(file)?.trim().to_owned(),
        (None, None) => return Err(Failure::new(Exit::Usage, "say from which database, with --from")),
    };
    let Database { url, app_secret_key, .. } =
        load_database(context.config.clone(), arguments.place.flags())?;
    let sealed_with = match &arguments.appendix {
        Some(file) if file.exists() => {
            return Err(Failure::new(Exit::Usage, format!("{} is there already", file.display()))
                .hint("an appendix never takes the place of another: give another name"));
        }
        Some(_) => Some(key(arguments.passphrase_file.as_deref(), app_secret_key.as_ref())?),
        None => None,
    };
    let mut predecessor = Predecessor::open(&from).await?;
    let found = Found::read(&mut predecessor).await?;
    let left_behind = predecessor.left_behind().await?;
    let local = LocalStore::open_url(url, app_secret_key).await?;
    let present = Present::read(&local.store).await?;
    let mut lines = moving_in::plan(&found, &present, local.now(), life);
    let mut answer = Answer { dry_run: arguments.dry_run, lines: Vec::new(), left_behind, appendix: None };
    let looked = appendix::look(&mut predecessor).await?;
    if !arguments.dry_run {
        let told = [("source", GO_PROJECT)];
        reading::announce(&local.store, &local.operator(), "gateway:import", &told).await?;
        moving_in::carry_out(&local.store, &local.operator(), &mut lines).await.map_err(|error| {
            Failure::from(error)
                .hint("what was taken before that stays; run it again, which goes on from here")
        })?;
    }
    if let Some(appendix) = looked {
        let known = present.taken.get(&ImportKind::Appendix);
        let fate = if known.is_some_and(|taken| taken.contains(&appendix.digest)) {
            Fate::Here
        } else if let (Some(file), Some(key), false) = (&arguments.appendix, &sealed_with, arguments.dry_run)
        {
            keep(&mut predecessor, &local, file, key).await?;
            Fate::Taken
        } else if arguments.dry_run && arguments.appendix.is_some() {
            Fate::Taken
        } else {
            Fate::LeftOut
        };
        let chain_in_words = moving_in::chain_in_words(&appendix);
        answer.appendix = Some(AppendixAnswer { appendix, chain_in_words, fate });
    }
    local.close().await;
    answer.lines = lines;
    context.output.answer(&answer, || answer.text())?;
    Ok(ExitCode::SUCCESS)
}

fn life(text: Option<&str>) -> Result<Duration, Failure> {
    let expiry = text.map_or(Ok(Expiry::Usual), str::parse)?;
    match expiry {
        Expiry::Usual => Ok(gateway_app::tokens::USUAL_LIFE),
        Expiry::After(life) if !life.is_zero() && life <= LONGEST_LIFE => Ok(life),
        Expiry::After(_) | Expiry::At(_) | Expiry::Never => Err(Failure::new(
            Exit::Usage,
            "--token-life is a time such as 30d, of 366 days at most: a token that was taken always ends",
        )),
    }
}

/// Writes the audit rows, and records their digest: first the event, then the name of the file.
async fn keep(
    predecessor: &mut Predecessor,
    local: &LocalStore,
    file: &Path,
    key: &BackupKey,
) -> Result<(), Failure> {
    let mut partial = file.as_os_str().to_owned();
    partial.push(".partial");
    let partial = PathBuf::from(partial);
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&partial)
        .problem(format!("{} cannot be made", partial.display()))?;
    let kept = async {
        let (appendix, made) = appendix::write(predecessor, BufWriter::new(made), key, &OsEntropy).await?;
        let made = made.into_inner().problem(format!("{} cannot be written", partial.display()))?;
        made.sync_all().problem(format!("{} cannot be written out", partial.display()))?;
        fs::rename(&partial, file).problem(format!("{} cannot be made", file.display()))?;
        moving_in::record_appendix(&local.store, &local.operator(), &appendix).await?;
        Ok::<_, Failure>(())
    }
    .await;
    kept.inspect_err(|_failure| {
        for left in [partial.as_path(), file] {
            // What no event names is no appendix; one of the two is not there.
            if let Err(error) = fs::remove_file(left)
                && error.kind() != io::ErrorKind::NotFound
            {
                remark(&format!("warning: {} is left behind: {error}", left.display()));
            }
        }
    })
}

async fn show(context: &Context, arguments: ShowArguments) -> Result<ExitCode, Failure> {
    let Database { url, app_secret_key, .. } =
        load_database(context.config.clone(), arguments.place.flags())?;
    let key = key(arguments.passphrase_file.as_deref(), app_secret_key.as_ref())?;
    let shown = arguments.file.display().to_string();
    let opened = || File::open(&arguments.file).problem(format!("{shown} cannot be opened"));
    // All of it is verified before anything of it is shown.
    let found = appendix::read(BufReader::new(opened()?), &key, |_row| Ok(())).map_err(of_backup)?;
    let local = LocalStore::open_url(url, app_secret_key).await?;
    let filter =
        EventFilter { action: Some(moving_in::APPENDIX_ACTION.to_owned()), ..EventFilter::default() };
    let events = local.store.events().page(&filter, None, 1000).await?;
    let index = events
        .items
        .iter()
        .find_map(|(index, event)| (event.parameters.get("digest") == Some(&found.digest)).then_some(*index));
    let Some(index) = index else {
        local.close().await;
        return Err(Failure::new(
            Exit::Failed,
            format!("the log of this gateway does not know the digest {}", found.digest),
        )
        .hint("it is whole, but not one that this gateway took over; look at the right gateway with --data-dir or --database-url"));
    };
    let said = [("digest", found.digest.as_str())];
    reading::announce(&local.store, &local.operator(), "gateway:audit:read_import", &said).await?;
    local.close().await;
    let words = moving_in::chain_in_words(&found);
    let told = format!(
        "{}: {} rows, digest {}, as entry {index} of the log says\n{words}",
        one_line(&shown),
        found.rows,
        found.digest
    );
    if arguments.check {
        let answer = json!({ "appendix": found, "chain_in_words": words, "entry": index });
        context.output.answer(&answer, || told)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = io::stdout().lock();
    let again = appendix::read(BufReader::new(opened()?), &key, |row| Ok(writeln!(out, "{row}")?));
    if again.map_err(of_backup)? != found {
        return Err(Failure::new(Exit::Failed, format!("{shown} was changed while it was read")));
    }
    if context.output.format == Format::Text {
        remark(&told);
    }
    Ok(ExitCode::SUCCESS)
}
