//! What each kind of job does. It knows how a mail is written and handed over, and nothing of queues.

use std::error::Error;
use std::sync::Arc;

use gateway_app::approvals::reports::Reporter;
use gateway_store::Retry;
use gateway_types::JobId;

use crate::job::{Job, MailJob};
use crate::letter::{Letter, Letterhead};
use crate::mail::{Mail, Mailer};
use crate::worker::{Handler, Handling, JobFailure};

/// What the jobs need.
#[derive(Clone, Debug)]
pub struct Handlers {
    /// How mail leaves.
    pub mailer: Arc<dyn Mailer>,
    /// What all mail says of its sender.
    pub letterhead: Letterhead,
    /// Who tells others of approvals.
    pub reporter: Arc<dyn Reporter>,
}

impl Handler for Handlers {
    fn handle<'a>(&'a self, id: JobId, job: &'a Job) -> Handling<'a> {
        Box::pin(async move {
            match job {
                Job::Mail(mail) => self.mail(id, mail).await,
                Job::Report(report) => self.reporter.tell(report).await.map_err(|fault| {
                    let retry = match (fault.retry, fault.after) {
                        (true, Some(least)) => Retry::NotBefore(least),
                        (true, None) => Retry::Later,
                        (false, _) => Retry::Never,
                    };
                    JobFailure { error: fault.said, retry }
                }),
            }
        })
    }
}

impl Handlers {
    async fn mail(&self, id: JobId, job: &MailJob) -> Result<(), JobFailure> {
        let letter = Letter::new(&self.letterhead, job);
        let (text, html) = letter.render().map_err(|error| failure(&error, Retry::Never))?;
        let mail = Mail {
            id: id.to_string(),
            to: job.to.clone(),
            subject: letter.subject.clone(),
            text,
            html,
            date: job.at,
        };
        let sent = self.mailer.send(&mail).await;
        sent.map_err(|error| failure(&error, if error.is_final() { Retry::Never } else { Retry::Later }))
    }
}

/// An error with all its causes, as people read it in the list of jobs.
fn failure(error: &dyn Error, retry: Retry) -> JobFailure {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_text = inner.to_string();
        // Some libraries print their cause themselves.
        if !text.contains(&inner_text) {
            text = format!("{text}: {inner_text}");
        }
        cause = inner.source();
    }
    JobFailure { error: text, retry }
}
