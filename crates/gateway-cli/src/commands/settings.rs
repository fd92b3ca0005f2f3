//! `settings`: what the gateway, or one app behind it, is set to, and where that comes from.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use gateway_client::text::one_line;
use gateway_types::wire::settings::Setting;

use crate::Context;
use crate::failure::{Exit, Failure};
use crate::lines::Lines;
use crate::remote::Remote;
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

/// The arguments of `settings`.
#[derive(Args, Debug)]
pub(crate) struct SettingsArguments {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: SettingsCommand,
    /// Of this app, not of the gateway
    #[arg(long, global = true, value_name = "APP")]
    pub(crate) app: Option<String>,
}

/// What to do with settings.
#[derive(Subcommand, Debug)]
pub(crate) enum SettingsCommand {
    /// List all with their values and sources
    List,
    /// Show one
    Get {
        /// The setting
        #[arg(value_name = "KEY")]
        key: String,
    },
    /// Give one another value
    Set {
        /// The setting
        #[arg(value_name = "KEY")]
        key: String,
        /// The value
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
    },
    /// Go back to what the environment, the file or the default says
    Reset {
        /// The setting
        #[arg(value_name = "KEY")]
        key: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

/// Runs one of them.
pub(crate) async fn run(context: &Context, arguments: SettingsArguments) -> Result<ExitCode, Failure> {
    let remote = Remote::open(context)?;
    let app = arguments.app.as_deref();
    match arguments.command {
        SettingsCommand::List => {
            let settings = all(&remote, app).await?;
            context.output.listing(&settings, &rows(&settings), "there are no settings")?;
        }
        SettingsCommand::Get { key } => {
            let setting = find(&remote, app, &key).await?;
            context.output.answer(&setting, || text(&setting))?;
        }
        SettingsCommand::Set { key, value } => {
            let before = find(&remote, app, &key).await?;
            let setting = remote
                .ask(async |client| client.change_setting(app, &before.key, &value, before.version).await)
                .await?;
            context.output.answer(&setting, || text(&setting))?;
        }
        SettingsCommand::Reset { key, yes } => {
            let before = find(&remote, app, &key).await?;
            let question = format!(
                "{} goes from {} back to {}",
                before.key,
                one_line(&before.value),
                one_line(&before.without_database)
            );
            waiting(|| context.terminal.confirm(&question, Assent::of(yes)))?;
            remote.ask(async |client| client.reset_setting(app, &before.key, before.version).await).await?;
            let setting = find(&remote, app, &before.key).await?;
            context.output.answer(&setting, || text(&setting))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn all(remote: &Remote, app: Option<&str>) -> Result<Vec<Setting>, Failure> {
    Ok(remote.ask(async |client| client.settings(app).await).await?.items)
}

async fn find(remote: &Remote, app: Option<&str>, key: &str) -> Result<Setting, Failure> {
    // The variable's name is as good: it is what stands beside the value in a listing of the environment.
    let wanted = key.to_ascii_lowercase().replace('-', "_");
    all(remote, app)
        .await?
        .into_iter()
        .find(|setting| setting.key == wanted || setting.variable == key)
        .ok_or_else(|| {
            Failure::new(Exit::Usage, format!("no setting is called `{}`", one_line(key)))
                .hint("`rack-gateway settings list` shows them")
        })
}

fn source(setting: &Setting) -> String {
    let by = setting.source.by.as_deref().map(|by| format!(" by {by}")).unwrap_or_default();
    let place = setting.source.place.as_deref().map(|place| format!(" ({place})")).unwrap_or_default();
    format!("{}{place}{by}", setting.source.kind)
}

fn rows(settings: &[Setting]) -> Rows {
    let mut rows = Rows::new(&["SETTING", "VALUE", "SOURCE", "DEFAULT"]);
    for setting in settings {
        rows.add(vec![setting.key.clone(), setting.value.clone(), source(setting), setting.default.clone()]);
    }
    rows
}

fn text(setting: &Setting) -> String {
    let mut lines = Lines::default();
    lines.line("value", &setting.value);
    lines.line("source", &source(setting));
    lines.some("at", setting.source.at.as_deref());
    lines.line("default", &setting.default);
    lines.line("range", &setting.range);
    lines.line("variable", &setting.variable);
    lines.line("about", &setting.description);
    format!("{}\n{lines}", one_line(&setting.key))
}
