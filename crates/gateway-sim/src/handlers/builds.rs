//! Builds: made from an object, made outside, imported, exported.

use super::{Answer, app_of};
use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply::{Body, Reply};
use crate::state::shapes::Build;
use crate::state::{BuildLog, NEVER, NewRelease, State, instant, now_text};

/// The length of an exported build.
const EXPORT_BYTES: usize = 20_000;

pub(crate) fn list(call: &Call, state: &mut State) -> Answer {
    let limit = super::releases::limit(call)?;
    let app = app_of(call, state)?;
    let builds: Vec<_> = app.builds.iter().rev().take(limit).map(|run| &run.build).collect();
    Ok(Reply::json(&builds))
}

pub(crate) fn create(call: &Call, state: &mut State) -> Answer {
    let external = call.flag("external");
    let manifest = app_of(call, state)?.manifest();
    let id = state.new_id('B');
    let text = |name: &str| call.param(name).unwrap_or_default().to_owned();
    // The answer to an external build holds the rack's own password, as on a real rack.
    let repository = if external {
        format!("https://convox:{}@api.example.test/{}", state.password, call.var("app"))
    } else {
        String::new()
    };
    let build = Build {
        process: format!("build-{}", id.to_lowercase()),
        id,
        app: call.var("app").to_owned(),
        description: text("description"),
        git_sha: text("git-sha"),
        manifest,
        repository,
        status: if external { "created" } else { "running" }.to_owned(),
        started: now_text(),
        ended: NEVER.to_owned(),
        ..Build::default()
    };
    let log = if external { BuildLog::Done(String::new()) } else { BuildLog::Growing(instant()) };
    Ok(Reply::json(&app_of(call, state)?.add_build(build, log)))
}

pub(crate) fn get(call: &Call, state: &mut State) -> Answer {
    Ok(Reply::json(&app_of(call, state)?.build(call.var("id"))?.build))
}

pub(crate) fn export(call: &Call, state: &mut State) -> Answer {
    app_of(call, state)?.build(call.var("id"))?;
    let bytes = b"tgz-bytes-".iter().copied().cycle().take(EXPORT_BYTES).collect();
    Ok(Reply::stream(Body::Chunks(bytes), None))
}

pub(crate) fn import(call: &Call, state: &mut State) -> Answer {
    let manifest = app_of(call, state)?.manifest();
    let release = state.new_id('R');
    let id = state.new_id('B');
    let app = app_of(call, state)?;
    let build = Build {
        id: id.clone(),
        app: app.name.clone(),
        manifest,
        release: release.clone(),
        status: "complete".to_owned(),
        started: now_text(),
        ended: now_text(),
        ..Build::default()
    };
    let build = app.add_build(build, BuildLog::Done(String::new()));
    app.add_release(release, NewRelease { build: Some(id), ..NewRelease::default() })?;
    Ok(Reply::json(&build))
}

pub(crate) fn import_image(call: &Call, state: &mut State) -> Answer {
    call.required("image")?;
    let run = app_of(call, state)?.build(call.var("id"))?;
    "complete".clone_into(&mut run.build.status);
    Ok(Reply::empty(202))
}

pub(crate) fn update(call: &Call, state: &mut State) -> Answer {
    let run = app_of(call, state)?.build(call.var("id"))?;
    // A real rack takes `ended`, `logs` and `started` too, but what it answers does not show them.
    let fields: [(&str, &mut String); 4] = [
        ("entrypoint", &mut run.build.entrypoint),
        ("manifest", &mut run.build.manifest),
        ("release", &mut run.build.release),
        ("status", &mut run.build.status),
    ];
    for (name, field) in fields {
        if let Some(value) = call.param(name) {
            value.clone_into(field);
        }
    }
    Ok(Reply::json(&run.build))
}

/// The log of a build as far as it is there, and whether that is all.
pub(crate) fn log_so_far(state: &mut State, app: &str, id: &str) -> Result<(Vec<String>, bool), Refusal> {
    let every = state.timing.build_step_every;
    let run = state.app(app)?.build(id)?;
    match &run.log {
        BuildLog::Done(text) => Ok((vec![text.clone()], true)),
        BuildLog::Growing(since) => {
            let steps = since.elapsed().as_nanos().checked_div(every.as_nanos()).unwrap_or(u128::MAX);
            let lines =
                u32::try_from(steps.saturating_add(1)).unwrap_or(u32::MAX).min(crate::state::BUILD_STEPS);
            Ok(((1..=lines).map(|step| crate::state::build_line(app, step)).collect(), false))
        }
    }
}
