//! Deploys under an approval: which step of a deploy a request is, what approvals say to it, and the steps that are
//! taken once, before the rack sees them.
//!
//! What an approval allows is not known here (`gateway_app::approvals`).

mod scan;
mod taken;
#[cfg(test)]
mod tests;
mod view;

use std::ops::ControlFlow;
use std::sync::Arc;

use gateway_app::approvals::enforcement::{self, Answer};
use gateway_approvals::chain::Step;
use gateway_convox::RackRequest;
use gateway_types::{ApprovalId, Cicd, Class, Facts, Principal, Problem, RemedyKind, Role};

use crate::flow::{Flow, refuse};
use crate::phases::Asked;
use crate::plane::DataPlane;

pub(crate) use scan::Scan;
pub(crate) use taken::Taken;
pub use view::RackLooks;

/// The name in `sensitive_parameters` of an upload to an object that an approval is about.
const BOUND_OBJECT: &str = "approved-object";

/// What approvals say to a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Approving {
    /// Nobody asked them.
    NotAsked,
    /// This one allows it.
    Follows(ApprovalId),
    /// None does; why, for people.
    Broken(String),
}

impl Approving {
    /// The approval that allows it.
    pub(crate) fn id(&self) -> Option<ApprovalId> {
        match self {
            Approving::Follows(id) => Some(*id),
            Approving::NotAsked | Approving::Broken(_) => None,
        }
    }
}

/// Asks approvals about a request that may need one, and adds what they say to the facts.
pub(crate) async fn learn(
    plane: &Arc<DataPlane>,
    principal: &Principal,
    asked: &Asked,
    facts: &mut Facts,
) -> Flow<Approving> {
    let Asked::Rack { request, .. } = asked else { return ControlFlow::Continue(Approving::NotAsked) };
    let resource = request.resource();
    let (Some(app), Some(step)) = (resource.app_name(), step_of(request)) else {
        return ControlFlow::Continue(Approving::NotAsked);
    };
    if let Step::Upload { object } = step {
        match enforcement::is_bound_object(&plane.parts.app, app, object).await {
            Ok(true) => drop(facts.sensitive_parameters.insert(BOUND_OBJECT.to_owned())),
            Ok(false) => {}
            Err(error) => return refuse(gateway_app::problems::of_store(&error)),
        }
    }
    if !may_need_one(principal, request) {
        return ControlFlow::Continue(Approving::NotAsked);
    }
    match enforcement::answer(&plane.parts.app, principal, app, &step).await {
        Ok(Answer::Follows(id)) => {
            facts.approval_matches = true;
            ControlFlow::Continue(Approving::Follows(id))
        }
        Ok(Answer::Broken(why)) => ControlFlow::Continue(Approving::Broken(why)),
        Err(problem) => refuse(problem),
    }
}

/// Machines that may deploy only so; and everybody for what has an effect, since policies can put people under the
/// same rule.
fn may_need_one(principal: &Principal, request: &RackRequest) -> bool {
    let operation = request.operation();
    let is_machine = match principal {
        Principal::ApiToken { roles, .. } | Principal::Workload { roles, .. } => roles.contains(Role::Cicd),
        Principal::User { .. } => false,
        Principal::Anonymous | Principal::AccessToken { .. } => return false,
    };
    operation.cicd == Cicd::Approval && (is_machine || operation.class != Class::Read)
}

/// The step of a deploy that a request is; `None` for what is none.
pub(crate) fn step_of(request: &RackRequest) -> Option<Step<'_>> {
    let given = |name: &str| request.get(name).filter(|value| !value.is_empty());
    match request.operation().action.as_str() {
        "convox:build:list" | "convox:release:list" => Some(Step::Look),
        "convox:log:read" => Some(request.get("pid").map_or(Step::Look, |process| Step::Process { process })),
        "convox:object:create" => Some(Step::Upload { object: request.get("key")? }),
        "convox:build:create" => Some(Step::Build {
            url: given("url"),
            commit: given("git-sha"),
            manifest: given("manifest"),
            unsigned: unsigned(request, &["build-args", "development", "external", "wildcard-domain"]),
        }),
        "convox:build:read" => Some(Step::ReadBuild { build: request.get("id")? }),
        "convox:release:read" => Some(Step::ReadRelease { release: request.get("id")? }),
        "convox:release:promote" => {
            let names = ["development", "idle", "min", "max", "xrds", "xignore", "xsnapshot"];
            Some(Step::Promote { release: request.get("id")?, unsigned: unsigned(request, &names) })
        }
        "convox:process:start" => Some(Step::Start {
            release: given("Release"),
            command: given("Command"),
            unsigned: unsigned(request, &["Use-Service-Volume", "Node-Labels", "System-Critical"]),
        }),
        "convox:process:exec" => Some(Step::Exec {
            process: request.get("pid")?,
            command: request.get("Command").unwrap_or_default(),
        }),
        "convox:process:terminate" => Some(Step::Process { process: request.get("pid")? }),
        _ => None,
    }
}

/// The first of these parameters, which change what is built or runs and which no statement names, that is set.
fn unsigned(request: &RackRequest, names: &[&'static str]) -> Option<&'static str> {
    let is_set = |name: &&str| request.get(name).is_some_and(|value| !value.is_empty() && value != "false");
    names.iter().copied().find(is_set)
}

/// Completes the refusal that an approval would turn into a yes: which link does not match, and how to ask.
pub(crate) fn advise(problem: &mut Problem, approving: &Approving, app: Option<&str>, inbox: String) {
    let Approving::Broken(why) = approving else { return };
    let Some(remedy) = problem.remedies.iter_mut().find(|remedy| remedy.kind == RemedyKind::Approval) else {
        return;
    };
    let needs = problem.detail.trim_end_matches('.');
    problem.detail = format!("{needs}: {why}.");
    remedy.url = Some(inbox);
    if let Some(app) = app {
        remedy.command = Some(format!("rack-gateway approvals request --app {app}"));
    }
}
