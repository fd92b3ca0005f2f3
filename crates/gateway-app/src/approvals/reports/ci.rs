//! CircleCI is told: the job that waits for the approval goes on.

use gateway_approvals::state::State;
use gateway_config::SettingKey;
use gateway_integrations::circleci::{Approved, Bound, Waiting};

use super::{NotTold, Told};
use crate::App;
use crate::approvals::standing::Standing;
use crate::integrations::WayOut;

pub(super) async fn circleci(app: &App, standing: &Standing) -> Result<Told, NotTold> {
    match standing.state {
        State::Approved | State::Deploying | State::Deployed => {}
        state @ (State::Pending | State::Rejected | State::Expired | State::Withdrawn) => {
            return Err(NotTold::never(format!("it is {state} by now, so no job goes on")));
        }
    }
    // Written as approved, and not by enough signatures that count.
    if let Some(fault) = &standing.fault {
        return Err(NotTold::never(fault.clone()));
    }
    let of_app = &standing.row.app;
    let bad = |setting: &str| NotTold::never(format!("the setting {setting} of this app cannot be used"));
    let bound = Bound {
        project: app
            .settings
            .text(SettingKey::CircleciProject, of_app)
            .parse()
            .map_err(|_bad| bad("circleci_project"))?,
        commit: standing.row.commit.parse().map_err(|_bad| NotTold::never("this is not a commit's id"))?,
        job: app
            .settings
            .text(SettingKey::CircleciJob, of_app)
            .parse()
            .map_err(|_bad| bad("circleci_job"))?,
    };
    let metadata = &standing.asked.metadata;
    let waiting = match (metadata.get("workflow_id"), metadata.get("pipeline_id")) {
        (Some(id), _) => id.parse().map(Waiting::Workflow),
        (None, Some(id)) => id.parse().map(Waiting::Pipeline),
        (None, None) => {
            return Err(NotTold::never(
                "the request names no workflow_id and no pipeline_id, so which job waits is not known",
            ));
        }
    };
    let waiting = waiting.map_err(|fault| NotTold::never(fault.to_string()))?;
    let circle = app
        .integrations
        .circleci()
        .ok_or_else(|| NotTold::never("the gateway has no way to tell CircleCI: give it CIRCLECI_TOKEN"))?;
    let approved = circle.approve(&WayOut(&*app.fetch), &waiting, &bound).await;
    match approved.map_err(|fault| NotTold { retry: fault.retry(), said: fault.to_string(), after: None })? {
        Approved::Now { url } => Ok(Told { said: format!("{} goes on", bound.job), url: Some(url) }),
        Approved::Before { url } => {
            Ok(Told { said: format!("{} went on before", bound.job), url: Some(url) })
        }
    }
}
