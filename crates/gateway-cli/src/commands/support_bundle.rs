//! `support-bundle`: what somebody who helps must know of a gateway, in one file that can be given away.
//!
//! It is made on the gateway's own machine, and also while the gateway is down: what cannot be had is told, and the rest is there.
//! Every text goes through [`Cleaner`] before it is written. Start reading at [`run`].

mod bundle;
mod clean;
mod contents;
#[cfg(test)]
mod tests;

use std::fs::{self, OpenOptions};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use gateway_client::text::one_line;
use gateway_config::{load, load_hidden};
use gateway_types::{Clock as _, SystemClock};
use serde::Serialize;
use url::Url;

use crate::Context;
use crate::failure::{Exit, Failure, Problem as _};
use crate::lines::Lines;
use crate::local::DataPlace;
use crate::output::remark;

use bundle::Bundle;
use clean::Cleaner;

/// The arguments of `support-bundle`.
#[derive(Args, Debug)]
#[command(
    after_help = "Made on the gateway's own machine, whether or not the gateway runs. No secret is in it, nor what people did: README.md in it\nlists what was left out and why. Read it before you give it away."
)]
pub(crate) struct SupportBundleArguments {
    /// The file to write, a .tar.gz that must not be there yet; else one named after the time, in this directory
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// The second listener of the gateway (ADMIN_ADDRESS and ADMIN_PORT), when it is not where the configuration says
    #[arg(long, value_name = "URL")]
    pub(crate) admin: Option<Url>,
    /// A file with the program's own log, of which the end goes in; may be given again
    #[arg(long, value_name = "FILE")]
    pub(crate) log: Vec<PathBuf>,
    /// Where the data are.
    #[command(flatten)]
    pub(crate) place: DataPlace,
}

/// What was written, and what is missing.
#[derive(Serialize)]
struct Answer {
    file: String,
    bytes: u64,
    files: Vec<String>,
    missing: Vec<Missing>,
    secrets_masked: usize,
}

/// A part that could not be had.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub(crate) struct Missing {
    /// Which.
    pub(crate) part: String,
    /// Why.
    pub(crate) reason: String,
}

/// Makes one.
pub(crate) async fn run(context: &Context, arguments: SupportBundleArguments) -> Result<ExitCode, Failure> {
    let now = SystemClock.now().to_rfc3339();
    let name = format!("rack-gateway-support-{}", stamp(&now));
    let out = arguments.out.clone().unwrap_or_else(|| PathBuf::from(format!("{name}.tar.gz")));
    if out.exists() {
        return Err(Failure::new(Exit::Usage, format!("{} is there already", out.display()))
            .hint("give another name with --out"));
    }
    let mut bundle = Bundle::new(&name, &now);
    contents::program(&mut bundle);
    let loaded = load(context.config.clone(), arguments.place.flags());
    let secrets = load_hidden(context.config.clone(), arguments.place.flags());
    let cleaner = Cleaner::new(&secrets, loaded.as_ref().ok().map(|config| config.database_url.as_str()));
    contents::configuration(&mut bundle, &loaded);
    contents::second_listener(&mut bundle, arguments.admin.as_ref(), loaded.as_ref().ok()).await;
    contents::database(&mut bundle, context, &arguments.place).await;
    for file in &arguments.log {
        contents::program_log(&mut bundle, file);
    }
    let (archive, masked) = bundle.archive(&cleaner).problem("the bundle cannot be put together")?;
    write(&out, &archive)?;
    let answer = Answer {
        file: out.display().to_string(),
        bytes: archive.len() as u64,
        files: bundle.names(),
        missing: bundle.missing().to_vec(),
        secrets_masked: masked,
    };
    context.output.answer(&answer, || answer.text())?;
    if !answer.missing.is_empty() {
        remark("some of it could not be had; the bundle is made all the same");
    }
    Ok(ExitCode::SUCCESS)
}

impl Answer {
    fn text(&self) -> String {
        let mut lines = Lines::default();
        lines.line("bytes", &self.bytes.to_string());
        lines.line("files", &self.files.join(", "));
        lines.line("masked", &format!("{} occurrences of secrets", self.secrets_masked));
        for missing in &self.missing {
            lines.line("without", &format!("{}: {}", missing.part, one_line(&missing.reason)));
        }
        let file = one_line(&self.file);
        format!("wrote {file}; read it before you give it away\n{lines}")
    }
}

/// A time as part of a file's name.
fn stamp(time: &str) -> String {
    time.chars().take(19).filter(|c| c.is_ascii_alphanumeric()).collect()
}

/// Whole or not at all, and for its owner alone.
fn write(out: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let shown = out.display();
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(out);
    let mut file = made.problem(format!("{shown} cannot be made"))?;
    let written = std::io::Write::write_all(&mut file, bytes).and_then(|()| file.sync_all());
    written.problem(format!("{shown} cannot be written")).inspect_err(|_failure| {
        // A part of it helps nobody.
        let _ = fs::remove_file(out);
    })
}
