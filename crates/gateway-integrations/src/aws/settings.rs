//! What the environment says about AWS: the variables that the SDKs of AWS read too, and no others.

use std::collections::BTreeMap;
use std::fmt;

use gateway_types::Secret;

/// Every variable that is read. Those of a gateway's own are in its configuration.
const VARIABLES: [&str; 16] = [
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_STS",
];

/// The variable that says where Secrets Manager is.
pub(super) const SECRETS_MANAGER_ENDPOINT: &str = "AWS_ENDPOINT_URL_SECRETS_MANAGER";

/// The variable that says where S3 is, or what is asked as if it were.
pub(super) const S3_ENDPOINT: &str = "AWS_ENDPOINT_URL_S3";

/// A role that is taken on with the credentials that were found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AssumedRole {
    /// Its ARN.
    pub arn: String,
    /// What its trust policy may ask for.
    pub external_id: Option<String>,
}

/// What AWS is asked with and where. Its `Debug` shows names only.
#[derive(Clone, Default)]
pub struct AwsSettings {
    variables: BTreeMap<&'static str, Secret<String>>,
    /// A role that is taken on with the credentials that were found.
    pub role: Option<AssumedRole>,
}

impl AwsSettings {
    /// As the variables say. An empty variable counts as none, as the SDKs of AWS have it.
    pub fn of_variables(
        variable: impl Fn(&str) -> Option<Secret<String>>,
        role: Option<AssumedRole>,
    ) -> Self {
        let names = VARIABLES.into_iter().chain([SECRETS_MANAGER_ENDPOINT, S3_ENDPOINT]);
        let given = names.filter_map(|name| Some((name, variable(name)?)));
        Self { variables: given.filter(|(_, value)| !value.expose().trim().is_empty()).collect(), role }
    }

    /// The region of requests that name none.
    pub fn region(&self) -> Option<&str> {
        self.variable("AWS_REGION").or_else(|| self.variable("AWS_DEFAULT_REGION"))
    }

    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(|value| value.expose().trim())
    }

    /// What the sessions of roles are called in CloudTrail.
    pub(super) fn session_name(&self) -> &str {
        self.variable("AWS_ROLE_SESSION_NAME").unwrap_or("rack-gateway")
    }
}

impl fmt::Debug for AwsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.variables.keys().collect();
        f.debug_struct("AwsSettings").field("variables", &names).field("role", &self.role).finish()
    }
}
