//! What the HTTP routes do, by area. Handlers are plain functions from a call and the state to an answer; they
//! await nothing, so a request changes the state at once or not at all.

pub(crate) mod apps;
pub(crate) mod budget;
pub(crate) mod builds;
pub(crate) mod metrics;
pub(crate) mod objects;
pub(crate) mod processes;
pub(crate) mod rack;
pub(crate) mod releases;
pub(crate) mod security;
pub(crate) mod services;

use crate::call::Call;
use crate::refusal::Refusal;
use crate::reply::Reply;
use crate::state::{App, State};

/// What a handler gives.
pub(crate) type Answer = Result<Reply, Refusal>;

/// The app of a call.
fn app_of<'a>(call: &Call, state: &'a mut State) -> Result<&'a mut App, Refusal> {
    state.app(call.var("app"))
}

/// `ok`, if the app is there.
fn ok_for_app(call: &Call, state: &mut State) -> Answer {
    app_of(call, state).map(|_| Reply::ok())
}
