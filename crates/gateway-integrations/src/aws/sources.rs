//! The places where credentials are, each asked as its documentation says. What is configured and fails is a fault: no
//! other place is asked instead, so that a gateway never becomes somebody else by an outage.

use std::path::Path;

use ::http::{Request, Response};
use gateway_types::{Secret, Timestamp};
use serde::Deserialize;
use url::Url;

use super::places::{self, ECS_AGENT, INSTANCE_METADATA};
use super::settings::AwsSettings;
use super::{AwsCredentials, AwsFault, CredentialSource, Ways};
use crate::http::Http;

/// For how long the metadata service's own token is asked for, in seconds. It is used for one look.
const METADATA_TOKEN_SECONDS: &str = "60";

/// The largest file of a token, in bytes.
const TOKEN_LIMIT_BYTES: u64 = 64 * 1024;

const AGENT: &str = "the container credentials' endpoint";
const METADATA: &str = "the instance's metadata service";

/// Keys in the environment, when there are any.
pub(super) fn of_environment(settings: &AwsSettings) -> Result<Option<AwsCredentials>, AwsFault> {
    let (id, key) = (settings.variable("AWS_ACCESS_KEY_ID"), settings.variable("AWS_SECRET_ACCESS_KEY"));
    match (id, key) {
        (None, None) => Ok(None),
        (Some(_), None) => {
            Err(AwsFault::Incomplete { given: "AWS_ACCESS_KEY_ID", missing: "AWS_SECRET_ACCESS_KEY" })
        }
        (None, Some(_)) => {
            Err(AwsFault::Incomplete { given: "AWS_SECRET_ACCESS_KEY", missing: "AWS_ACCESS_KEY_ID" })
        }
        (Some(id), Some(key)) => Ok(Some(AwsCredentials {
            access_key_id: id.to_owned(),
            secret_access_key: Secret::new(key.to_owned()),
            session_token: settings.variable("AWS_SESSION_TOKEN").map(|token| Secret::new(token.to_owned())),
            expires: None,
            source: CredentialSource::Environment,
        })),
    }
}

/// The address at which container credentials are, when the environment names one.
fn container_address(settings: &AwsSettings) -> Result<Option<Url>, AwsFault> {
    const RELATIVE: &str = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI";
    const FULL: &str = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    let (variable, text) = match (settings.variable(RELATIVE), settings.variable(FULL)) {
        (Some(path), _) if path.starts_with('/') => (RELATIVE, format!("{ECS_AGENT}{path}")),
        (Some(_), _) => {
            return Err(AwsFault::Variable { variable: RELATIVE, expected: "a path that begins with /" });
        }
        (None, Some(address)) => (FULL, address.to_owned()),
        (None, None) => return Ok(None),
    };
    let expected = "an https:// address, or an http:// one of this machine, ECS or EKS Pod Identity";
    let url = Url::parse(&text).ok().filter(places::may_give_credentials);
    url.map(Some).ok_or(AwsFault::Variable { variable, expected })
}

/// Credentials of an ECS task or of a pod, when the environment says where they are.
///
/// Source: AWS SDKs and Tools Reference Guide, "Container credential provider".
pub(super) async fn of_container(
    settings: &AwsSettings,
    ways: &Ways,
) -> Result<Option<AwsCredentials>, AwsFault> {
    const TOKEN: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN";
    const TOKEN_FILE: &str = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE";
    let Some(url) = container_address(settings)? else { return Ok(None) };
    let token = match (settings.variable(TOKEN_FILE), settings.variable(TOKEN)) {
        (Some(path), _) => Some(token_of_file(TOKEN_FILE, Path::new(path)).await?),
        (None, Some(token)) => Some(Secret::new(token.to_owned())),
        (None, None) => None,
    };
    let mut request = Request::get(url.as_str()).header("accept", "application/json");
    if let Some(token) = &token {
        request = request.header("authorization", token.expose());
    }
    let request = request.body(Vec::new()).map_err(|_| AwsFault::Unwritable { whom: AGENT })?;
    let way = if url.scheme() == "https" { &ways.beyond } else { &ways.machine };
    let answer = ask(&**way, request, AGENT, "").await?;
    let advice = "look at the role of the task or of the pod's service account, and at the token's file";
    let found = document(&good(answer, AGENT, advice)?, AGENT)?;
    found.credentials(CredentialSource::Container, AGENT).map(Some)
}

/// Credentials of the instance's role. Version 2 of the service only: version 1 gives them to whoever can make this
/// machine send a GET.
///
/// Source: Amazon EC2 User Guide, "Use the Instance Metadata Service to access instance metadata" and "Retrieve security
/// credentials from instance metadata".
pub(super) async fn of_instance(settings: &AwsSettings, ways: &Ways) -> Result<AwsCredentials, AwsFault> {
    const ENDPOINT: &str = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
    let disabled = settings.variable("AWS_EC2_METADATA_DISABLED");
    if disabled.is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return Err(AwsFault::NoCredentials);
    }
    let base = settings.variable(ENDPOINT).unwrap_or(INSTANCE_METADATA).trim_end_matches('/');
    let unwritable = |_| AwsFault::Variable { variable: ENDPOINT, expected: "an address" };
    let hint = "; if this is no instance of EC2, no AWS credentials were found at all; in a container on one, the metadata service needs a response hop limit of 2";
    let request = Request::put(format!("{base}/latest/api/token"))
        .header("x-aws-ec2-metadata-token-ttl-seconds", METADATA_TOKEN_SECONDS)
        .body(Vec::new())
        .map_err(unwritable)?;
    let answer = ask(&*ways.machine, request, METADATA, hint).await?;
    let advice = "the metadata service must be on, with version 2";
    let token = text(good(answer, METADATA, advice)?, METADATA)?;
    let look = async |path: &str| {
        let request = Request::get(format!("{base}/latest/meta-data/iam/security-credentials/{path}"))
            .header("x-aws-ec2-metadata-token", token.expose())
            .body(Vec::new())
            .map_err(unwritable)?;
        let answer = ask(&*ways.machine, request, METADATA, "").await?;
        good(answer, METADATA, "attach an instance profile with a role to the instance")
    };
    let role = text(look("").await?, METADATA)?;
    // Further lines would be further roles; an instance has one.
    let role = role.expose().lines().next().unwrap_or_default();
    let is_name = !role.is_empty()
        && role.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+=,.@_-".contains(&byte));
    if !is_name {
        return Err(AwsFault::Form { whom: METADATA, what: "the role's name" });
    }
    let found = document(&look(role).await?, METADATA)?;
    if found.code.as_deref().is_some_and(|code| code != "Success") {
        return Err(AwsFault::Form { whom: METADATA, what: "its code is not Success" });
    }
    found.credentials(CredentialSource::Instance, METADATA)
}

/// What agents and the metadata service answer with.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Found {
    code: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    token: Option<String>,
    expiration: Option<String>,
}

impl Found {
    fn credentials(self, source: CredentialSource, whom: &'static str) -> Result<AwsCredentials, AwsFault> {
        let missing = |what| move || AwsFault::Form { whom, what };
        let expires = self.expiration.as_deref().and_then(Timestamp::parse_rfc3339);
        Ok(AwsCredentials {
            access_key_id: self.access_key_id.ok_or_else(missing("AccessKeyId"))?,
            secret_access_key: self
                .secret_access_key
                .map(Secret::new)
                .ok_or_else(missing("SecretAccessKey"))?,
            session_token: Some(self.token.map(Secret::new).ok_or_else(missing("Token"))?),
            expires: Some(expires.ok_or_else(missing("Expiration"))?),
            source,
        })
    }
}

fn document(answer: &Response<Vec<u8>>, whom: &'static str) -> Result<Found, AwsFault> {
    serde_json::from_slice(answer.body()).map_err(|_| AwsFault::Form { whom, what: "no JSON object" })
}

fn text(answer: Response<Vec<u8>>, whom: &'static str) -> Result<Secret<String>, AwsFault> {
    let text = String::from_utf8(answer.into_body()).map(|text| text.trim().to_owned());
    text.map(Secret::new).map_err(|_| AwsFault::Form { whom, what: "no text" })
}

/// Asks, without a look at the status.
pub(super) async fn ask(
    http: &dyn Http,
    request: Request<Vec<u8>>,
    whom: &'static str,
    hint: &'static str,
) -> Result<Response<Vec<u8>>, AwsFault> {
    http.send(request).await.map_err(|source| AwsFault::Unreachable { whom, hint, source })
}

fn good(answer: Response<Vec<u8>>, whom: &'static str, advice: &str) -> Result<Response<Vec<u8>>, AwsFault> {
    match answer.status().as_u16() {
        200 => Ok(answer),
        status => Err(AwsFault::Refused { whom, status, code: String::new(), advice: advice.to_owned() }),
    }
}

/// The token in a file, which whoever gives it writes anew from time to time; read for each use.
pub(super) async fn token_of_file(variable: &'static str, path: &Path) -> Result<Secret<String>, AwsFault> {
    let unreadable = |source| AwsFault::TokenFile { variable, path: path.to_owned(), source };
    let about = tokio::fs::metadata(path).await.map_err(unreadable)?;
    let expected = "the path of a file with one token";
    if !about.is_file() || about.len() > TOKEN_LIMIT_BYTES {
        return Err(AwsFault::Variable { variable, expected });
    }
    let token = Secret::new(tokio::fs::read_to_string(path).await.map_err(unreadable)?);
    let trimmed = token.expose().trim();
    if trimmed.is_empty() || trimmed.chars().any(char::is_control) {
        return Err(AwsFault::Variable { variable, expected });
    }
    Ok(Secret::new(trimmed.to_owned()))
}
