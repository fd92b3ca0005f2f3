//! The credentials for each service: as people give them, and as the store keeps them, sealed.

use std::fmt;

use gateway_config::{GitHubAccess, SlackAccess};
use gateway_types::Secret;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Kind;

/// The longest credential, in bytes: a private key of 4096 bits in PEM has some three thousand.
const LONGEST: usize = 16 * 1024;

/// The credentials for one service.
#[derive(Clone, Debug)]
pub enum Credentials {
    /// GitHub's.
    Github(GitHubAccess),
    /// CircleCI's.
    Circleci(Secret<String>),
    /// Slack's.
    Slack(SlackAccess),
}

/// What somebody gave. What is not given is empty.
#[derive(Clone, Default)]
pub struct Given {
    /// `token`, of GitHub or CircleCI.
    pub token: Option<Secret<String>>,
    /// `app_id` of a GitHub App.
    pub app_id: Option<String>,
    /// `app_installation` of a GitHub App.
    pub app_installation: Option<String>,
    /// `app_private_key` of a GitHub App, in PEM.
    pub app_private_key: Option<Secret<String>>,
    /// `bot_token` of a Slack app.
    pub bot_token: Option<Secret<String>>,
    /// `signing_secret` of a Slack app.
    pub signing_secret: Option<Secret<String>>,
}

impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Given(…)")
    }
}

/// What is wrong with credentials. The texts repeat nothing of them.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CredentialsFault {
    /// Not those that the service takes.
    #[error("{kind} takes {takes}")]
    Others {
        /// The service.
        kind: Kind,
        /// What it takes.
        takes: &'static str,
    },
    /// One of them is no such thing.
    #[error("`{name}` is not {expected}")]
    Malformed {
        /// Which.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// What is kept is of another form: another program wrote it.
    #[error("what is kept for {kind} is of another form")]
    Kept {
        /// The service.
        kind: Kind,
    },
}

/// As they are kept, before they are sealed.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
enum Document {
    GithubToken { token: Plain },
    GithubApp { id: u64, installation: u64, key: Plain },
    Circleci { token: Plain },
    Slack { bot_token: Plain, signing_secret: Plain },
}

/// A secret that is written out, which is for what gets sealed alone.
struct Plain(Secret<String>);

impl Serialize for Plain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|text| Self(Secret::new(text)))
    }
}

impl Credentials {
    /// Those that the configuration gives.
    pub(super) fn configured(configured: &gateway_config::Integrations, kind: Kind) -> Option<Self> {
        match kind {
            Kind::Github => configured.github.access.clone().map(Credentials::Github),
            Kind::Circleci => configured.circleci.token.clone().map(Credentials::Circleci),
            Kind::Slack => configured.slack.access.clone().map(Credentials::Slack),
        }
    }

    /// Those that somebody gave: all that the service takes, and nothing else.
    ///
    /// # Errors
    /// [`CredentialsFault::Others`], [`CredentialsFault::Malformed`].
    pub fn of(kind: Kind, given: Given) -> Result<Self, CredentialsFault> {
        let others = |takes| CredentialsFault::Others { kind, takes };
        match (kind, given) {
            (
                Kind::Github,
                Given {
                    token: Some(token),
                    app_id: None,
                    app_installation: None,
                    app_private_key: None,
                    bot_token: None,
                    signing_secret: None,
                },
            ) => Ok(Self::Github(GitHubAccess::Token(one_line("token", token)?))),
            (
                Kind::Github,
                Given {
                    token: None,
                    app_id: Some(id),
                    app_installation: Some(installation),
                    app_private_key: Some(key),
                    bot_token: None,
                    signing_secret: None,
                },
            ) => {
                let (id, installation) = (number("app_id", &id)?, number("app_installation", &installation)?);
                Ok(Self::Github(GitHubAccess::App {
                    id,
                    installation,
                    key: bounded("app_private_key", key)?,
                }))
            }
            (Kind::Github, _) => {
                Err(others("either `token`, or `app_id`, `app_installation` and `app_private_key`"))
            }
            (
                Kind::Circleci,
                Given {
                    token: Some(token),
                    app_id: None,
                    app_installation: None,
                    app_private_key: None,
                    bot_token: None,
                    signing_secret: None,
                },
            ) => Ok(Self::Circleci(one_line("token", token)?)),
            (Kind::Circleci, _) => Err(others("`token`")),
            (
                Kind::Slack,
                Given {
                    token: None,
                    app_id: None,
                    app_installation: None,
                    app_private_key: None,
                    bot_token: Some(bot_token),
                    signing_secret: Some(signing_secret),
                },
            ) => Ok(Self::Slack(SlackAccess {
                bot_token: one_line("bot_token", bot_token)?,
                signing_secret: one_line("signing_secret", signing_secret)?,
            })),
            (Kind::Slack, _) => Err(others("`bot_token` and `signing_secret`")),
        }
    }

    /// What is sealed and kept.
    pub(super) fn to_document(&self) -> Option<Secret<Vec<u8>>> {
        let document = match self {
            Credentials::Github(GitHubAccess::Token(token)) => {
                Document::GithubToken { token: Plain(token.clone()) }
            }
            Credentials::Github(GitHubAccess::App { id, installation, key }) => {
                Document::GithubApp { id: *id, installation: *installation, key: Plain(key.clone()) }
            }
            Credentials::Circleci(token) => Document::Circleci { token: Plain(token.clone()) },
            Credentials::Slack(access) => Document::Slack {
                bot_token: Plain(access.bot_token.clone()),
                signing_secret: Plain(access.signing_secret.clone()),
            },
        };
        serde_json::to_vec(&document).ok().map(Secret::new)
    }

    /// What was kept.
    ///
    /// # Errors
    /// [`CredentialsFault::Kept`].
    pub(super) fn read(kind: Kind, document: &Secret<Vec<u8>>) -> Result<Self, CredentialsFault> {
        let document: Document =
            serde_json::from_slice(document.expose()).map_err(|_bad| CredentialsFault::Kept { kind })?;
        match (kind, document) {
            (Kind::Github, Document::GithubToken { token }) => Ok(Self::Github(GitHubAccess::Token(token.0))),
            (Kind::Github, Document::GithubApp { id, installation, key }) => {
                Ok(Self::Github(GitHubAccess::App { id, installation, key: key.0 }))
            }
            (Kind::Circleci, Document::Circleci { token }) => Ok(Self::Circleci(token.0)),
            (Kind::Slack, Document::Slack { bot_token, signing_secret }) => {
                Ok(Self::Slack(SlackAccess { bot_token: bot_token.0, signing_secret: signing_secret.0 }))
            }
            (Kind::Github | Kind::Circleci | Kind::Slack, _) => Err(CredentialsFault::Kept { kind }),
        }
    }

    /// What they are, without what is secret.
    pub fn in_words(&self) -> String {
        match self {
            Credentials::Github(GitHubAccess::App { id, installation, key: _ }) => {
                format!("App {id}, installation {installation}")
            }
            Credentials::Github(GitHubAccess::Token(_)) | Credentials::Circleci(_) => "a token".to_owned(),
            Credentials::Slack(_) => "an app with its signing secret".to_owned(),
        }
    }
}

fn bounded(name: &'static str, secret: Secret<String>) -> Result<Secret<String>, CredentialsFault> {
    match (1..=LONGEST).contains(&secret.expose().len()) {
        true => Ok(secret),
        false => Err(CredentialsFault::Malformed { name, expected: "1 to 16384 bytes long" }),
    }
}

fn one_line(name: &'static str, secret: Secret<String>) -> Result<Secret<String>, CredentialsFault> {
    let secret = bounded(name, secret)?;
    match secret.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(secret),
        false => Err(CredentialsFault::Malformed { name, expected: "a token of visible characters" }),
    }
}

fn number(name: &'static str, text: &str) -> Result<u64, CredentialsFault> {
    text.parse().map_err(|_bad| CredentialsFault::Malformed {
        name,
        expected: "the number that GitHub shows for it, such as 12345",
    })
}
