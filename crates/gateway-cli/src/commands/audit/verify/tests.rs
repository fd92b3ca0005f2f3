//! The database and its export, intact and not.

use clap::Parser as _;
use gateway_store::Store;
use gateway_types::SystemClock;

use super::*;
use crate::arguments::{Arguments, Command};
use crate::commands::audit::{self, AuditCommand};

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    async fn new() -> Self {
        let place = Self { directory: tempfile::tempdir().unwrap() };
        Store::migrate(&place.url(), &SystemClock).await.unwrap();
        place
    }

    fn url(&self) -> String {
        format!("sqlite://{}", self.directory.path().join("g.db").display())
    }

    fn export(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    async fn audit(&self, line: &str) -> Result<(), Failure> {
        let words = ["rack-gateway", "audit"].into_iter().chain(line.split_whitespace()).map(str::to_owned);
        let arguments = Arguments::try_parse_from(words).unwrap();
        let context = Context::for_tests();
        let Command::Audit(arguments) = arguments.command else { panic!("audit") };
        match &arguments.command {
            AuditCommand::Verify(arguments) => super::run(&context, arguments).await,
            AuditCommand::Export(_)
            | AuditCommand::Tail(_)
            | AuditCommand::Search(_)
            | AuditCommand::Searches(_)
            | AuditCommand::Share(_)
            | AuditCommand::Story(_)
            | AuditCommand::Show(_)
            | AuditCommand::Prove(_)
            | AuditCommand::Evidence(_)
            | AuditCommand::Prune(_)
            | AuditCommand::Hold(_)
            | AuditCommand::Sinks(_) => audit::run(&context, arguments).await.map(drop),
        }
    }
}

#[tokio::test]
async fn an_export_verifies_without_the_database() {
    let place = Place::new().await;
    let out = place.export();
    let (url, file) = (place.url(), out.display());
    place.audit(&format!("verify --database-url {url}")).await.unwrap();
    place.audit(&format!("export --out {file} --database-url {url}")).await.unwrap();
    place.audit(&format!("verify --file {file}")).await.unwrap();
    let again = place.audit(&format!("export --out {file} --database-url {url}")).await.unwrap_err();
    assert!(again.to_string().contains("--force"), "{again}");
    place.audit(&format!("export --force --out {file} --database-url {url}")).await.unwrap();
    let (_, verified) = verify_file(&out, None, &[]).unwrap();
    let report = verified.map_err(|fault| fault.failure).unwrap();
    // Both exports are in the log before they are written, and so in what they write.
    assert_eq!((report.size, report.signed_size), (2, 2));
}

#[tokio::test]
async fn the_first_bad_index_is_named() {
    let place = Place::new().await;
    let out = place.export();
    let (url, file) = (place.url(), out.display());
    for _ in 0..3 {
        place.audit(&format!("export --force --out {file} --database-url {url}")).await.unwrap();
    }
    let text = std::fs::read_to_string(&out).unwrap();
    let altered: Vec<String> = text
        .lines()
        .enumerate()
        // The header is the first line, so this is the entry of index 1.
        .map(
            |(line, text)| {
                if line == 2 { text.replace("gateway:audit", "gateway:budit") } else { text.to_owned() }
            },
        )
        .collect();
    std::fs::write(&out, altered.join("\n")).unwrap();
    let (_, verified) = verify_file(&out, None, &[]).unwrap();
    let Err(NotIntact { failure, first_bad }) = verified else { panic!("it verifies") };
    assert_eq!(first_bad, Some((1, 1)));
    assert_eq!(failure.exit(), Exit::Failed);
    assert!(failure.to_string().contains("the first bad index is 1;"), "{failure}");
}

#[tokio::test]
async fn no_database_is_not_an_empty_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("typo.db");
    let place = Place { directory };
    let failure =
        place.audit(&format!("verify --database-url sqlite://{}", path.display())).await.unwrap_err();
    assert!(failure.to_string().contains("there is no database"), "{failure}");
    assert!(!path.exists());
}

#[test]
fn a_key_that_is_none_is_a_slip() {
    let failure = verify_file(Path::new("/dev/null"), Some("abc"), &[]).err().unwrap();
    assert_eq!(failure.exit(), Exit::Usage);
}

/// A log that grew extends its anchors; one that was cut back does not, and neither does its export.
#[tokio::test]
async fn the_log_and_its_export_are_held_to_anchors() {
    let place = Place::new().await;
    let (url, out, anchors) = (place.url(), place.export(), place.directory.path().join("anchors"));
    std::fs::create_dir(&anchors).unwrap();
    let (out, shown) = (out.display(), anchors.display());
    let none = place.audit(&format!("verify --database-url {url} --anchors {shown}")).await.unwrap_err();
    assert!(none.to_string().contains("anchors cannot be read"), "{none}");
    place.audit(&format!("export --out {out} --database-url {url}")).await.unwrap();
    std::fs::copy(place.directory.path().join("g.db"), place.directory.path().join("older.db")).unwrap();
    std::fs::copy(place.export(), place.directory.path().join("older")).unwrap();
    place.audit(&format!("export --force --out {out} --database-url {url}")).await.unwrap();
    let text = std::fs::read_to_string(place.export()).unwrap();
    let header: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let gateway = header["gateway_id"].as_str().unwrap().parse().unwrap();
    let head = gateway_audit::Head {
        size: header["size"].as_u64().unwrap(),
        root: serde_json::from_value(header["root"].clone()).unwrap(),
    };
    anchors::keep(&anchors, gateway, &head, last["checkpoint"].as_str().unwrap()).unwrap();
    place.audit(&format!("verify --database-url {url} --anchors {shown}")).await.unwrap();
    place.audit(&format!("verify --file {out} --anchors {shown}")).await.unwrap();
    let older = place.directory.path().join("older");
    for verify in [
        format!("verify --database-url {} --anchors {shown}", url.replace("g.db", "older.db")),
        format!("verify --file {} --anchors {shown}", older.display()),
    ] {
        let fault = place.audit(&verify).await.unwrap_err();
        assert!(fault.sentence().contains("rolled back"), "{verify}: {fault}");
    }
}
