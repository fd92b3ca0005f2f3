//! From notices to mail: one job for each person who is told. What goes wrong is logged; the change that the
//! notice is about was made and stays.

use std::collections::BTreeSet;
use std::sync::Arc;

use gateway_app::notify::Notifying;
use gateway_app::{NoNotices, Notice, Notices};
use gateway_config::Mail;
use gateway_store::{Store, StoreError};
use gateway_types::{Clock, Role};
use tokio::sync::Notify;

use crate::job::{Audience, Job, JobError, MailJob};

/// How many people are looked at in one go when the admins are sought.
const PEOPLE_PER_PAGE: u32 = 1000;

/// Tells people by mail.
#[derive(Clone, Debug)]
pub struct MailNotices {
    /// Where the jobs are, and the admins.
    pub store: Arc<Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Wakes the worker of this process.
    pub wake: Arc<Notify>,
}

/// The notices that this configuration wants: by mail, or none when mail is off.
pub fn notices(
    mail: &Mail,
    store: &Arc<Store>,
    clock: &Arc<dyn Clock>,
    wake: &Arc<Notify>,
) -> Arc<dyn Notices> {
    match mail {
        Mail::Off => {
            tracing::debug!("mail is off: nobody is told of changes by mail");
            Arc::new(NoNotices)
        }
        Mail::Smtp { .. } | Mail::Postmark { .. } => Arc::new(MailNotices {
            store: Arc::clone(store),
            clock: Arc::clone(clock),
            wake: Arc::clone(wake),
        }),
    }
}

/// Why somebody is not told.
#[derive(Debug, thiserror::Error)]
enum NotTold {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Job(#[from] JobError),
}

impl Notices for MailNotices {
    fn notify(&self, notice: Notice) -> Notifying<'_> {
        Box::pin(async move {
            let at = self.clock.now();
            for (to, audience) in self.recipients(&notice).await {
                let job = Job::Mail(MailJob { to, audience, at, notice: notice.clone() });
                if let Err(error) = self.enqueue(&job).await {
                    not_told(&error);
                }
            }
            self.wake.notify_one();
        })
    }
}

impl MailNotices {
    async fn enqueue(&self, job: &Job) -> Result<(), NotTold> {
        self.store.jobs().enqueue(job.to_row()?).await?;
        Ok(())
    }

    /// The person first; then the admins, when it is for them, each once.
    async fn recipients(&self, notice: &Notice) -> Vec<(String, Audience)> {
        let person = notice.about();
        // A machine that is nobody's has no address.
        let person = person.filter(|person| person.contains('@'));
        let mut recipients: Vec<_> =
            person.into_iter().map(|person| (person.to_owned(), Audience::Person)).collect();
        if notice.for_admins() {
            match self.admins().await {
                Ok(admins) => recipients.extend(
                    admins
                        .into_iter()
                        .filter(|admin| person != Some(admin))
                        .map(|admin| (admin, Audience::Admin)),
                ),
                Err(error) => not_told(&NotTold::Store(error)),
            }
        }
        recipients
    }

    /// The addresses of all admins who are not locked.
    async fn admins(&self) -> Result<BTreeSet<String>, StoreError> {
        let mut admins = BTreeSet::new();
        let mut cursor = None;
        loop {
            let page = self.store.users().list(None, cursor.as_deref(), PEOPLE_PER_PAGE).await?;
            let unlocked =
                page.items.into_iter().filter(|user| !user.locked && user.roles.contains(Role::Admin));
            admins.extend(unlocked.map(|user| user.email));
            cursor = page.next;
            if cursor.is_none() {
                return Ok(admins);
            }
        }
    }
}

fn not_told(error: &NotTold) {
    tracing::warn!(error = error as &dyn std::error::Error, "somebody is not told of a change by mail");
}
