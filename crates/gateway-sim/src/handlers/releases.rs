//! Releases: the environment, its history and which of it runs.

use super::{Answer, app_of};
use crate::call::Call;
use crate::options::Flavour;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::state::shapes::Release;
use crate::state::{NewRelease, State};

/// The query parameter `limit`; 10 without it.
pub(super) fn limit(call: &Call) -> Result<usize, Refusal> {
    call.query("limit").map_or(Ok(10), |text| text.parse().map_err(|_| Refusal::Invalid("limit")))
}

pub(crate) fn list(call: &Call, state: &mut State) -> Answer {
    let limit = limit(call)?;
    let flavour = state.flavour;
    let app = app_of(call, state)?;
    let shown = |release: &Release| match flavour {
        Flavour::V3 => release.clone(),
        Flavour::V2 => Release { env: String::new(), ..release.clone() },
    };
    let releases: Vec<Release> = app.releases.iter().rev().take(limit).map(shown).collect();
    Ok(Reply::json(&releases))
}

pub(crate) fn create(call: &Call, state: &mut State) -> Answer {
    let text = |name: &str| call.param(name).map(str::to_owned);
    let new = NewRelease {
        build: text("build"),
        env: text("env"),
        description: text("description"),
        parent: text("parent-release"),
    };
    Ok(Reply::json(&state.new_release(call.var("app"), new)?))
}

pub(crate) fn get(call: &Call, state: &mut State) -> Answer {
    Ok(Reply::json(app_of(call, state)?.release(call.var("id"))?))
}

pub(crate) fn promote(call: &Call, state: &mut State) -> Answer {
    let takes = state.timing.promote_takes;
    for name in ["min", "max", "timeout"] {
        call.int(name)?;
    }
    app_of(call, state)?.promote(call.var("id"), call.flag("force"), takes)?;
    Ok(Reply::ok())
}
