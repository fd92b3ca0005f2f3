//! One's own second factors: `/me/factors`, `/me/backup-codes`.

use gateway_app::App;
use gateway_app::control::OwnRequest;
use gateway_app::factors::FactorError;
use gateway_app::factors::account;
use gateway_app::factors::passkeys::{self, Asked};
use gateway_app::factors::yubico;
use gateway_store::FactorKind;
use gateway_types::wire::factors::{
    BackupCodes, EnrolPasskey, EnrolTotp, EnrolYubico, Factor, Factors, PasskeyAsked, RenameFactor,
    TotpBegun, TotpConfirmed,
};
use gateway_types::{FactorId, Layer, Principal, Problem, ProblemKind, Secret, UserId};

use crate::input::{self, bad};
use crate::paging::{bare, no_query};
use crate::reply::{self, Answer};

fn shown(factor: gateway_store::Factor) -> Factor {
    Factor {
        id: factor.id.to_string(),
        kind: factor.kind.name().to_owned(),
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

/// Begins to enrol a factor, or ends it; the body depends on the kind. `totp`: `name` begins, `id` and `code` end
/// (see `EnrolTotp`). `webauthn`: `name` begins, `name` and `credential` end (see `EnrolPasskey`). `yubico`: `name` and
/// `code` (see `EnrolYubico`).
#[utoipa::path(post, path = "/api/v1/me/factors/{kind}", tag = "me", params(("kind" = String, Path)),
    request_body(content((EnrolTotp = "application/json"), (EnrolPasskey = "application/json"), (EnrolYubico = "application/json"))),
    responses((status = 201, content((TotpBegun = "application/json"), (PasskeyAsked = "application/json"))),
        (status = 200, body = TotpConfirmed)))]
pub(crate) async fn enrol(app: &App, request: &OwnRequest) -> Answer {
    no_query(request)?;
    match request.parameter("kind").and_then(|kind| kind.parse().ok()) {
        Some(FactorKind::Totp) => match input::json(request)? {
            EnrolTotp { name: Some(name), id: None, code: None } => begin(app, request, &name).await,
            EnrolTotp { name: None, id: Some(id), code: Some(code) } => {
                finish(app, request, &id, &code).await
            }
            _ => Err(bad("give `name` to begin an enrolment, or `id` and `code` to end one")),
        },
        Some(FactorKind::Webauthn) => passkey(app, request).await,
        Some(FactorKind::Yubico) => {
            let EnrolYubico { name, code } = input::json(request)?;
            let operator = app.operator(&request.caller, request.request_id);
            let enrolled = yubico::enrol(app, &operator, &request.caller, &name, &code).await?;
            let backup_codes = enrolled.backup_codes.map(plain);
            reply::json(&TotpConfirmed { factor: shown(enrolled.factor), backup_codes })
        }
        None => Err(Problem::new(
            ProblemKind::NotFound,
            Layer::Authorization,
            "there is no such kind of second factor; those that can be enrolled are totp, webauthn and yubico",
        )),
    }
}

async fn passkey(app: &App, request: &OwnRequest) -> Answer {
    let EnrolPasskey { name, credential } = input::json(request)?;
    let Some(credential) = credential else {
        let asked = passkeys::begin_enrolment(app, &request.caller, &request.head.origin, &name).await?;
        return reply::created("/api/v1/me/factors", &asked_for(&asked)?);
    };
    let operator = app.operator(&request.caller, request.request_id);
    let answer = credential.to_string();
    let enrolled =
        passkeys::finish_enrolment(app, &operator, &request.caller, &name, answer.as_bytes()).await?;
    let backup_codes = enrolled.backup_codes.map(plain);
    reply::json(&TotpConfirmed { factor: shown(enrolled.factor), backup_codes })
}

/// A passkey that is to be made or asked, as it is told.
pub(crate) fn asked_for(asked: &Asked) -> Result<PasskeyAsked, Problem> {
    let options = serde_json::from_str(&asked.options).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a passkey's options are no JSON");
        Problem::new(ProblemKind::Internal, Layer::Network, "the passkey cannot be asked")
    })?;
    Ok(PasskeyAsked { options, expires: asked.expires.to_rfc3339() })
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
