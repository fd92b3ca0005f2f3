//! Against another people's SMTP server and MIME reader: `tests/peers/smtp-sink.mjs`.

use std::path::{Path, PathBuf};
use std::process::{Command as StdCommand, Stdio};
use std::sync::Arc;
use std::time::Duration;

use gateway_app::Notice;
use gateway_config::{SmtpCredentials, SmtpServer, SmtpTls};
use gateway_store::{JobState, Retry};
use gateway_types::{JobId, OsEntropy, Secret, Timestamp};
use lettre::transport::smtp::client::Certificate;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{Place, START, mail_job, some_mail};
use crate::mail::{Disabled, SmtpMailer};
use crate::{Audience, Handler, Handlers, Job, Letterhead, MailError, Mailer, Worker, WorkerOptions};

const FROM: &str = "gateway@example.com";

/// A running sink. It ends when this is dropped.
struct Sink {
    port: u16,
    lines: Lines<BufReader<ChildStdout>>,
    _stdin: ChildStdin,
    _child: Child,
}

impl Sink {
    async fn start(arguments: &[&str]) -> Sink {
        let peers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/peers");
        assert!(
            peers.join("node_modules/smtp-server").is_dir(),
            "the SMTP server of the tests is missing: run scripts/test, or `npm ci --prefix tests/peers --ignore-scripts`"
        );
        let mut child = Command::new("node")
            .arg(peers.join("smtp-sink.mjs"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // It says there what the refusals of these tests look like from its side.
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut sink = Sink { port: 0, lines, _stdin: child.stdin.take().unwrap(), _child: child };
        sink.port = u16::try_from(sink.next().await["port"].as_u64().unwrap()).unwrap();
        sink
    }

    /// The next line: the port, then one for each mail.
    async fn next(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(60), self.lines.next_line()).await;
        serde_json::from_str(&line.unwrap().unwrap().unwrap()).unwrap()
    }

    fn server(&self, tls: SmtpTls) -> SmtpServer {
        SmtpServer { host: "localhost".to_owned(), port: self.port, tls, credentials: None }
    }
}

fn with_password(server: SmtpServer, password: &str) -> SmtpServer {
    let password = Secret::new(password.to_owned());
    SmtpServer { credentials: Some(SmtpCredentials { username: "gateway".to_owned(), password }), ..server }
}

/// A key and a certificate for `localhost`, made for one test.
struct Identity(TempDir);

impl Identity {
    fn new() -> Identity {
        let directory = tempfile::tempdir().unwrap();
        let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost \
             -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE -keyout key.pem -out cert.pem";
        let output = StdCommand::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(directory.path())
            .output()
            .unwrap_or_else(|error| panic!("the command `openssl` is needed to make certificates: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Identity(directory)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    async fn sink(&self, more: &[&str]) -> Sink {
        let (key, cert) = (self.file("key.pem"), self.file("cert.pem"));
        let files = ["--tls-key", key.to_str().unwrap(), "--tls-cert", cert.to_str().unwrap()];
        Sink::start(&[&files, more].concat()).await
    }

    fn trusted(&self, server: &SmtpServer) -> SmtpMailer {
        let pem = std::fs::read(self.file("cert.pem")).unwrap();
        SmtpMailer::trusting(FROM, server, &[Certificate::from_pem(&pem).unwrap()]).unwrap()
    }
}

#[tokio::test]
async fn a_mail_arrives_as_it_was_written() {
    let mut sink = Sink::start(&[]).await;
    let mailer = SmtpMailer::new(FROM, &sink.server(SmtpTls::Off)).unwrap();
    let mail = some_mail();
    mailer.send(&mail).await.unwrap();
    let taken = sink.next().await;
    assert_eq!((&taken["from"], &taken["to"]), (&FROM.into(), &serde_json::json!(["ann@example.com"])));
    assert_eq!(taken["subject"], mail.subject);
    assert_eq!(taken["text"].as_str().unwrap().replace("\r\n", "\n").trim_end(), mail.text.trim_end());
    assert_eq!(taken["html"].as_str().unwrap().trim_end(), mail.html);
    let header = |name: &str| taken["headers"][name].as_str().unwrap().to_owned();
    assert_eq!(header("from"), "\"Rack Gateway\" <gateway@example.com>");
    assert_eq!(header("message-id"), "<0193@example.com>");
    assert_eq!(header("date"), "Wed, 18 Nov 2026 11:06:40 +0000");
    assert_eq!(header("auto-submitted"), "auto-generated");
    assert!(header("content-type").starts_with("multipart/alternative"));
    assert!(taken["raw"].as_str().unwrap().is_ascii());
}

/// Nobody can add a header or a recipient, whatever stands in an address or a subject.
#[tokio::test]
async fn nothing_can_be_added_to_a_mail() {
    let mut sink = Sink::start(&[]).await;
    let mailer = SmtpMailer::new(FROM, &sink.server(SmtpTls::Off)).unwrap();
    for to in ["a@example.com\r\nBcc: eve@example.com", "a@example.com, eve@example.com", "a", "@example.com"]
    {
        let refused = mailer.send(&crate::Mail { to: to.to_owned(), ..some_mail() }).await.unwrap_err();
        assert!(matches!(refused, MailError::Address { .. }) && refused.is_final(), "{to}: {refused:?}");
    }
    let subject = "hello\r\nBcc: eve@example.com\r\n\r\nbody".to_owned();
    mailer.send(&crate::Mail { subject, ..some_mail() }).await.unwrap();
    let taken = sink.next().await;
    assert_eq!(taken["to"], serde_json::json!(["ann@example.com"]), "only the last one was mailed at all");
    assert!(taken["headers"].get("bcc").is_none(), "{taken}");
}

#[tokio::test]
async fn starttls_and_tls_keep_the_password_private() {
    let identity = Identity::new();
    let user = ["--user", "gateway", "--password", "right"];
    for (more, tls) in
        [(&user[..], SmtpTls::StartTls), (&[&user[..], &["--implicit"]].concat(), SmtpTls::Tls)]
    {
        let mut sink = identity.sink(more).await;
        let server = with_password(sink.server(tls), "right");
        identity.trusted(&server).send(&some_mail()).await.unwrap();
        let taken = sink.next().await;
        assert_eq!((&taken["secure"], &taken["user"]), (&true.into(), &"gateway".into()), "{tls:?}");

        // A password can be mended: the mail is worth another try.
        let server = with_password(sink.server(tls), "wrong");
        let refused = identity.trusted(&server).send(&some_mail()).await.unwrap_err();
        assert!(!refused.is_final(), "{refused:?}");
        assert!(!format!("{refused:?}{refused} {:?}", identity.trusted(&server)).contains("wrong\""));

        // A certificate of nobody we know: not a word of it.
        let stranger = SmtpMailer::new(FROM, &server).unwrap();
        let refused = stranger.send(&some_mail()).await.unwrap_err();
        assert!(!refused.is_final(), "{refused:?}");
        let right = with_password(sink.server(tls), "right");
        identity
            .trusted(&right)
            .send(&crate::Mail { subject: "last".to_owned(), ..some_mail() })
            .await
            .unwrap();
        assert_eq!(sink.next().await["subject"], "last", "nothing came in between");
    }
}

/// A server, or somebody in between, that offers no STARTTLS gets nothing (CVE-2026-25949 is of this family).
#[tokio::test]
async fn without_starttls_nothing_is_said() {
    let mut sink = Sink::start(&["--user", "gateway", "--password", "right"]).await;
    let server = with_password(sink.server(SmtpTls::StartTls), "right");
    let refused = SmtpMailer::new(FROM, &server).unwrap().send(&some_mail()).await.unwrap_err();
    assert!(matches!(refused, MailError::Smtp { .. }) && !refused.is_final(), "{refused:?}");
    let plain = with_password(sink.server(SmtpTls::Off), "right");
    let mail = crate::Mail { subject: "last".to_owned(), ..some_mail() };
    SmtpMailer::new(FROM, &plain).unwrap().send(&mail).await.unwrap();
    assert_eq!(sink.next().await["subject"], "last", "nothing came before");
}

#[tokio::test]
async fn a_recipient_that_is_refused_is_not_tried_again() {
    let sink = Sink::start(&["--reject", "ann@example.com"]).await;
    let server = sink.server(SmtpTls::Off);
    let refused = SmtpMailer::new(FROM, &server).unwrap().send(&some_mail()).await.unwrap_err();
    assert!(refused.is_final(), "{refused:?}");
    drop(sink);
    let nobody = SmtpServer { port: 1, ..server };
    let refused = SmtpMailer::new(FROM, &nobody).unwrap().send(&some_mail()).await.unwrap_err();
    assert!(!refused.is_final(), "{refused:?}");
}

/// From the notice in the queue to the mail at the server, and the server's no in the queue.
#[tokio::test]
async fn a_queued_notice_is_mailed() {
    for place in Place::both().await {
        let mut sink = Sink::start(&["--reject", "gone@example.com"]).await;
        let mailer = Arc::new(SmtpMailer::new(FROM, &sink.server(SmtpTls::Off)).unwrap());
        let letterhead = Letterhead { rack: "production".to_owned(), web: None };
        let (stop, wake) = (CancellationToken::new(), Arc::new(Notify::new()));
        let worker = Worker {
            store: Arc::clone(&place.store),
            handler: Arc::new(Handlers { mailer, letterhead, reporter: Arc::new(super::Nobody) }),
            wake: Arc::clone(&wake),
            options: WorkerOptions::default(),
        };
        let running = tokio::spawn(worker.run(stop.clone()));
        let sign_in = |email: &str| Notice::NewSignIn {
            email: email.to_owned(),
            device: "Firefox\r\nBcc: eve@example.com <b>".to_owned(),
            ip: None,
            at: Timestamp::from_micros(START),
        };
        let job = |email| Job::Mail(mail_job(sign_in(email), Audience::Person));
        let refused = place.enqueue(&job("gone@example.com")).await;
        let sent = place.enqueue(&job("ann@example.com")).await;
        wake.notify_one();
        let taken = sink.next().await;
        assert_eq!(taken["to"], serde_json::json!(["ann@example.com"]));
        assert_eq!(taken["subject"], "Rack Gateway (production): new sign-in to your account");
        assert!(taken["text"].as_str().unwrap().contains("Device: Firefox Bcc: eve@example.com <b>"));
        assert!(taken["html"].as_str().unwrap().contains("&#60;b&#62;"), "{}", taken["html"]);
        assert!(taken["headers"]["message-id"].as_str().unwrap().contains(&sent.to_string()));
        place.until_state(sent, JobState::Done).await;
        let row = place.until_state(refused, JobState::Dead).await;
        assert!(row.error.as_deref().unwrap().contains("550"), "{row:?}");
        stop.cancel();
        running.await.unwrap();
    }
}

#[tokio::test]
async fn a_mail_that_waits_when_mail_is_off_says_so() {
    let refused = Disabled::default().send(&some_mail()).await.unwrap_err();
    assert!(matches!(refused, MailError::Off));
    let handlers = Handlers {
        mailer: Arc::new(Disabled::default()),
        letterhead: Letterhead { rack: "production".to_owned(), web: None },
        reporter: Arc::new(super::Nobody),
    };
    let id = JobId::new(Timestamp::from_micros(START), &OsEntropy);
    let failure = handlers.handle(id, &super::some_job()).await.unwrap_err();
    assert_eq!(failure.retry, Retry::Never);
    assert!(failure.error.contains("SMTP_HOST"), "{}", failure.error);
}
