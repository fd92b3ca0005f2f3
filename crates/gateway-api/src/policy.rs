//! Questions about policy: `/policy/why`, `/policy/can`, `/policy/who-can`.

use std::collections::BTreeSet;

use gateway_app::control::OwnRequest;
use gateway_app::explain::{self, Subject};
use gateway_app::{App, AppError};
use gateway_types::wire::policy::{CanAnswer, CanQuestion, PolicySubject, WhoCanAnswer, WhoCanQuestion, Why};
use gateway_types::{Facts, Layer, Problem, ProblemKind, RequestId, Resource, Verdict};

use crate::paging::no_query;
use crate::reply::{self, Answer};
use crate::{audit, input, policies};

/// Why a request was answered as it was. One's own requests; others' for whoever policy lets.
#[utoipa::path(get, path = "/api/v1/policy/why/{request_id}", tag = "policy",
    params(("request_id" = String, Path)), responses((status = 200, body = Why)))]
pub(crate) async fn why(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    // In the same words whether there is no such request, or it is somebody else's.
    let unknown = || {
        Problem::new(
            ProblemKind::NotFound,
            Layer::Authorization,
            "the log has no event of this request that you may see",
        )
    };
    let id: RequestId = input::path(request, "request_id").map_err(|_| unknown())?;
    let events = match explain::why_for(app, &request.caller, id).await {
        Ok(events) => events,
        Err(AppError::UnknownRequest(_)) => return Err(unknown()),
        Err(error) => return Err(error.into()),
    };
    let engine = app.policy();
    let verdicts = || events.iter().filter_map(|(_, event)| event.verdict.as_ref());
    let ids: BTreeSet<&str> = verdicts().flat_map(|verdict| &verdict.rules).map(String::as_str).collect();
    reply::json(&Why {
        rules: ids.into_iter().filter_map(|id| engine.rule(id)).map(policies::rule).collect(),
        same_policies: verdicts().all(|verdict| verdict.policy_version == engine.version()),
        events: events.iter().map(audit::indexed).collect::<Result<_, _>>()?,
    })
}

/// Whether somebody may do something, as things are now. About oneself without more; about others for
/// whoever policy lets.
#[utoipa::path(post, path = "/api/v1/policy/can", tag = "policy", request_body = CanQuestion,
    responses((status = 200, body = CanAnswer)))]
pub(crate) async fn can(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: CanQuestion = input::json(request)?;
    let resource = explain::resource(&asked.action, asked.app.as_deref());
    let facts = Facts { own_object: asked.own, ..explain::facts(app, &resource) };
    let engine = app.policy();
    let Some(subject) = asked.subject else {
        // From where others would ask is not known; oneself asks from here.
        let facts = Facts { networks: app.networks.of(request.caller.source_ip), ..facts };
        let (name, verdict) =
            explain::can_i(&engine, app.circumstances(), &request.caller, &asked.action, &resource, &facts)?;
        return reply::json(&answer(name, &asked.action, &resource, &verdict));
    };
    // Policy was told whether this is about the caller; what it allowed for oneself is not for others.
    if request.facts.own_object {
        return Err(input::bad("leave `subject` out to ask about yourself"));
    }
    let (name, subject) = named(subject)?;
    let verdict =
        explain::can(&app.store, &engine, app.circumstances(), &subject, &asked.action, &resource, &facts)
            .await?;
    reply::json(&answer(name, &asked.action, &resource, &verdict))
}

/// Everybody who may do something, now or after a second factor.
#[utoipa::path(post, path = "/api/v1/policy/who-can", tag = "policy", request_body = WhoCanQuestion,
    responses((status = 200, body = WhoCanAnswer)))]
pub(crate) async fn who_can(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let asked: WhoCanQuestion = input::json(request)?;
    let resource = explain::resource(&asked.action, asked.app.as_deref());
    let engine = app.policy();
    let facts = explain::facts(app, &resource);
    let found =
        explain::who_can(&app.store, &engine, app.circumstances(), &asked.action, &resource, &facts).await?;
    let items = found
        .iter()
        .map(|(caller, verdict)| answer(caller.principal.display_name(), &asked.action, &resource, verdict))
        .collect();
    reply::json(&WhoCanAnswer { items })
}

fn named(subject: PolicySubject) -> Result<(String, Subject), Problem> {
    match (subject.person, subject.token, subject.workload) {
        (Some(person), None, None) => Ok((person.clone(), Subject::Person(person))),
        (None, Some(token), None) => Ok((format!("token:{token}"), Subject::Token(token))),
        (None, None, Some(rule)) => Ok((format!("workload:{rule}"), Subject::Workload(rule))),
        _none_or_several => Err(input::bad("`subject` names one of a `person`, a `token` and a `workload`")),
    }
}

fn answer(subject: String, action: &str, resource: &Resource, verdict: &Verdict) -> CanAnswer {
    CanAnswer {
        subject,
        action: action.to_owned(),
        resource: resource.to_string(),
        allowed: verdict.is_allowed(),
        layer: verdict.layer.name().to_owned(),
        rules: verdict.rules.clone(),
        observed: verdict.observed.clone(),
        remedies: verdict.remedies.iter().map(|remedy| remedy.kind.name().to_owned()).collect(),
        reason: verdict.reason.clone(),
        policy_version: verdict.policy_version.clone(),
    }
}
