//! `rotate-key`: another `APP_SECRET_KEY`, while nobody serves.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::Args;
use gateway_app::reading;
use gateway_config::{Database, load_database};
use gateway_store::rotation::{self, Rotation};
use gateway_types::{OsEntropy, Secret, SystemClock};
use serde::Serialize;

use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::local::{DataPlace, LocalStore};

/// The most bytes of a key.
const MOST_BYTES: u64 = 4096;

/// The arguments of `rotate-key`.
#[derive(Args, Debug)]
#[command(
    after_help = "Stop every instance first. The present key is the one of the configuration (APP_SECRET_KEY). Example:\n  openssl rand -hex 32 > new-key\n  rack-gateway rotate-key --new-file new-key\nThen set APP_SECRET_KEY to the new key, and start."
)]
pub(crate) struct RotateKeyArguments {
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
    /// The file whose first line is the new key; - for standard input
    #[arg(long, value_name = "FILE")]
    pub(crate) new_file: PathBuf,
}

#[derive(Serialize)]
struct Answer {
    sealed: u64,
    sign_ins: u64,
}

/// Exchanges the key.
pub(crate) async fn run(context: &Context, arguments: RotateKeyArguments) -> Result<ExitCode, Failure> {
    let new = new_key(&arguments.new_file)?;
    let Database { url, app_secret_key, .. } =
        load_database(context.config.clone(), arguments.place.flags())?;
    let local = LocalStore::open_url(url.clone(), app_secret_key.clone()).await?;
    reading::announce(&local.store, &local.operator(), "gateway:key:rotate", &[]).await?;
    local.close().await;
    let rotation = Rotation {
        url: url.clone(),
        present: app_secret_key,
        new: new.clone(),
        clock: Arc::new(SystemClock),
        entropy: Arc::new(OsEntropy),
    };
    let done = rotation::rotate(rotation).await?;
    // From here on the database opens with the new key alone.
    let local = LocalStore::open_url(url, Some(new)).await?;
    let sealed = done.sealed.to_string();
    let said = [("state", "done"), ("sealed", sealed.as_str())];
    reading::announce(&local.store, &local.operator(), "gateway:key:rotate", &said).await?;
    local.close().await;
    let answer = Answer { sealed: done.sealed, sign_ins: done.sign_ins };
    context.output.answer(&answer, || {
        format!(
            "{} secrets are sealed with the new key\nset APP_SECRET_KEY to it now, on every instance, and start",
            answer.sealed
        )
    })?;
    Ok(ExitCode::SUCCESS)
}

fn new_key(path: &Path) -> Result<Secret<String>, Failure> {
    let mut text = String::new();
    if path == Path::new("-") {
        io::stdin()
            .lock()
            .take(MOST_BYTES)
            .read_to_string(&mut text)
            .problem("standard input cannot be read")?;
    } else {
        let shown = path.display().to_string();
        let file = File::open(path).problem(format!("{shown} cannot be opened"))?;
        file.take(MOST_BYTES).read_to_string(&mut text).problem(format!("{shown} cannot be read"))?;
    }
    let line = text.strip_suffix('\n').unwrap_or(&text);
    let line = line.strip_suffix('\r').unwrap_or(line);
    if line.is_empty() || line.chars().any(char::is_control) {
        return Err(Failure::new(Exit::Usage, "the new key is one line without control characters"));
    }
    Ok(Secret::new(line.to_owned()))
}
