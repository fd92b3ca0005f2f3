//! What touches the database runs on SQLite and on a real PostgreSQL; mail goes to a real SMTP server.

mod letters;
mod notices;
mod postmark;
mod smtp;
mod steering;
mod worker;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use gateway_app::Notice;
use gateway_store::{Access, Job as Row, JobState, Store, StoreOptions};
use gateway_types::{Clock, JobId, OsEntropy, Secret, Timestamp};
use tempfile::TempDir;

use crate::{Audience, Job, Mail, MailJob};

/// 2026-11-18T11:06:40Z.
const START: i64 = 1_795_000_000_000_000;

/// A clock that stands still until it is moved.
#[derive(Debug)]
struct TestClock(AtomicI64);

impl TestClock {
    fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// One empty database with its store.
struct Place {
    store: Arc<Store>,
    clock: Arc<TestClock>,
    _directory: TempDir,
}

impl Place {
    async fn both() -> [Place; 2] {
        let base = gateway_testdb::postgres().unwrap();
        let directory = tempfile::tempdir().unwrap();
        let file = format!("sqlite://{}", directory.path().join("gateway.db").display());
        [
            Place::open(file, directory).await,
            Place::open(gateway_testdb::fresh_database(base).unwrap(), tempfile::tempdir().unwrap()).await,
        ]
    }

    async fn open(url: String, directory: TempDir) -> Place {
        let clock = Arc::new(TestClock(AtomicI64::new(START)));
        let options = StoreOptions {
            url,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            entropy: Arc::new(OsEntropy),
            max_connections: 4,
            access: Access::Serve,
            app_secret_key: Some(Secret::new("a key for tests, long enough".to_owned())),
        };
        Place { store: Store::open(options).await.unwrap(), clock, _directory: directory }
    }

    async fn enqueue(&self, job: &Job) -> JobId {
        self.store.jobs().enqueue(job.to_row().unwrap()).await.unwrap().unwrap()
    }

    async fn row(&self, id: JobId) -> Row {
        self.store.jobs().by_id(id).await.unwrap().unwrap()
    }

    /// Waits until the job's row is as wanted; a minute at the most.
    async fn until(&self, id: JobId, wanted: impl Fn(&Row) -> bool) -> Row {
        let seen = async {
            loop {
                let row = self.row(id).await;
                if wanted(&row) {
                    return row;
                }
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), seen).await.unwrap()
    }

    async fn until_state(&self, id: JobId, state: JobState) -> Row {
        self.until(id, |row| row.state == state).await
    }
}

fn mail_job(notice: Notice, audience: Audience) -> MailJob {
    MailJob {
        to: notice.about().unwrap_or("admin@example.com").to_owned(),
        audience,
        at: Timestamp::from_micros(START),
        notice,
    }
}

fn some_job() -> Job {
    let notice = Notice::BackupCodesMade { email: "ann@example.com".to_owned() };
    Job::Mail(mail_job(notice, Audience::Person))
}

fn some_mail() -> Mail {
    Mail {
        id: "0193".to_owned(),
        to: "ann@example.com".to_owned(),
        subject: "Rack Gateway (prod): Zoë was invited".to_owned(),
        text: "Zoë\n.\nThe end.\n".to_owned(),
        html: "<p>Zoë</p>".to_owned(),
        date: Timestamp::from_micros(START),
    }
}

/// Tells nobody, and never should be asked to.
#[derive(Debug)]
struct Nobody;

impl gateway_app::approvals::reports::Reporter for Nobody {
    fn tell<'a>(
        &'a self,
        report: &'a gateway_app::approvals::reports::Report,
    ) -> gateway_app::approvals::reports::Telling<'a> {
        panic!("there is nothing to tell: {report:?}")
    }
}
