//! Secrets Manager: one secret, or one text of a secret that is a JSON object.
//!
//! Source: AWS Secrets Manager API Reference, `GetSecretValue` (JSON 1.1, version 2017-10-17).

use std::fmt;
use std::sync::Arc;

use ::http::Request;
use gateway_types::Secret;
use serde::{Deserialize, Serialize};

use super::settings::SECRETS_MANAGER_ENDPOINT;
use super::signing::{Payload, sign};
use super::sources::ask;
use super::{AwsCredentials, AwsFault, CredentialChain, Renewal, fault, places};

const WHOM: &str = "AWS Secrets Manager";

/// Which secret, in which version, and which text of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SecretId {
    /// Its name, or its ARN.
    pub name: String,
    /// The stage of its version, such as `AWSPENDING`; `None` = `AWSCURRENT`.
    pub stage: Option<String>,
    /// The key in it when it is a JSON object; `None` = the whole text.
    pub key: Option<String>,
}

/// Reads secrets.
#[derive(Debug)]
pub struct SecretsManager {
    chain: Arc<CredentialChain>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Asked<'a> {
    secret_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    version_stage: Option<&'a str>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    secret_string: Option<Secrecy>,
}

/// A text that is wiped.
#[derive(Deserialize)]
#[serde(from = "String")]
struct Secrecy(Secret<String>);

impl From<String> for Secrecy {
    fn from(text: String) -> Self {
        Self(Secret::new(text))
    }
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(rename = "__type", default)]
    kind: String,
}

impl SecretsManager {
    /// Asks with the credentials of this chain.
    pub fn new(chain: Arc<CredentialChain>) -> Self {
        Self { chain }
    }

    /// What may be told of the credentials it asks with; `None` before the first use.
    pub fn renewal(&self) -> Option<Renewal> {
        self.chain.renewal()
    }

    /// Whether it asks with keys of the environment, which never end by themselves.
    pub fn has_static_keys(&self) -> bool {
        self.chain.settings().variable("AWS_ACCESS_KEY_ID").is_some()
    }

    /// The secret's text as it is now.
    ///
    /// # Errors
    /// [`AwsFault`]: no credentials, no answer, a refusal with what to do about it, or no such text in the secret.
    pub async fn read(&self, secret: &SecretId) -> Result<Secret<String>, AwsFault> {
        let credentials = self.chain.credentials().await?;
        let whole = match self.ask(secret, &credentials).await {
            Err(fault) if fault.is_expired() => {
                let others = self.chain.others_than(&credentials).await?;
                self.ask(secret, &others).await?
            }
            answer => answer?,
        };
        match &secret.key {
            None => Ok(whole),
            Some(key) => {
                let missing = || AwsFault::NoKey { key: key.clone() };
                let object: serde_json::Map<String, serde_json::Value> =
                    serde_json::from_str(whole.expose()).map_err(|_| missing())?;
                let text = object.get(key).and_then(serde_json::Value::as_str).ok_or_else(missing)?;
                Ok(Secret::new(text.to_owned()))
            }
        }
    }

    async fn ask(&self, secret: &SecretId, credentials: &AwsCredentials) -> Result<Secret<String>, AwsFault> {
        let settings = self.chain.settings();
        let region = region_of_arn(&secret.name).or_else(|| settings.region()).ok_or(AwsFault::NoRegion)?;
        let url = places::endpoint(settings, "secretsmanager", SECRETS_MANAGER_ENDPOINT, region)?;
        let unwritable = || AwsFault::Unwritable { whom: WHOM };
        let asked = Asked { secret_id: &secret.name, version_stage: secret.stage.as_deref() };
        let request = Request::post(url.as_str())
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", "secretsmanager.GetSecretValue")
            .body(serde_json::to_vec(&asked).map_err(|_| unwritable())?)
            .map_err(|_| unwritable())?;
        let now = self.chain.now();
        let signed = sign(request, credentials, region, "secretsmanager", Payload::Hashed, now);
        let answer = ask(&*self.chain.ways().beyond, signed.ok_or_else(unwritable)?, WHOM, "").await?;
        let status = answer.status().as_u16();
        if status != 200 {
            let refusal = serde_json::from_slice::<Refusal>(answer.body()).ok();
            let code = fault::code(&refusal.map(|refusal| refusal.kind).unwrap_or_default());
            let advice = advice(&code, secret, region, credentials);
            return Err(AwsFault::Refused { whom: WHOM, status, code, advice });
        }
        let answer: Answer = serde_json::from_slice(answer.body())
            .map_err(|_| AwsFault::Form { whom: WHOM, what: "no JSON object" })?;
        answer.secret_string.map(|text| text.0).ok_or(AwsFault::Binary)
    }
}

/// The region in `arn:PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME`.
fn region_of_arn(name: &str) -> Option<&str> {
    name.strip_prefix("arn:")?.split(':').nth(2).filter(|region| !region.is_empty())
}

/// What to do about an error of the API.
fn advice(code: &str, secret: &SecretId, region: &str, credentials: &AwsCredentials) -> String {
    let who = credentials.source.name();
    match code {
        "AccessDeniedException" => format!(
            "allow secretsmanager:GetSecretValue on {secret}, and kms:Decrypt on its key if that is your own, to the gateway's role ({who})"
        ),
        "ResourceNotFoundException" => format!(
            "there is no {secret} in {region}; look at the name and the stage, set AWS_REGION, or write the secret's whole ARN"
        ),
        "DecryptionFailure" => {
            format!("allow kms:Decrypt on the key of {secret} to the gateway's role ({who})")
        }
        "ExpiredTokenException" => format!("the gateway's credentials ({who}) are over and no new ones came"),
        "UnrecognizedClientException" | "InvalidClientTokenId" | "IncompleteSignature" => {
            format!(
                "AWS does not know the gateway's credentials ({who}); look at them, and at the partition of {region}"
            )
        }
        "InvalidSignatureException" | "SignatureDoesNotMatch" | "RequestExpired" => {
            "look at the clock of this machine, and at the secret access key".to_owned()
        }
        "ThrottlingException" => "too many ask at once; it is asked again".to_owned(),
        _ => format!("look at {secret} in {region}; it is asked again"),
    }
}

impl fmt::Display for SecretId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}
