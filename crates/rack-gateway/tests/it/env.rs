//! `rack-gateway env`: the built command line changes an app's environment through a gateway, in an editor too.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gateway_testkit::TestGateway;
use gateway_types::Role;
use tempfile::TempDir;

struct Desk {
    home: TempDir,
    gateway: TestGateway,
}

/// How a command ended, and what it said on standard output and standard error.
struct Ended {
    code: i32,
    out: String,
    error: String,
}

impl Desk {
    async fn new() -> Self {
        Self { home: TempDir::new().unwrap(), gateway: TestGateway::start().await }
    }

    /// An editor: a script that changes the file that it is given.
    fn editor(&self, script: &str) -> PathBuf {
        let path = self.home.path().join("editor");
        std::fs::write(&path, format!("#!/bin/sh\nset -e\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
        path
    }

    async fn run(&self, editor: Option<&Path>, arguments: &[&str]) -> Ended {
        let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
        command
            .args(arguments)
            .env_clear()
            .env("PATH", env!("PATH"))
            .env("HOME", self.home.path())
            .env("TMPDIR", self.home.path())
            .env("RACK_GATEWAY_URL", format!("http://{}", self.gateway.addr()))
            .env("RACK_GATEWAY_TOKEN", self.gateway.token(Role::Deployer))
            .stdin(Stdio::null());
        if let Some(editor) = editor {
            command.env("EDITOR", editor);
        }
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code().unwrap(), out: text(output.stdout), error: text(output.stderr) }
    }

    fn held(&self) -> BTreeMap<String, String> {
        variables(&self.gateway.rack.state().env_of("myapp"))
    }

    fn active(&self) -> BTreeMap<String, String> {
        variables(&self.gateway.rack.state().active_env_of("myapp"))
    }

    fn leftovers(&self) -> Vec<String> {
        let files = std::fs::read_dir(self.home.path()).unwrap().map(|entry| entry.unwrap().file_name());
        files
            .map(|name| name.into_string().unwrap())
            .filter(|name| name.contains("rack-gateway-env"))
            .collect()
    }
}

fn variables(env: &str) -> BTreeMap<String, String> {
    let pairs = env.lines().map(|line| line.split_once('=').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[tokio::test]
async fn an_environment_is_changed_in_an_editor_and_promoted() {
    let desk = Desk::new().await;
    let before = desk.held();
    assert_eq!(before["DATABASE_PASSWORD"], "s3cr3t-myapp");
    // The person sees handles, changes one variable, removes one, adds one; the rest keeps its true value.
    let editor = desk.editor(
        "cp \"$1\" \"$HOME/seen\"\nstat -c %a \"$1\" > \"$HOME/mode\"\n\
         sed -i -e 's/^PLAIN=.*/PLAIN=changed/' \"$1\"\nprintf 'ADDED=a b=c\\n' >> \"$1\"",
    );
    let ended = desk.run(Some(&editor), &["env", "edit", "--app", "myapp"]).await;
    assert_eq!(ended.code, 0, "{}", ended.error);
    assert!(ended.out.starts_with("Setting ADDED, PLAIN... OK\nRelease: R"), "{}", ended.out);
    let seen = std::fs::read_to_string(desk.home.path().join("seen")).unwrap();
    assert!(seen.contains("DATABASE_PASSWORD=rgw-hidden-") && !seen.contains("s3cr3t"), "{seen}");
    assert_eq!(std::fs::read_to_string(desk.home.path().join("mode")).unwrap().trim(), "600");
    assert_eq!(desk.leftovers(), Vec::<String>::new(), "the file is gone");
    let mut expected = before.clone();
    expected.insert("PLAIN".to_owned(), "changed".to_owned());
    expected.insert("ADDED".to_owned(), "a b=c".to_owned());
    assert_eq!(desk.held(), expected);
    assert_eq!(desk.active(), before, "what runs is as it was");

    // The same with a promote, of a variable that is removed.
    let editor = desk.editor("sed -i -e '/^ADDED=/d' \"$1\"");
    let ended = desk.run(Some(&editor), &["env", "edit", "--app", "myapp", "--promote"]).await;
    assert_eq!(ended.code, 0, "{}", ended.error);
    assert!(ended.out.contains("\nPromoting R") && ended.out.trim_end().ends_with("... OK"), "{}", ended.out);
    expected.remove("ADDED");
    assert_eq!(desk.active(), expected);

    // Nothing was changed, and an editor that fails changes nothing.
    let same = desk.run(Some(&desk.editor("true")), &["env", "edit", "--app", "myapp", "--promote"]).await;
    assert_eq!((same.code, same.out.trim_end()), (0, "nothing was changed"));
    let failed =
        desk.run(Some(&desk.editor("echo X=1 >> \"$1\"\nexit 3")), &["env", "edit", "--app", "myapp"]).await;
    assert_eq!(failed.code, 1);
    assert!(failed.error.contains("nothing was changed"), "{}", failed.error);
    let none = desk.run(None, &["env", "edit", "--app", "myapp"]).await;
    assert_eq!(none.code, 2);
    assert!(none.error.contains("set VISUAL or EDITOR"), "{}", none.error);
    assert_eq!((desk.held(), desk.active()), (expected.clone(), expected));
    assert_eq!(desk.leftovers(), Vec::<String>::new());
    desk.gateway.finish().await;
}

/// Somebody else changes the environment while the editor is open: nothing of theirs is lost.
#[tokio::test]
async fn who_changes_it_meanwhile_loses_nothing() {
    let desk = Desk::new().await;
    let program = env!("CARGO_BIN_EXE_rack-gateway");
    let other = format!("{program} env set THEIRS=1 --app myapp > /dev/null");
    let editor = desk.editor(&format!("{other}\nprintf 'MINE=1\\n' >> \"$1\""));
    let ended = desk.run(Some(&editor), &["env", "edit", "--app", "myapp"]).await;
    assert_eq!(ended.code, 0, "{}", ended.error);
    let held = desk.held();
    assert_eq!((held["MINE"].as_str(), held["THEIRS"].as_str()), ("1", "1"), "{held:?}");
    // The same variable in two ways is a conflict, and neither is written over the other.
    let other = format!("{program} env set PLAIN=theirs --app myapp > /dev/null");
    let editor = desk.editor(&format!("{other}\nsed -i -e 's/^PLAIN=.*/PLAIN=mine/' \"$1\""));
    let ended = desk.run(Some(&editor), &["env", "edit", "--app", "myapp"]).await;
    assert_ne!(ended.code, 0, "{}", ended.out);
    assert!(ended.error.contains("PLAIN"), "{}", ended.error);
    assert_eq!(desk.held()["PLAIN"], "theirs");
    desk.gateway.finish().await;
}

#[tokio::test]
async fn set_unset_and_import_are_promoted_too() {
    let desk = Desk::new().await;
    let set = desk.run(None, &["env", "set", "A=1", "B=two words", "--app", "myapp", "--promote"]).await;
    assert_eq!(set.code, 0, "{}", set.error);
    assert!(
        set.out.starts_with("Setting A, B... OK\nRelease: R") && set.out.contains("Promoting R"),
        "{}",
        set.out
    );
    let active = desk.active();
    assert_eq!((active["A"].as_str(), active["B"].as_str()), ("1", "two words"));
    let unset = desk.run(None, &["env", "unset", "A", "--app", "myapp", "-p"]).await;
    assert_eq!(unset.code, 0, "{}", unset.error);
    assert!(!desk.active().contains_key("A"));
    // Nothing is different: nothing is promoted either.
    let again = desk.run(None, &["env", "set", "B=two words", "--app", "myapp", "--promote", "--json"]).await;
    let said: serde_json::Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!((&said["created"], &said["promoted"]), (&false.into(), &false.into()), "{said}");
    let file = desk.home.path().join("new.env");
    std::fs::write(&file, "C=3\nB=four\n").unwrap();
    let import = ["env", "import", file.to_str().unwrap(), "--app", "myapp", "--promote"];
    assert_eq!(desk.run(None, &import).await.code, 0);
    let active = desk.active();
    assert_eq!((active["B"].as_str(), active["C"].as_str()), ("four", "3"));
    assert_eq!(active["DATABASE_PASSWORD"], "s3cr3t-myapp", "what was not named keeps its value");
    desk.gateway.finish().await;
}
