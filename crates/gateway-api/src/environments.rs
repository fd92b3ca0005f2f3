//! Environments of apps, and their values: `/apps/{app}/env`, `/apps/{app}/env/reveal`, `/reveals`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::environments::{self, Against, Asked, Change};
use gateway_app::reveals::{self, Request};
use gateway_config::duration::parse_duration;
use gateway_store::Reveal;
use gateway_types::Secret;
use gateway_types::wire::Listing;
use gateway_types::wire::environments::{
    AppEnvironment, ChangeEnvironment, ChangedEnvironment, EnvironmentVariable, RevealTime, RevealValues,
    Revealed, RevealedValue,
};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::input;
use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

/// The query of an environment.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EnvironmentQuery {
    /// Of this release; the newest unless given.
    #[serde(default)]
    release: Option<String>,
    /// Compared with this release; with the one that runs unless given.
    #[serde(default)]
    since: Option<String>,
    /// Compared with the newest release of this app instead.
    #[serde(default)]
    with: Option<String>,
}

/// An app's environment, with handles for what is secret, compared with the release that runs.
#[utoipa::path(get, path = "/api/v1/apps/{app}/env", tag = "environments",
    params(("app" = String, Path), EnvironmentQuery), responses((status = 200, body = AppEnvironment)))]
pub(crate) async fn read(app: &App, request: &OwnRequest) -> Answer {
    let EnvironmentQuery { release, since, with } = input::query(request)?;
    let against = match (since, with) {
        (None, None) => Against::Active,
        (Some(release), None) => Against::Release(release),
        (None, Some(other)) => Against::App(other),
        (Some(_), Some(_)) => return Err(input::bad("compare with `since` or with `with`, not with both")),
    };
    let asked = Asked { app: name(request), release, against };
    let found = environments::read(app, &request.rack, &request.caller, &asked).await?;
    let variables = found.variables.into_iter().map(|one| EnvironmentVariable {
        name: one.name,
        value: one.value,
        hidden: one.hidden,
        protected: one.protected,
        difference: one.difference.name().to_owned(),
        same_as: one.same_as,
    });
    reply::json(&AppEnvironment {
        app: found.app,
        release: found.release,
        active: found.active,
        compared: found.compared,
        variables: variables.collect(),
        removed: found.removed,
    })
}

/// Changes an app's environment: a new release, which is not promoted.
#[utoipa::path(put, path = "/api/v1/apps/{app}/env", tag = "environments", params(("app" = String, Path)),
    request_body = ChangeEnvironment, responses((status = 200, body = ChangedEnvironment)))]
pub(crate) async fn change(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let ChangeEnvironment { set, unset, base } = input::secret_json(request)?;
    let set = set.into_iter().map(|(key, value)| (key, Secret::new(value))).collect();
    let operator = app.operator(&request.caller, request.request_id);
    let change = Change { set, unset, base };
    let made =
        environments::change(app, &operator, &request.rack, &request.caller, &name(request), change).await?;
    reply::json(&ChangedEnvironment { release: made.release, created: made.is_new, changed: made.keys })
}

/// Values in plaintext, once; or, with `for`, through the rack proxy for a while.
#[utoipa::path(post, path = "/api/v1/apps/{app}/env/reveal", tag = "environments",
    params(("app" = String, Path)), request_body = RevealValues, responses((status = 200, body = Revealed)))]
pub(crate) async fn reveal(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let RevealValues { keys, release, length, reason } = input::json(request)?;
    let asked = Request { app: name(request), keys, release, reason };
    let operator = app.operator(&request.caller, request.request_id);
    if let Some(length) = length {
        let length = parse_duration(&length).ok_or_else(|| input::bad("write `for` as 5m or 30s"))?;
        let begun = reveals::begin(app, &operator, &request.caller, &asked, length).await?;
        return reply::json(&Revealed {
            release: None,
            values: Vec::new(),
            time: Some(shown(request, begun)),
        });
    }
    let found = reveals::once(app, &operator, &request.rack, &request.caller, &asked).await?;
    let plain =
        |(name, value): (String, Secret<String>)| RevealedValue { name, value: value.expose().clone() };
    reply::json(&Revealed {
        release: Some(found.release),
        values: found.values.into_iter().map(plain).collect(),
        time: None,
    })
}

/// The query of the listing.
#[derive(Deserialize, IntoParams, Default)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RevealsQuery {
    /// Also those of others.
    #[serde(default)]
    all: bool,
}

/// Times in which credentials read values, that are not over: one's own, or with `all=true` everybody's.
#[utoipa::path(get, path = "/api/v1/reveals", tag = "environments", params(RevealsQuery),
    responses((status = 200, body = Listing<RevealTime>)))]
pub(crate) async fn list_reveals(app: &App, request: &OwnRequest) -> Answer {
    let RevealsQuery { all } = input::query(request)?;
    // What policy allowed as the caller's own is never more than that, whatever the query said.
    let own = request.facts.own_object || !all;
    let live = reveals::live(app, own.then_some(&request.caller.principal)).await?;
    let items = live.into_iter().map(|one| shown(request, one)).collect();
    reply::json(&Listing { items, next: None })
}

/// Ends such a time.
#[utoipa::path(delete, path = "/api/v1/reveals/{id}", tag = "environments", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn end_reveal(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    reveals::end(app, &operator, input::path(request, "id")?).await?;
    Ok(reply::no_content())
}

fn name(request: &OwnRequest) -> String {
    request.parameter("app").unwrap_or_default().to_owned()
}

fn shown(request: &OwnRequest, one: Reveal) -> RevealTime {
    RevealTime {
        mine: request.caller.principal.credential_id().as_deref() == Some(one.credential.as_str()),
        id: one.id.to_string(),
        holder: one.holder,
        app: one.app,
        reason: one.reason,
        created: one.created.to_rfc3339(),
        expires: one.expires.to_rfc3339(),
    }
}
