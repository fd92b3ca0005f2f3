//! One's own second factors: `/me/factors`, `/me/backup-codes`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::factors::FactorError;
use gateway_app::factors::account;
use gateway_types::wire::factors::{
    BackupCodes, EnrolTotp, Factor, Factors, RenameFactor, TotpBegun, TotpConfirmed,
};
use gateway_types::{FactorId, Layer, Principal, Problem, ProblemKind, Secret, UserId};

use crate::input::{self, bad};
use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

fn shown(factor: gateway_store::Factor) -> Factor {
    Factor {
        id: factor.id.to_string(),
        kind: "totp".to_owned(),
        name: factor.name,
        created: factor.created.to_rfc3339(),
        confirmed: factor.confirmed.map(|moment| moment.to_rfc3339()),
        last_used: factor.last_used.map(|moment| moment.to_rfc3339()),
    }
}

/// Codes as the one reply that shows them.
fn plain(codes: Vec<Secret<String>>) -> Vec<String> {
    codes.iter().map(|code| code.expose().clone()).collect()
}

fn oneself(request: &OwnRequest) -> Result<UserId, Problem> {
    match &request.caller.principal {
        Principal::User { id, .. } => Ok(*id),
        Principal::Anonymous
        | Principal::ApiToken { .. }
        | Principal::AccessToken { .. }
        | Principal::Workload { .. } => Err(FactorError::NotAPerson.into()),
    }
}

/// One's own second factors.
#[utoipa::path(get, path = "/api/v1/me/factors", tag = "me", responses((status = 200, body = Factors)))]
pub(crate) async fn list(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let standing = account::standing(app, oneself(request)?).await?;
    reply::json(&Factors {
        items: standing.factors.into_iter().map(shown).collect(),
        backup_codes_left: standing.backup_codes_left,
    })
}

/// Begins to enrol a factor with `name`, ends it with `id` and `code`. The only kind is `totp`.
#[utoipa::path(post, path = "/api/v1/me/factors/{kind}", tag = "me", params(("kind" = String, Path)),
    request_body = EnrolTotp,
    responses((status = 201, body = TotpBegun), (status = 200, body = TotpConfirmed)))]
pub(crate) async fn enrol(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    if request.parameter("kind") != Some("totp") {
        return Err(Problem::new(
            ProblemKind::NotFound,
            Layer::Authorization,
            "there is no such kind of second factor; the one that can be enrolled is totp",
        ));
    }
    let asked: EnrolTotp = input::json(request)?;
    match asked {
        EnrolTotp { name: Some(name), id: None, code: None } => begin(app, request, &name).await,
        EnrolTotp { name: None, id: Some(id), code: Some(code) } => finish(app, request, &id, &code).await,
        _ => Err(bad("give `name` to begin an enrolment, or `id` and `code` to end one")),
    }
}

async fn begin(app: &App, request: &OwnRequest, name: &str) -> Answer {
    let operator = app.operator(&request.caller, request.request_id);
    let begun = account::begin(app, &operator, &request.caller, name).await?;
    let told = TotpBegun {
        id: begun.factor.id.to_string(),
        secret: begun.secret.expose().clone(),
        url: begun.url.expose().clone(),
        expires: account::ends(&begun.factor).to_rfc3339(),
    };
    reply::created("/api/v1/me/factors", &told)
}

async fn finish(app: &App, request: &OwnRequest, id: &str, code: &str) -> Answer {
    let id: FactorId = id.parse().map_err(|_none| bad("`id` is the one that beginning answered with"))?;
    let operator = app.operator(&request.caller, request.request_id);
    let enrolled = account::finish(app, &operator, &request.caller, id, code).await?;
    let backup_codes = enrolled.backup_codes.map(plain);
    reply::json(&TotpConfirmed { factor: shown(enrolled.factor), backup_codes })
}

/// Renames a factor.
#[utoipa::path(put, path = "/api/v1/me/factors/{id}", tag = "me", params(("id" = String, Path)),
    request_body = RenameFactor, responses((status = 200, body = Factor)))]
pub(crate) async fn rename(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    let id: FactorId = input::path(request, "id")?;
    let RenameFactor { name } = input::json(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    reply::json(&shown(account::rename(app, &operator, &request.caller, id, &name).await?))
}

/// Removes a factor. With the last one that counts go the backup codes, and one's other sessions end.
#[utoipa::path(delete, path = "/api/v1/me/factors/{id}", tag = "me", params(("id" = String, Path)),
    responses((status = 204)))]
pub(crate) async fn remove(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let id: FactorId = input::path(request, "id")?;
    let operator = app.operator(&request.caller, request.request_id);
    account::remove_own(app, &operator, &request.caller, id).await?;
    Ok(reply::no_content())
}

/// Ten new backup codes in place of all one had.
#[utoipa::path(post, path = "/api/v1/me/backup-codes", tag = "me",
    responses((status = 200, body = BackupCodes)))]
pub(crate) async fn backup_codes(app: &App, request: &OwnRequest) -> Answer {
    bare(request)?;
    let operator = app.operator(&request.caller, request.request_id);
    let codes = account::own_backup_codes(app, &operator, &request.caller).await?;
    reply::json(&BackupCodes { codes: plain(codes) })
}
