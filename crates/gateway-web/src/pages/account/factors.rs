//! One's own second factors: enrol, confirm, rename, remove; backup codes.
//!
//! # Security
//! Secrets and backup codes stand on the page that answers the POST that made them, and nowhere else: no
//! address shows them again. Pages are sent with `no-store` by the data plane.

use std::time::Duration;

use askama::Template;
use data_encoding::BASE64;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_app::factors::{ENROL_WITHIN, FactorError, account, passkeys, yubico};
use gateway_store::FactorKind;
use gateway_types::{FactorId, Layer, Problem, ProblemKind, Secret, Timestamp};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};

use super::person;
use super::standing::{self, Standing};
use crate::page::Frame;
use crate::{Web, confirm, filters, pages, reply};

const HERE: &str = "/app/account/factors";

/// What is typed to confirm that an authenticator is removed. Not its name, which may hold anything.
const REMOVE: &str = "remove";

#[derive(Template)]
#[template(path = "factors.html")]
struct FactorsPage {
    frame: Frame,
    standing: Option<Standing>,
    factors: Vec<Row>,
    /// An enrolment that was begun and not ended.
    waiting: Option<Row>,
    /// At least one counts.
    enrolled: bool,
    remove_word: &'static str,
    /// What YubiKeys type can be checked.
    yubico: bool,
    /// The name that was given for another one.
    entered: String,
    fault: String,
}

struct Row {
    id: String,
    kind: &'static str,
    name: String,
    confirmed: Option<Timestamp>,
    last_used: Option<Timestamp>,
    ends: Timestamp,
}

/// `GET /app/account/factors`.
pub(crate) async fn list(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    list_with(web, request, 200, String::new(), String::new()).await
}

async fn list_with(
    web: &Web,
    request: &OwnRequest,
    status: u16,
    entered: String,
    fault: String,
) -> Result<OwnReply, Problem> {
    let user = person(&request.caller)?;
    let found = account::standing(web.app(), user).await?;
    let rows = found.factors.into_iter().map(|factor| Row {
        id: factor.id.to_string(),
        kind: in_words(factor.kind),
        ends: account::ends(&factor),
        name: factor.name,
        confirmed: factor.confirmed,
        last_used: factor.last_used,
    });
    let (factors, mut waiting): (Vec<Row>, Vec<Row>) = rows.partition(|row| row.confirmed.is_some());
    let page = FactorsPage {
        frame: Frame::of(web, request, "Second factors"),
        standing: standing::of(web, &request.caller).await?,
        enrolled: !factors.is_empty(),
        factors,
        waiting: waiting.pop(),
        remove_word: REMOVE,
        yubico: web.app().yubico.is_some(),
        entered,
        fault,
    };
    reply::html_with_status(status, &page)
}

#[derive(Template)]
#[template(path = "factor_enrol.html")]
struct EnrolPage {
    frame: Frame,
    id: String,
    /// What the authenticator takes over: on the first showing only.
    secret: Option<ShownSecret>,
    /// How long it waits for the first code.
    within: Duration,
    fault: String,
}

struct ShownSecret {
    /// The QR code as a `data:` address.
    image: String,
    /// The secret in base32, in groups of four.
    text: String,
    url: String,
}

/// What people call a kind of factor.
const fn in_words(kind: FactorKind) -> &'static str {
    match kind {
        FactorKind::Totp => "Authenticator",
        FactorKind::Webauthn => "Passkey",
        FactorKind::Yubico => "YubiKey OTP",
    }
}

/// `POST /app/account/factors/enrol/{kind}`. An authenticator: with `name` it begins, with `id` and `code` it
/// ends. A passkey: with `name` it begins, with `name` and `credential` it ends.
pub(crate) async fn enrol(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    match request.parameter("kind").and_then(|kind| kind.parse().ok()) {
        Some(FactorKind::Totp) => {}
        Some(FactorKind::Webauthn) => return passkey(web, request).await,
        Some(FactorKind::Yubico) => return yubikey(web, request).await,
        None => {
            let detail = "There is no such kind of second factor; there are authenticators (totp), passkeys (webauthn) and YubiKeys (yubico).";
            return Err(Problem::new(ProblemKind::NotFound, Layer::Network, detail));
        }
    }
    match (request.field("id"), request.field("code")) {
        (Some(id), Some(code)) => finish(web, request, id, code).await,
        _ => begin(web, request, request.field("name").unwrap_or_default().trim()).await,
    }
}

#[derive(Template)]
#[template(path = "passkey_enrol.html")]
struct PasskeyPage {
    frame: Frame,
    name: String,
    /// What the script gives to the browser.
    options: String,
}

async fn passkey(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let name = request.field("name").unwrap_or_default().trim();
    let done = match request.field("credential") {
        Some(credential) => end_passkey(web, request, name, credential).await,
        None => begin_passkey(web, request, name).await,
    };
    match done {
        Err(
            error @ (FactorError::BadName
            | FactorError::TooMany
            | FactorError::KnownKey
            | FactorError::NoCeremony
            | FactorError::Passkey(_)),
        ) => list_with(web, request, 400, String::new(), error.to_string()).await,
        Err(error) => Err(error.into()),
        Ok(reply) => reply,
    }
}

async fn begin_passkey(
    web: &Web,
    request: &OwnRequest,
    name: &str,
) -> Result<Result<OwnReply, Problem>, FactorError> {
    let origin = &request.head.origin;
    let asked = passkeys::begin_enrolment(web.app(), &request.caller, origin, name).await?;
    Ok(reply::html(&PasskeyPage {
        frame: Frame::of(web, request, "Set up a passkey").narrow(),
        name: name.to_owned(),
        options: asked.options,
    }))
}

async fn end_passkey(
    web: &Web,
    request: &OwnRequest,
    name: &str,
    credential: &str,
) -> Result<Result<OwnReply, Problem>, FactorError> {
    let operator = web.app().operator(&request.caller, request.request_id);
    let caller = &request.caller;
    let enrolled =
        passkeys::finish_enrolment(web.app(), &operator, caller, name, credential.as_bytes()).await?;
    Ok(match enrolled.backup_codes {
        Some(codes) => show_codes(web, request, Occasion::FirstFactor, &codes),
        None => Ok(reply::done(HERE, "factor-confirmed")),
    })
}

async fn yubikey(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    let field = |name| request.field(name).unwrap_or_default().trim();
    match yubico::enrol(web.app(), &operator, &request.caller, field("name"), field("otp")).await {
        Ok(enrolled) => match enrolled.backup_codes {
            Some(codes) => show_codes(web, request, Occasion::FirstFactor, &codes),
            None => Ok(reply::done(HERE, "factor-confirmed")),
        },
        Err(
            error @ (FactorError::BadName
            | FactorError::TooMany
            | FactorError::KnownKey
            | FactorError::NotAnOtp
            | FactorError::WrongOtp),
        ) => list_with(web, request, 400, String::new(), error.to_string()).await,
        Err(error) => Err(error.into()),
    }
}

async fn begin(web: &Web, request: &OwnRequest, name: &str) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    let begun = match account::begin(web.app(), &operator, &request.caller, name).await {
        Ok(begun) => begun,
        Err(error @ (FactorError::BadName | FactorError::TooMany)) => {
            return list_with(web, request, 400, name.to_owned(), error.to_string()).await;
        }
        Err(error) => return Err(error.into()),
    };
    reply::html(&EnrolPage {
        frame: Frame::of(web, request, "Set up an authenticator").narrow(),
        id: begun.factor.id.to_string(),
        within: ENROL_WITHIN,
        secret: Some(ShownSecret {
            image: qr_code(begun.url.expose())?,
            text: in_groups(begun.secret.expose()),
            url: begun.url.expose().clone(),
        }),
        fault: String::new(),
    })
}

async fn finish(web: &Web, request: &OwnRequest, id: &str, code: &str) -> Result<OwnReply, Problem> {
    let factor: FactorId = id.parse().map_err(|_none| pages::no_such_page())?;
    let digits: String = code.chars().filter(|c| *c != ' ').collect();
    let operator = web.app().operator(&request.caller, request.request_id);
    match account::finish(web.app(), &operator, &request.caller, factor, &digits).await {
        Ok(enrolled) => match enrolled.backup_codes {
            Some(codes) => show_codes(web, request, Occasion::FirstFactor, &codes),
            None => Ok(reply::done(HERE, "factor-confirmed")),
        },
        // The authenticator has the secret by now: only the code is asked for again.
        Err(error @ (FactorError::WrongCode | FactorError::NotACode)) => {
            let page = EnrolPage {
                frame: Frame::of(web, request, "Set up an authenticator").narrow(),
                id: id.to_owned(),
                secret: None,
                within: ENROL_WITHIN,
                fault: error.to_string(),
            };
            reply::html_with_status(400, &page)
        }
        Err(error) => Err(error.into()),
    }
}

/// `POST /app/account/factors/{id}/rename`.
pub(crate) async fn rename(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    let name = request.field("name").unwrap_or_default().trim();
    account::rename(web.app(), &operator, &request.caller, id(request)?, name).await?;
    Ok(reply::done(HERE, "renamed"))
}

/// `POST /app/account/factors/{id}/remove`.
pub(crate) async fn remove(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    confirm::typed(request, REMOVE)?;
    let operator = web.app().operator(&request.caller, request.request_id);
    account::remove_own(web.app(), &operator, &request.caller, id(request)?).await?;
    Ok(reply::done(HERE, "factor-removed"))
}

fn id(request: &OwnRequest) -> Result<FactorId, Problem> {
    request.parameter("id").and_then(|id| id.parse().ok()).ok_or_else(pages::no_such_page)
}

#[derive(Template)]
#[template(path = "backup_codes.html")]
struct CodesPage {
    frame: Frame,
    first: bool,
    codes: Vec<String>,
}

/// Why backup codes are shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Occasion {
    FirstFactor,
    Renewed,
}

/// `POST /app/account/backup-codes`.
pub(crate) async fn new_codes(web: &Web, request: &OwnRequest) -> Result<OwnReply, Problem> {
    let operator = web.app().operator(&request.caller, request.request_id);
    let codes = account::own_backup_codes(web.app(), &operator, &request.caller).await?;
    show_codes(web, request, Occasion::Renewed, &codes)
}

fn show_codes(
    web: &Web,
    request: &OwnRequest,
    occasion: Occasion,
    codes: &[Secret<String>],
) -> Result<OwnReply, Problem> {
    reply::html(&CodesPage {
        frame: Frame::of(web, request, "Backup codes").narrow(),
        first: occasion == Occasion::FirstFactor,
        codes: codes.iter().map(|code| code.expose().clone()).collect(),
    })
}

/// The QR code of an address, as a `data:` address that `img-src data:` lets through.
fn qr_code(url: &str) -> Result<String, Problem> {
    let code = QrCode::with_error_correction_level(url, EcLevel::M).map_err(|error| {
        tracing::error!(error = &error as &dyn std::error::Error, "a QR code was not made");
        Problem::new(ProblemKind::Internal, Layer::Network, "The QR code could not be made.")
    })?;
    let image = code.render::<svg::Color<'_>>().min_dimensions(240, 240).quiet_zone(true).build();
    Ok(format!("data:image/svg+xml;base64,{}", BASE64.encode(image.as_bytes())))
}

/// `ABCD EFGH …`, which is how people copy it by hand.
fn in_groups(secret: &str) -> String {
    let mut grouped = String::with_capacity(secret.len() + secret.len() / 4);
    for (place, c) in secret.chars().enumerate() {
        if place > 0 && place % 4 == 0 {
            grouped.push(' ');
        }
        grouped.push(c);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_qr_code_is_an_image_by_address() {
        let image = qr_code("otpauth://totp/Rack%20Gateway:a%40example.com?secret=AAAA").unwrap();
        let (head, data) = image.split_once(',').unwrap();
        assert_eq!(head, "data:image/svg+xml;base64");
        let svg = String::from_utf8(BASE64.decode(data.as_bytes()).unwrap()).unwrap();
        assert!(svg.contains("<svg") && svg.contains("</svg>"), "{svg}");
    }

    #[test]
    fn secrets_in_groups() {
        assert_eq!(in_groups("ABCDEFGHIJ"), "ABCD EFGH IJ");
        assert_eq!(in_groups(""), "");
    }
}
