//! Changes are made one after the other, each as a request of its own, with the version that it is a change of.
//!
//! People confirm critical changes with a second factor for that very request. Here each change is asked for first; what
//! is refused for want of a factor waits, and one code then confirms the list, each of it bound to its own request. So
//! the code is asked for once, after the list was shown.

use std::time::Duration;

use gateway_client::text::one_line;
use gateway_client::{Client, ClientError, Refusal, SecondFactor, etag};

use super::difference::{Change, Planned};
use crate::Context;
use crate::commands::users;
use crate::failure::{Exit, Failure};
use crate::output::remark;
use crate::remote::Remote;
use crate::terminal::waiting;

/// The most changes that one code confirms; the gateway keeps 50 challenges of a session.
const MOST_TOGETHER: usize = 40;
/// The longest wait that the gateway's rates are waited out.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// How often a change is repeated because of them.
const MOST_WAITS: usize = 10;

/// What became of some changes.
#[derive(Debug)]
pub(crate) struct Made {
    /// Which were made, by their place in the list.
    pub(crate) made: Vec<usize>,
    /// Which one was not, and why; nothing after it was tried, unless it is among those that were made.
    pub(crate) failed: Option<(usize, Failure)>,
}

/// A change that waits for a second factor.
struct Waiting {
    place: usize,
    challenge: String,
}

/// Makes the changes in their order, until one fails.
pub(crate) async fn make(context: &Context, remote: &Remote, changes: &[Planned]) -> Made {
    let mut maker = Maker { context, remote, changes, made: Vec::new(), waiting: Vec::new(), code: None };
    maker.code = context.code.clone();
    let failed = maker.run().await.err();
    maker.made.sort_unstable();
    Made { made: maker.made, failed }
}

struct Maker<'a> {
    context: &'a Context,
    remote: &'a Remote,
    changes: &'a [Planned],
    made: Vec<usize>,
    waiting: Vec<Waiting>,
    /// The code of the command line, until it is spent.
    code: Option<SecondFactor>,
}

impl Maker<'_> {
    async fn run(&mut self) -> Result<(), (usize, Failure)> {
        for (place, planned) in self.changes.iter().enumerate() {
            // Locking needs a window only, which the confirmed list opens; it must not come before that list.
            if self.waiting.len() == MOST_TOGETHER || matches!(planned.change, Change::Lock { .. }) {
                self.confirm_waiting().await?;
            }
            match self.ask(&planned.change).await {
                Ok(()) => self.made.push(place),
                Err(Asked::Failed(failure)) => return Err((place, failure)),
                Err(Asked::WantsFactor(refusal)) => match challenge(&refusal) {
                    Some(challenge) => self.waiting.push(Waiting { place, challenge }),
                    None => return Err((place, ClientError::StepUp { refusal }.into())),
                },
            }
        }
        self.confirm_waiting().await
    }

    /// Has what waits confirmed with one code, and makes it.
    async fn confirm_waiting(&mut self) -> Result<(), (usize, Failure)> {
        let batch = std::mem::take(&mut self.waiting);
        let Some(first) = batch.first() else { return Ok(()) };
        self.confirm(&batch, first).await.map_err(|failure| (first.place, failure))?;
        for one in &batch {
            let Some(planned) = self.changes.get(one.place) else { continue };
            match self.ask(&planned.change).await {
                Ok(()) => self.made.push(one.place),
                Err(Asked::Failed(failure)) => return Err((one.place, failure)),
                Err(Asked::WantsFactor(refusal)) => {
                    return Err((one.place, ClientError::StepUp { refusal }.into()));
                }
            }
        }
        Ok(())
    }

    async fn confirm(&mut self, batch: &[Waiting], first: &Waiting) -> Result<(), Failure> {
        let code = match self.code.take() {
            Some(code) => Some(code),
            None => {
                let why = match batch.len() {
                    1 => "This change needs your second factor.".to_owned(),
                    count => {
                        format!("These {count} changes need your second factor: one code confirms them all.")
                    }
                };
                waiting(|| self.context.terminal.code(&why))?
            }
        };
        let Some(SecondFactor::Totp(code) | SecondFactor::Backup(code) | SecondFactor::Yubico(code)) = code
        else {
            return Err(self.nobody_confirms(batch));
        };
        let also: Vec<String> = batch.iter().skip(1).map(|one| one.challenge.clone()).collect();
        Ok(self.remote.client().step_up_together(&first.challenge, &also, &code).await?)
    }

    fn nobody_confirms(&self, batch: &[Waiting]) -> Failure {
        remark("These wait to be confirmed, for five minutes:");
        for one in batch {
            if let Some(planned) = self.changes.get(one.place) {
                let link = self.remote.target.address.at(&["step-up", &one.challenge]);
                remark(&format!("  {} {}: {link}", planned.kind, one_line(&planned.name)));
            }
        }
        Failure::new(Exit::Refused, "these changes need a second factor, and none was given").hint(
            "give the code of your authenticator with --code, or confirm each link in a browser, then repeat the command; a token needs a grant that reaches critical actions",
        )
    }

    /// Sends a change, and waits when the gateway says that it comes too fast.
    async fn ask(&self, change: &Change) -> Result<(), Asked> {
        let mut waits = 0;
        loop {
            let refused = match self.send(change).await {
                Ok(()) => return Ok(()),
                Err(Asked::Failed(failure)) => return Err(Asked::Failed(failure)),
                Err(Asked::WantsFactor(refusal)) => refusal,
            };
            let wait = refused.retry_after_seconds.map(Duration::from_secs);
            match wait.filter(|wait| *wait <= LONGEST_WAIT && waits < MOST_WAITS) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return Err(Asked::of(refused)),
            }
            waits += 1;
        }
    }

    async fn send(&self, change: &Change) -> Result<(), Asked> {
        let id = match change {
            // It may be somebody who was added a moment ago.
            Change::Lock { email } => {
                Some(users::find(self.remote, email).await.map_err(Asked::Failed)?.value.id)
            }
            _ => None,
        };
        match request(self.remote.client(), change, id.as_deref()).await {
            Ok(()) => Ok(()),
            Err(ClientError::StepUp { refusal } | ClientError::Refused { refusal })
                if refusal.wants_code() || refusal.retry_after_seconds.is_some() =>
            {
                Err(Asked::WantsFactor(refusal))
            }
            Err(ClientError::Refused { refusal }) if refusal.status == 412 => {
                let what = "it was changed by somebody else since it was compared";
                Err(Asked::Failed(
                    Failure::from(ClientError::Refused { refusal })
                        .hint(format!("{what}; run the command again")),
                ))
            }
            Err(error) => Err(Asked::Failed(error.into())),
        }
    }
}

/// Why a change was not made.
enum Asked {
    /// It would be, with a second factor, or later.
    WantsFactor(Box<Refusal>),
    /// It will not be.
    Failed(Failure),
}

impl Asked {
    fn of(refusal: Box<Refusal>) -> Self {
        if refusal.wants_code() {
            Asked::WantsFactor(refusal)
        } else {
            Asked::Failed(ClientError::Refused { refusal }.into())
        }
    }
}

/// The id of the challenge that a refusal opened.
fn challenge(refusal: &Refusal) -> Option<String> {
    let url = refusal.remedies.iter().filter_map(|remedy| remedy.url.as_deref());
    let mut ids = url.filter_map(|url| url.rsplit_once("/step-up/")).map(|(_, id)| id.to_owned());
    ids.find(|id| !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-'))
}

async fn request(client: &Client, change: &Change, id: Option<&str>) -> Result<(), ClientError> {
    match change {
        Change::Service { name, declaration, version } => {
            client.write_service(name, declaration, *version).await.map(drop)
        }
        Change::RemoveService { name, version } => client.remove_service(name, *version).await,
        Change::Invite(invitation) => client.invite(invitation).await.map(drop),
        Change::Update { id, version, update } => {
            client.update_user(id, &etag(*version), update).await.map(drop)
        }
        Change::Lock { email } => client.lock_user(id.unwrap_or(email), None).await,
        Change::Unlock { id } => client.unlock_user(id).await,
        Change::RemoveUser { id } => client.remove_user(id).await,
        Change::Group { name, roles, version } => {
            client.update_group(name, &etag(*version), *roles).await.map(drop)
        }
        Change::Grant(grant) => client.create_role_grant(grant).await.map(drop),
        Change::RemoveGrant { id } => client.remove_role_grant(id).await,
        Change::TrustRule { name, rule, version } => {
            client.write_trust_rule(name, rule, *version).await.map(drop)
        }
        Change::RemoveTrustRule { name, version } => client.remove_trust_rule(name, *version).await,
        Change::Setting { app, key, value, version } => {
            client.change_setting(app.as_deref(), key, value, *version).await.map(drop)
        }
        Change::ResetSetting { app, key, version } => {
            client.reset_setting(app.as_deref(), key, *version).await
        }
        Change::Policy { id, text, version } => client.write_policy(id, text, *version).await.map(drop),
        Change::RemovePolicy { id, version } => client.remove_policy(id, *version).await,
    }
}
