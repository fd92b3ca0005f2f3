//! `completion`: a script that teaches a shell the commands, and the names that are offered while one is typed.
//!
//! The script asks this program at each Tab, so that names are those of now. Names come from the gateway that the words
//! before them mean; where it cannot be asked at once, none are offered.

use std::ffi::{OsStr, OsString};
use std::future::Future;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, CommandFactory as _};
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use clap_complete::env::Shells;
use clap_complete::{CompleteEnv, Shell};
use gateway_client::rack::RackRequest;
use gateway_client::rack::types::{App, AppService};
use gateway_client::text::steers;

use super::native::{AppArgument, Place};
use crate::Context;
use crate::arguments::Arguments;
use crate::failure::{Exit, Failure};
use crate::racks::Racks;

/// The variable that says that a shell asks for words, and which shell.
const VARIABLE: &str = "RACK_GATEWAY_COMPLETE";
/// How long somebody who pressed Tab waits for names.
const PATIENCE: Duration = Duration::from_secs(2);
/// This program, as shells call it.
const PROGRAM: &str = "rack-gateway";

/// The arguments of `completion`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  source <(rack-gateway completion bash)\n  rack-gateway completion fish | source"
)]
pub(crate) struct CompletionArguments {
    /// Which shell
    #[arg(value_enum)]
    pub(crate) shell: Shell,
}

/// Writes the script to standard output.
pub(crate) fn run(context: &Context, arguments: &CompletionArguments) -> Result<ExitCode, Failure> {
    let name = arguments.shell.to_string();
    let shells = Shells::builtins();
    let shell = shells
        .completer(&name)
        .ok_or_else(|| Failure::new(Exit::Usage, format!("nothing is known of the shell {name}")))?;
    let mut script = Vec::new();
    shell.write_registration(VARIABLE, PROGRAM, PROGRAM, PROGRAM, &mut script)?;
    context.output.line(String::from_utf8_lossy(&script).trim_end())?;
    Ok(ExitCode::SUCCESS)
}

/// Answers a shell that asks for words, and ends the program; returns when none does.
pub(crate) fn answer_shell() {
    CompleteEnv::with_factory(Arguments::command).var(VARIABLE).complete();
}

/// Offers the names of apps.
pub(crate) fn apps() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        offered(current, || {
            asked(async |place| {
                let apps: Vec<App> =
                    place.remote.client().rack_document(&RackRequest::get(&["apps"])).await.ok()?;
                Some(apps.into_iter().map(|app| app.name).collect())
            })
        })
    })
}

/// Offers the names of the services of the app that is meant.
pub(crate) fn services() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        offered(current, || {
            asked(async |place| {
                let words: Vec<OsString> = std::env::args_os().collect();
                let named = AppArgument { app: option(&words, &["--app", "-a"]) };
                let app = named.name(place.context).ok()?;
                let request = RackRequest::get(&["apps", &app, "services"]);
                let services: Vec<AppService> = place.remote.client().rack_document(&request).await.ok()?;
                Some(services.into_iter().map(|service| service.name).collect())
            })
        })
    })
}

/// Offers the names of the gateways that are known on this machine.
pub(crate) fn racks() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        offered(current, || {
            let book = Racks::of(&Context::quiet().environment).ok()?.book().ok()?;
            Some(book.racks().map(|rack| rack.name.clone()).collect())
        })
    })
}

/// What fits to what was typed so far.
fn offered(current: &OsStr, names: impl FnOnce() -> Option<Vec<String>>) -> Vec<CompletionCandidate> {
    let Some(current) = current.to_str() else { return Vec::new() };
    names()
        .unwrap_or_default()
        .into_iter()
        .filter(|name| fits(name, current))
        .map(CompletionCandidate::new)
        .collect()
}

/// A name of a server goes into a command line: one that would steer a terminal, or a shell, is not offered.
fn fits(name: &str, current: &str) -> bool {
    let is_plain = |c: char| !steers(c) && (c.is_alphanumeric() || "-_.".contains(c));
    name.starts_with(current) && !name.is_empty() && name.chars().all(is_plain)
}

/// What the gateway that is meant says within the time that somebody waits.
fn asked<F>(ask: F) -> Option<Vec<String>>
where
    F: AsyncFnOnce(&Place<'_>) -> Option<Vec<String>>,
{
    let mut context = Context::quiet();
    let words: Vec<OsString> = std::env::args_os().collect();
    context.rack = option(&words, &["--rack"]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
    runtime.block_on(within(PATIENCE, async {
        let place = Place::open(&context).ok()?;
        ask(&place).await
    }))
}

async fn within<T>(patience: Duration, work: impl Future<Output = Option<T>>) -> Option<T> {
    tokio::time::timeout(patience, work).await.ok().flatten()
}

/// The value of an option among words that are not finished: `--app web`, `--app=web`, `-a web`, `-aweb`.
fn option(words: &[OsString], names: &[&str]) -> Option<String> {
    let words: Vec<&str> = words.iter().filter_map(|word| word.to_str()).collect();
    let mut found = None;
    for (at, word) in words.iter().enumerate() {
        for name in names {
            let value = match word.strip_prefix(name) {
                Some("") => words.get(at + 1).copied(),
                Some(rest) if name.starts_with("--") => rest.strip_prefix('='),
                rest => rest,
            };
            found = value.filter(|value| !value.is_empty()).or(found);
        }
    }
    found.map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_says_which_app_is_meant() {
        let check = |line: &str, app: Option<&str>| {
            let words: Vec<OsString> = line.split_whitespace().map(OsString::from).collect();
            assert_eq!(option(&words, &["--app", "-a"]).as_deref(), app, "{line}");
        };
        check("rack-gateway scale --app web", Some("web"));
        check("rack-gateway scale --app=web w", Some("web"));
        check("rack-gateway scale -a web w", Some("web"));
        check("rack-gateway scale -aweb", Some("web"));
        check("rack-gateway scale -a", None);
        check("rack-gateway apps", None);
    }

    #[test]
    fn m5_no_name_of_a_server_is_more_than_a_name() {
        assert!(fits("web", "w") && fits("my-app_2.x", ""));
        for hostile in ["", "a b", "$(reboot)", "a;b", "a\u{1b}[2J", "a\u{202e}b"] {
            assert!(!fits(hostile, ""), "{hostile:?}");
        }
        assert!(!fits("shop", "w"));
    }

    #[test]
    fn each_shell_gets_a_script() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            run(&Context::for_tests(), &CompletionArguments { shell }).unwrap();
        }
    }
}
