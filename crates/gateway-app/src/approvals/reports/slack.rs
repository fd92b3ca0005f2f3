//! Slack is told: one message for each approval, which shows where it stands, and a reply in its thread for each later
//! state.
//!
//! # Security
//! What is sent is what the approval's page shows without its environment and its statement: no value and no name of a
//! variable. Buttons lead to the page.

use std::time::Duration;

use gateway_approvals::state::State;
use gateway_config::SettingKey;
use gateway_integrations::slack::{Channel, Message, Outcome, Posted, Requested};
use gateway_store::{SlackMessage, StoreError};
use url::Url;

use super::{NotTold, Told, page};
use crate::App;
use crate::approvals::standing::Standing;
use crate::integrations::WayOut;

/// How long one instance may be at it; longer than a report may take.
const TURN: Duration = Duration::from_secs(60);

/// How long to wait for another one that is at it.
const WAIT: Duration = Duration::from_secs(10);

/// Whether an arrival at this state is told, by the app's settings.
pub(super) fn is_told(app: &App, of_app: &str, to: State) -> bool {
    let moment = match to {
        State::Pending => "requested",
        State::Approved | State::Rejected | State::Expired | State::Withdrawn => "decided",
        State::Deploying | State::Deployed => "deployed",
    };
    let events = app.settings.text(SettingKey::SlackEvents, of_app);
    !app.settings.text(SettingKey::SlackChannel, of_app).is_empty()
        && events.split(',').any(|event| event.trim() == moment)
}

/// Tells Slack where the approval stands. What was told before is not told again; nothing when all was.
pub(super) async fn tell(app: &App, standing: &Standing) -> Result<Option<Told>, NotTold> {
    let id = standing.row.id;
    // Two jobs of one approval would begin two threads.
    let turn = app.store.leases().acquire(&format!("slack:{id}"), TURN, WAIT).await.map_err(later)?;
    let told = in_turn(app, standing).await;
    if let Err(error) = turn.release().await {
        tracing::debug!(error = &error as &dyn std::error::Error, "a lease ends by itself");
    }
    told
}

async fn in_turn(app: &App, standing: &Standing) -> Result<Option<Told>, NotTold> {
    let Some(desk) = app.integrations.slack() else {
        return Err(NotTold::never(
            "the gateway has no way to tell Slack: give it SLACK_BOT_TOKEN and SLACK_SIGNING_SECRET, or set it up under Integrations",
        ));
    };
    let (row, state) = (&standing.row, standing.state);
    let page = page(app, row.id).ok_or_else(|| {
        NotTold::never("the gateway's public name is not known, so no message can lead to it: set DOMAIN")
    })?;
    let (message, said) = message(app, standing, &page);
    let (http, kept) = (WayOut(&*app.fetch), app.store.slack());
    let told = |said: String| Ok(Some(Told { said, url: None }));
    let Some(mut known) = kept.of_approval(row.id).await.map_err(later)? else {
        let channel = app.settings.text(SettingKey::SlackChannel, &row.app);
        let channel: Channel =
            channel.parse().map_err(|_bad| NotTold::never("slack_channel of this app names no channel"))?;
        let posted =
            desk.client().post(&http, &channel, &message).await.map_err(|fault| NotTold::of(&fault))?;
        let first = SlackMessage {
            channel: posted.channel,
            ts: posted.ts,
            replied: state.name().to_owned(),
            shown: state.name().to_owned(),
        };
        kept.keep(row.id, &first).await.map_err(later)?;
        return told(format!("{said}, in {channel}"));
    };
    let at = Posted { channel: known.channel.clone(), ts: known.ts.clone() };
    if known.replied == state.name() && known.shown == state.name() {
        return Ok(None);
    }
    if known.replied != state.name() {
        let reply = desk.client().reply(&http, &at, &Message::note(&said)).await;
        reply.map_err(|fault| NotTold::of(&fault))?;
        // Kept before the next call, whose failure must not send the reply again.
        state.name().clone_into(&mut known.replied);
        kept.keep(row.id, &known).await.map_err(later)?;
    }
    desk.client().update(&http, &at, &message).await.map_err(|fault| NotTold::of(&fault))?;
    state.name().clone_into(&mut known.shown);
    kept.keep(row.id, &known).await.map_err(later)?;
    told(format!("{said}, in the thread"))
}

/// What the message says, and the line for its thread.
fn message(app: &App, standing: &Standing, page: &Url) -> (Message, String) {
    let (row, asked) = (&standing.row, &standing.asked);
    let link = |name: &str| asked.metadata.get(name).and_then(|text| Url::parse(text).ok());
    let (pull_request, ci) = (link("pull_request"), link("run").or_else(|| link("url")));
    let requested = Requested {
        approval: row.id,
        page,
        rack: &app.rack_name,
        app: &row.app,
        commit: &row.commit,
        branch: asked.branch.as_deref(),
        requester: &row.requester_name,
        message: asked.message.as_deref().unwrap_or_default(),
        pull_request: pull_request.as_ref(),
        ci: ci.as_ref(),
    };
    let approvers = standing.approvers().join(", ");
    let closed_by = row.closed_by.as_deref().unwrap_or("somebody");
    let outcome = match standing.state {
        State::Pending => return (Message::requested(&requested), "Waits for approval".to_owned()),
        State::Approved => Outcome::Approved(&approvers),
        State::Rejected => Outcome::Rejected(closed_by),
        State::Expired => Outcome::Expired,
        State::Withdrawn => Outcome::Withdrawn,
        State::Deploying => Outcome::Deploying,
        State::Deployed => Outcome::Deployed,
    };
    (Message::decided(&requested, outcome), outcome.to_string())
}

fn later(error: StoreError) -> NotTold {
    NotTold::later(error.to_string())
}
