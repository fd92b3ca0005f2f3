//! `cost` and `budget`. Who acknowledges is not said here: the gateway knows who asks.

use clap::{Args, Subcommand};
use gateway_client::rack::RackRequest;
use gateway_client::text::{lines, one_line};
use serde_json::Value;

use super::place::Fetched;
use super::{AppArgument, Place};
use crate::failure::{Exit, Failure};
use crate::table::Rows;

/// The arguments of `cost`.
#[derive(Args, Debug)]
pub(crate) struct CostArguments {
    #[command(flatten)]
    app: AppArgument,
}

/// The arguments of `budget`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rack-gateway budget set web --monthly-cap 100 --alert-at 80")]
pub(crate) struct BudgetArguments {
    /// What to do.
    #[command(subcommand)]
    command: BudgetCommand,
    #[command(flatten)]
    app: AppArgument,
}

/// One app, by its name or by `--app`.
#[derive(Args, Debug)]
pub(crate) struct Named {
    /// The app, when --app does not name it
    #[arg(value_name = "APP_NAME")]
    name: Option<String>,
}

/// What to do with a budget.
#[derive(Subcommand, Debug)]
pub(crate) enum BudgetCommand {
    /// Show the budget and how far it is used up
    Show(Named),
    /// Set it
    Set {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        limits: Limits,
    },
    /// Remove it
    Clear(Named),
    /// Begin anew after it was used up
    Reset {
        #[command(flatten)]
        named: Named,
        /// Also while it cools down
        #[arg(long)]
        force_clear_cooldown: bool,
        /// The whole period begins anew
        #[arg(long)]
        reset_period: bool,
    },
    /// Say what would be shut down; nothing is, but the budget's web hook is told
    SimulateShutdown(Named),
    /// Dismiss the notice about a recovery
    DismissRecovery(Named),
    /// The cap alone
    Cap {
        /// What to do.
        #[command(subcommand)]
        command: CapCommand,
    },
}

/// What to do with the cap.
#[derive(Subcommand, Debug)]
pub(crate) enum CapCommand {
    /// Raise it
    Raise {
        #[command(flatten)]
        named: Named,
        /// In US dollars a month
        #[arg(long, value_name = "USD")]
        monthly_cap: f64,
    },
}

/// What a budget says.
#[derive(Args, Debug)]
pub(crate) struct Limits {
    /// In US dollars a month
    #[arg(long, value_name = "USD")]
    monthly_cap: Option<f64>,
    /// When to tell, in percent
    #[arg(long, value_name = "PERCENT")]
    alert_at: Option<f64>,
    /// What becomes of the app when it is used up
    #[arg(long, value_name = "ACTION")]
    at_cap_action: Option<String>,
    /// What prices are multiplied with
    #[arg(long, value_name = "FACTOR")]
    pricing_adjustment: Option<f64>,
}

/// Shows what an app costs.
pub(super) async fn cost(place: &Place<'_>, arguments: &CostArguments) -> Result<(), Failure> {
    let app = place.app(&arguments.app)?;
    let Fetched { raw, .. } = costs(place, &app).await?;
    let mut rows = Rows::new(&["SERVICE", "GPU-HOURS", "CPU-HOURS", "MEM-GB-HOURS", "INSTANCE", "SPEND-USD"]);
    for one in raw.get("breakdown").and_then(Value::as_array).into_iter().flatten() {
        let of = |name: &str| match one.get(name) {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        };
        rows.add(
            ["service", "gpu-hours", "cpu-hours", "mem-gb-hours", "instance-type", "spend-usd"]
                .map(of)
                .to_vec(),
        );
    }
    let spend = raw.get("spend-usd").and_then(Value::as_f64).unwrap_or_default();
    place.context.output.answer(&raw, || {
        let table = if rows.is_empty() {
            String::new()
        } else {
            format!("{}\n", rows.render(place.context.output.looks))
        };
        format!("{table}{} costs {spend:.2} USD this month", one_line(&app))
    })
}

async fn costs(place: &Place<'_>, app: &str) -> Result<Fetched<Value>, Failure> {
    place.fetch(&RackRequest::get(&["apps", app, "cost"])).await
}

/// Does it.
pub(super) async fn run(place: &Place<'_>, arguments: BudgetArguments) -> Result<(), Failure> {
    let BudgetArguments { command, app } = arguments;
    let named = |named: &Named| app.name_or(named.name.as_deref(), place.context);
    match command {
        BudgetCommand::Show(one) => show(place, &named(&one)?).await,
        BudgetCommand::Set { named: one, limits } => set(place, &named(&one)?, &limits).await,
        BudgetCommand::Cap { command: CapCommand::Raise { named: one, monthly_cap } } => {
            let limits = Limits {
                monthly_cap: Some(monthly_cap),
                alert_at: None,
                at_cap_action: None,
                pricing_adjustment: None,
            };
            set(place, &named(&one)?, &limits).await
        }
        BudgetCommand::Clear(one) => {
            let app = named(&one)?;
            place.order(&RackRequest::delete(&["apps", &app, "budget"])).await?;
            place.done(&format!("Clearing budget for {app}"), None)
        }
        BudgetCommand::Reset { named: one, force_clear_cooldown, reset_period } => {
            let app = named(&one)?;
            let asked = RackRequest::post(&["apps", &app, "budget", "reset"])
                .form("force_clear_cooldown", force_clear_cooldown.then_some(true))
                .form("reset_period", reset_period.then_some(true));
            place.order(&asked).await?;
            place.done(&format!("Resetting budget for {app}"), None)
        }
        BudgetCommand::SimulateShutdown(one) => {
            let app = named(&one)?;
            let asked = RackRequest::post(&["apps", &app, "budget", "simulate-shutdown"]);
            let Fetched { raw, .. } = place.fetch::<Value>(&asked).await?;
            place
                .context
                .output
                .answer(&raw, || lines(&serde_json::to_string_pretty(&raw).unwrap_or_default()))
        }
        BudgetCommand::DismissRecovery(one) => {
            let app = named(&one)?;
            place.order(&RackRequest::post(&["apps", &app, "budget", "dismiss-recovery"])).await?;
            place.done(&format!("Dismissing the notice of {app}"), None)
        }
    }
}

async fn show(place: &Place<'_>, app: &str) -> Result<(), Failure> {
    let Fetched { raw, .. } = place.fetch::<Value>(&RackRequest::get(&["apps", app, "budget"])).await?;
    place.context.output.answer(&raw, || match raw.get("config").filter(|config| !config.is_null()) {
        None => format!("no budget is configured for {}", one_line(app)),
        Some(_) => lines(&serde_json::to_string_pretty(&raw).unwrap_or_default()),
    })
}

async fn set(place: &Place<'_>, app: &str, limits: &Limits) -> Result<(), Failure> {
    let Limits { monthly_cap, alert_at, at_cap_action, pricing_adjustment } = limits;
    if [monthly_cap, alert_at, pricing_adjustment].iter().all(|limit| limit.is_none())
        && at_cap_action.is_none()
    {
        return Err(
            Failure::new(Exit::Usage, "nothing is to be set").hint("say what, such as --monthly-cap 100")
        );
    }
    let spent = costs(place, app).await?.raw.get("spend-usd").and_then(Value::as_f64).unwrap_or_default();
    if let Some(cap) = monthly_cap.filter(|cap| *cap <= spent) {
        crate::output::remark(&format!("warning: {spent:.2} USD are spent this month, the cap is {cap:.2}"));
    }
    let asked = RackRequest::post(&["apps", app, "budget"])
        .form("monthly-cap-usd", *monthly_cap)
        .form("alert-threshold-percent", *alert_at)
        .form("at-cap-action", at_cap_action.as_deref())
        .form("pricing-adjustment", *pricing_adjustment);
    place.order(&asked).await?;
    place.done(&format!("Setting budget for {app}"), None)
}
