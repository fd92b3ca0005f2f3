//! GitHub as this gateway asks it: with its token or as its App, never twice for the same within seconds.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_config::GitHubAccess;
use gateway_integrations::github::{
    Approver, Built, Commit, Demand, Demands, Evidence, EvidenceFault, GitHub, InstallationToken, Repository,
};
use gateway_integrations::http::{CallFault, EndpointFault, Http};
use gateway_integrations::sigstore::{Attested, Sigstore};
use gateway_types::{Secret, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use url::Url;

use super::SetupError;

/// How long all questions about one commit may take together.
const TOTAL: Duration = Duration::from_secs(25);

/// How long an answer is good for the same question: long enough for a page and the button on it, too short for a
/// branch to move unseen.
const GOOD_FOR: Duration = Duration::from_secs(5);

/// The most answers that are kept.
const MOST_KEPT: usize = 256;

/// What is left of a token's time when the next one is fetched.
const RENEWED_BEFORE: Duration = Duration::from_secs(5 * 60);

/// How long an App's assertion is good. GitHub takes ten minutes at most; clocks differ.
const ASSERTION_LIFE: Duration = Duration::from_secs(9 * 60);
const CLOCK_SKEW: Duration = Duration::from_secs(60);

/// What is asked about a commit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// The repository.
    pub repository: Repository,
    /// The commit.
    pub commit: Commit,
    /// What must be true of it: all of one of these. They differ in where the commit is.
    pub alternatives: Vec<Demands>,
    /// Whose approval is to count.
    pub approvers: Vec<Approver>,
}

/// Why GitHub does not show what is demanded.
#[derive(Debug, thiserror::Error)]
pub enum NotShown {
    /// A demand is not met.
    #[error(transparent)]
    Unmet(#[from] EvidenceFault),
    /// The commit is at none of the places where it may be.
    #[error("{first}; and {second}")]
    Nowhere {
        /// Why not at the first.
        first: Box<EvidenceFault>,
        /// Why not at the second.
        second: Box<EvidenceFault>,
    },
    /// The App is not let in.
    #[error("GitHub does not let the gateway in as its App: {0}")]
    App(#[source] CallFault),
    /// The App's assertion cannot be signed.
    #[error("the assertion of the GitHub App cannot be signed")]
    Assertion(#[source] jsonwebtoken::errors::Error),
    /// The token is not let in.
    #[error("GitHub does not let the gateway in with its token: {0}")]
    Token(#[source] CallFault),
    /// The token that GitHub gave cannot be sent.
    #[error("the token that GitHub gave cannot be used: {0}")]
    Unusable(#[source] EndpointFault),
    /// It took too long.
    #[error("GitHub did not answer within {} seconds; try again", TOTAL.as_secs())]
    Late,
    /// Nothing is demanded at all.
    #[error("nothing is demanded of the commit")]
    NothingDemanded,
}

impl NotShown {
    /// The demand that is not met; of an answer that did not come, the commit itself.
    pub fn demand(&self) -> Demand {
        match self {
            NotShown::Unmet(fault) => fault.demand(),
            NotShown::Nowhere { .. } => Demand::Branch,
            NotShown::App(_)
            | NotShown::Assertion(_)
            | NotShown::Token(_)
            | NotShown::Unusable(_)
            | NotShown::Late
            | NotShown::NothingDemanded => Demand::Commit,
        }
    }

    /// Where people see it.
    pub fn url(&self) -> Option<&str> {
        match self {
            NotShown::Unmet(fault) => Some(fault.url()),
            NotShown::Nowhere { first, second: _ } => Some(first.url()),
            NotShown::App(_)
            | NotShown::Assertion(_)
            | NotShown::Token(_)
            | NotShown::Unusable(_)
            | NotShown::Late
            | NotShown::NothingDemanded => None,
        }
    }
}

type Shown = Result<Arc<Evidence>, Arc<NotShown>>;

/// GitHub, with what this gateway asks it.
pub struct GitHubDesk {
    api: Url,
    access: Access,
    kept: Mutex<BTreeMap<String, (Timestamp, Shown)>>,
}

enum Access {
    Token(GitHub),
    App { id: u64, installation: u64, key: EncodingKey, token: tokio::sync::Mutex<Option<InstallationToken>> },
}

impl fmt::Debug for GitHubDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let access = match &self.access {
            Access::Token(_) => "a token".to_owned(),
            Access::App { id, installation, .. } => format!("App {id}, installation {installation}"),
        };
        f.debug_struct("GitHubDesk").field("api", &self.api.as_str()).field("access", &access).finish()
    }
}

/// What an App says of itself.
#[derive(Serialize)]
struct Assertion {
    iat: i64,
    exp: i64,
    iss: String,
}

impl GitHubDesk {
    pub(super) fn new(api: &Url, access: &GitHubAccess) -> Result<Self, SetupError> {
        let api = api.clone();
        let access = match access {
            GitHubAccess::Token(token) => Access::Token(GitHub::new(api.clone(), token.clone())?),
            GitHubAccess::App { id, installation, key } => Access::App {
                id: *id,
                installation: *installation,
                key: EncodingKey::from_rsa_pem(key.expose().as_bytes()).map_err(SetupError::AppKey)?,
                token: tokio::sync::Mutex::new(None),
            },
        };
        Ok(Self { api, access, kept: Mutex::new(BTreeMap::new()) })
    }

    /// What GitHub shows, or why it does not. The same question within seconds has the same answer.
    ///
    /// # Errors
    /// [`NotShown`]: whatever was not read and found good is a no.
    pub async fn evidence(
        &self,
        http: &dyn Http,
        now: Timestamp,
        question: &Question,
    ) -> Result<Arc<Evidence>, Arc<NotShown>> {
        let key = format!("{question:?}");
        if let Some(shown) = self.remembered(&key, now) {
            return shown;
        }
        let asked = tokio::time::timeout(TOTAL, self.ask(http, now, question)).await;
        let shown = match asked {
            Ok(Ok(evidence)) => Ok(Arc::new(evidence)),
            Ok(Err(fault)) => {
                self.drop_refused_token(&fault).await;
                Err(Arc::new(fault))
            }
            Err(_elapsed) => Err(Arc::new(NotShown::Late)),
        };
        self.remember(key, now, shown.clone());
        shown
    }

    async fn ask(&self, http: &dyn Http, now: Timestamp, question: &Question) -> Result<Evidence, NotShown> {
        let github = self.client(http, now).await?;
        let Question { repository, commit, alternatives, approvers } = question;
        let mut elsewhere: Option<EvidenceFault> = None;
        for demands in alternatives {
            let fault = match github.evidence(http, repository, commit, demands, approvers).await {
                Ok(evidence) => return Ok(evidence),
                Err(fault) => fault,
            };
            match (fault, elsewhere.take()) {
                (fault, None) if is_about_the_place(&fault) => elsewhere = Some(fault),
                (fault, Some(first)) if is_about_the_place(&fault) => {
                    return Err(NotShown::Nowhere { first: Box::new(first), second: Box::new(fault) });
                }
                (fault, _) => return Err(fault.into()),
            }
        }
        Err(elsewhere.map_or(NotShown::NothingDemanded, NotShown::Unmet))
    }

    /// The page that compares two commits, for people.
    pub fn compare_page(&self, repository: &Repository, from: &Commit, to: &Commit) -> String {
        gateway_integrations::github::compare_page(&self.api, repository, from, to)
    }

    /// The attestation that an archive was built as it should be.
    ///
    /// # Errors
    /// [`NotShown`]: none shows it, or GitHub cannot be asked.
    pub async fn attested(
        &self,
        http: &dyn Http,
        now: Timestamp,
        trust: &Sigstore,
        repository: &Repository,
        built: &Built,
    ) -> Result<Attested, NotShown> {
        let asked = async {
            let github = self.client(http, now).await?;
            Ok(github.attested(http, trust, repository, built).await?)
        };
        let shown = tokio::time::timeout(TOTAL, asked).await.unwrap_or(Err(NotShown::Late));
        if let Err(fault) = &shown {
            self.drop_refused_token(fault).await;
        }
        shown
    }

    /// GitHub with a token that is good now.
    ///
    /// # Errors
    /// [`NotShown`]: an App gets no token.
    pub async fn client(&self, http: &dyn Http, now: Timestamp) -> Result<GitHub, NotShown> {
        let (id, installation, key, kept) = match &self.access {
            Access::Token(github) => return Ok(github.clone()),
            Access::App { id, installation, key, token } => (*id, *installation, key, token),
        };
        // Whoever comes meanwhile waits for the one that asks.
        let mut kept = kept.lock().await;
        let is_fresh = |token: &&InstallationToken| token.expires > now.saturating_add(RENEWED_BEFORE);
        let token = match kept.as_ref().filter(is_fresh) {
            Some(token) => token.token.clone(),
            None => {
                let assertion = assertion(id, key, now)?;
                let app = GitHub::new(self.api.clone(), assertion).map_err(NotShown::Unusable)?;
                let fresh = app.installation_token(http, installation).await.map_err(NotShown::App)?;
                let token = fresh.token.clone();
                *kept = Some(fresh);
                token
            }
        };
        GitHub::new(self.api.clone(), token).map_err(NotShown::Unusable)
    }

    /// As whom GitHub knows the gateway, in words.
    ///
    /// # Errors
    /// [`NotShown`]: GitHub does not let it in.
    pub async fn who(&self, http: &dyn Http, now: Timestamp) -> Result<String, NotShown> {
        match &self.access {
            Access::Token(github) => {
                let login = github.who(http).await.map_err(NotShown::Token)?;
                Ok(format!("let in as {login}"))
            }
            Access::App { id, installation, key, token: _ } => {
                let app =
                    GitHub::new(self.api.clone(), assertion(*id, key, now)?).map_err(NotShown::Unusable)?;
                let slug = app.app(http).await.map_err(NotShown::App)?;
                // An App that is known may be installed nowhere.
                app.installation_token(http, *installation).await.map_err(NotShown::App)?;
                Ok(format!("let in as the App {slug}"))
            }
        }
    }

    /// A token that GitHub does not take any more is fetched anew with the next question.
    async fn drop_refused_token(&self, fault: &NotShown) {
        let NotShown::Unmet(EvidenceFault::Unreadable {
            cause: CallFault::Status { status: 401, .. }, ..
        }) = fault
        else {
            return;
        };
        match &self.access {
            Access::App { token, .. } => *token.lock().await = None,
            Access::Token(_) => {}
        }
    }

    fn remembered(&self, key: &str, now: Timestamp) -> Option<Shown> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (at, shown) = kept.get(key)?;
        is_recent(*at, now).then(|| shown.clone())
    }

    fn remember(&self, key: String, now: Timestamp, shown: Shown) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.retain(|_, (at, _)| is_recent(*at, now));
        if kept.len() < MOST_KEPT {
            kept.insert(key, (now, shown));
        }
    }
}

/// A moment in the future (the clock moved back) is not recent.
fn is_recent(at: Timestamp, now: Timestamp) -> bool {
    now.checked_since(at).is_some_and(|age| age < GOOD_FOR)
}

/// Whether another place could do. A place that could not be looked at is no place where the commit is not.
fn is_about_the_place(fault: &EvidenceFault) -> bool {
    match fault {
        EvidenceFault::NotHead { .. }
        | EvidenceFault::NotContained { .. }
        | EvidenceFault::NoPullRequest { .. } => true,
        EvidenceFault::Unreadable { .. }
        | EvidenceFault::OtherCommit { .. }
        | EvidenceFault::TooFewReviews { .. }
        | EvidenceFault::ApproverIsAuthor { .. }
        | EvidenceFault::AuthorUnknown { .. }
        | EvidenceFault::NoApprover { .. }
        | EvidenceFault::NoChecks { .. }
        | EvidenceFault::CheckMissing { .. }
        | EvidenceFault::CheckNotGreen { .. }
        | EvidenceFault::NotSigned { .. }
        | EvidenceFault::NotAttested { .. } => false,
    }
}

fn assertion(id: u64, key: &EncodingKey, now: Timestamp) -> Result<Secret<String>, NotShown> {
    let seconds = now.micros() / 1_000_000;
    let claims = Assertion {
        iat: seconds.saturating_sub_unsigned(CLOCK_SKEW.as_secs()),
        exp: seconds.saturating_add_unsigned(ASSERTION_LIFE.as_secs()),
        iss: id.to_string(),
    };
    let signed = jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims, key);
    signed.map(Secret::new).map_err(NotShown::Assertion)
}
