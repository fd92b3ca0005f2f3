//! The Security Token Service: a role for a web identity, or for credentials that are there already.
//!
//! Source: AWS Security Token Service API Reference, `AssumeRoleWithWebIdentity` and `AssumeRole` (version 2011-06-15).

use std::path::Path;

use ::http::{Request, Response};
use gateway_types::{Secret, Timestamp};
use roxmltree::Document;

use super::settings::{AssumedRole, AwsSettings};
use super::signing::{Payload, sign};
use super::sources::{ask, token_of_file};
use super::{AwsCredentials, AwsFault, CredentialSource, Ways, fault, places};

const STS: &str = "AWS STS";
const VERSION: &str = "2011-06-15";

/// A role for the token in a file, when the environment names both.
pub(super) async fn of_web_identity(
    settings: &AwsSettings,
    ways: &Ways,
) -> Result<Option<AwsCredentials>, AwsFault> {
    const FILE: &str = "AWS_WEB_IDENTITY_TOKEN_FILE";
    const ROLE: &str = "AWS_ROLE_ARN";
    let Some(file) = settings.variable(FILE) else { return Ok(None) };
    let role = settings.variable(ROLE).ok_or(AwsFault::Incomplete { given: FILE, missing: ROLE })?;
    let token = token_of_file(FILE, Path::new(file)).await?;
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("Action", "AssumeRoleWithWebIdentity")
        .append_pair("Version", VERSION)
        .append_pair("RoleArn", role)
        .append_pair("RoleSessionName", settings.session_name())
        .append_pair("WebIdentityToken", token.expose())
        .finish();
    let (request, _region) = request(settings, form)?;
    let answer = ask(&*ways.beyond, request, STS, "").await?;
    let advice = format!(
        "the role {role} must trust this identity provider and the service account of the token in {FILE}"
    );
    credentials(&answer, CredentialSource::WebIdentity, &advice).map(Some)
}

/// A further role, taken on with `own`.
pub(super) async fn assume(
    settings: &AwsSettings,
    ways: &Ways,
    role: &AssumedRole,
    own: &AwsCredentials,
    now: Timestamp,
) -> Result<AwsCredentials, AwsFault> {
    let (request, region) = request(settings, asking_for(role, settings.session_name()))?;
    let signed = sign(request, own, &region, "sts", Payload::Hashed, now);
    let signed = signed.ok_or(AwsFault::Unwritable { whom: STS })?;
    let answer = ask(&*ways.beyond, signed, STS, "").await?;
    let advice = format!(
        "allow sts:AssumeRole on {} to the gateway's own role ({}), and name that in the trust policy of the former",
        role.arn,
        own.source.name()
    );
    credentials(&answer, CredentialSource::AssumedRole, &advice)
}

/// The form of `AssumeRole`.
fn asking_for(role: &AssumedRole, session: &str) -> String {
    let mut form = form_urlencoded::Serializer::new(String::new());
    form.append_pair("Action", "AssumeRole")
        .append_pair("Version", VERSION)
        .append_pair("RoleArn", &role.arn)
        .append_pair("RoleSessionName", session);
    if let Some(id) = &role.external_id {
        form.append_pair("ExternalId", id);
    }
    form.finish()
}

fn request(settings: &AwsSettings, form: String) -> Result<(Request<Vec<u8>>, String), AwsFault> {
    let region = settings.region().ok_or(AwsFault::NoRegion)?;
    let url = places::endpoint(settings, "sts", "AWS_ENDPOINT_URL_STS", region)?;
    let request = Request::post(url.as_str())
        .header("content-type", "application/x-www-form-urlencoded; charset=utf-8")
        .body(form.into_bytes())
        .map_err(|_| AwsFault::Unwritable { whom: STS })?;
    Ok((request, region.to_owned()))
}

fn credentials(
    answer: &Response<Vec<u8>>,
    source: CredentialSource,
    advice: &str,
) -> Result<AwsCredentials, AwsFault> {
    let form = |what| AwsFault::Form { whom: STS, what };
    let text = std::str::from_utf8(answer.body()).map_err(|_| form("no text"));
    let status = answer.status().as_u16();
    if status != 200 {
        let code = text.ok().and_then(|text| element(&Document::parse(text).ok()?, "Code"));
        let code = fault::code(&code.unwrap_or_default());
        return Err(AwsFault::Refused { whom: STS, status, code, advice: advice.to_owned() });
    }
    // The parser knows no entities but those of XML, and no document type is read.
    let document = Document::parse(text?).map_err(|_| form("no XML"))?;
    let of = |name, what| element(&document, name).ok_or_else(|| form(what));
    let expires = Timestamp::parse_rfc3339(&of("Expiration", "Expiration")?);
    Ok(AwsCredentials {
        access_key_id: of("AccessKeyId", "AccessKeyId")?,
        secret_access_key: Secret::new(of("SecretAccessKey", "SecretAccessKey")?),
        session_token: Some(Secret::new(of("SessionToken", "SessionToken")?)),
        expires: Some(expires.ok_or_else(|| form("Expiration"))?),
        source,
    })
}

/// The text of the first element of this name.
fn element(document: &Document<'_>, name: &str) -> Option<String> {
    let found = document.descendants().find(|node| node.is_element() && node.tag_name().name() == name)?;
    found.text().map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned)
}
