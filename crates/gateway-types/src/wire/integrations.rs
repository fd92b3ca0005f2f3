//! Who else is asked about deploys and told of them: `/integrations`.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An integration. No credential is ever shown. The `ETag` of a reply with one is the version in quotes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Integration {
    /// `github`, `circleci` or `slack`.
    pub kind: String,
    /// Where the credentials come from: `configuration`, which counts before the `database`; or `none`.
    pub source: String,
    /// `ready`: there are credentials; `off`: there are none; `faulty`: there are some that cannot be used.
    pub state: String,
    /// Why they cannot be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fault: Option<String>,
    /// Who gave those of the database.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated_by: Option<String>,
    /// When.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub updated: Option<String>,
    /// How the last test ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_test: Option<IntegrationTest>,
    /// What `If-Match` is compared against; 0 while the database has no credentials.
    pub version: i64,
}

/// How a test of an integration ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct IntegrationTest {
    /// Whether the service let the gateway in.
    pub good: bool,
    /// As whom, or why not.
    pub said: String,
    /// Who tested it.
    pub tested_by: String,
    /// When.
    pub tested: String,
}

/// `GET /integrations`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Integrations {
    /// One for each service.
    pub items: Vec<Integration>,
}

/// `PUT /integrations/{kind}`: all credentials for a service. GitHub: `token`, or `app_id`, `app_installation` and
/// `app_private_key`. CircleCI: `token`. Slack: `bot_token` and `signing_secret`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteIntegration {
    /// A token of GitHub or CircleCI.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The number of a GitHub App.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_id: Option<String>,
    /// The number of its installation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_installation: Option<String>,
    /// Its private key, in PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_private_key: Option<String>,
    /// The bot token of a Slack app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bot_token: Option<String>,
    /// Its signing secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<String>,
}

impl fmt::Debug for WriteIntegration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WriteIntegration(…)")
    }
}
