//! `rack-gateway login`: the built command line signs in at the built gateway, both ways.

use std::io::{BufRead as _, BufReader, Lines};
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};

use gateway_testkit::visitor::hidden;
use gateway_testkit::{Authenticator, RawClient, Visitor};
use gateway_types::{Clock as _, SystemClock};
use serde_json::Value;
use tempfile::TempDir;

/// A demo, which ends with the test.
struct Demo {
    child: Child,
    ready: Value,
}

impl Demo {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_rack-gateway"))
            .args(["demo", "--json", "--port", "0", "--admin-port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { child, ready: serde_json::from_str(&line).unwrap() }
    }

    fn text(&self, name: &str) -> &str {
        self.ready[name].as_str().unwrap()
    }

    /// By its address, as the visitor names it too: the CLI wants the origin that it was told.
    fn gateway(&self) -> String {
        self.text("gateway_url").replace("localhost", "127.0.0.1")
    }

    fn visitor(&self) -> Visitor {
        Visitor::at(address(self.text("gateway_url")), address(self.text("idp_url")))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _gone_already = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        let _ended = self.child.wait();
    }
}

fn address(url: &str) -> SocketAddr {
    let place = url.trim_start_matches("http://").replace("localhost", "127.0.0.1");
    place.to_socket_addrs().unwrap().next().unwrap()
}

/// A command line whose files are in this directory.
fn command(home: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_rack-gateway"));
    command
        .args(arguments)
        .env_clear()
        .env("PATH", env!("PATH"))
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home)
        .env("RACK_GATEWAY_CREDENTIALS", "file")
        .stdin(Stdio::null());
    command
}

fn run(home: &Path, arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = command(home, arguments).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    (status.code().unwrap(), said)
}

/// Starts a command that waits for a person; what it says, line by line.
fn start(home: &Path, arguments: &[&str]) -> (Child, Lines<BufReader<ChildStdout>>) {
    // What it says to people may be on either stream; here both are one.
    let line = arguments.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ");
    let program = env!("CARGO_BIN_EXE_rack-gateway");
    let mut child = Command::new("sh")
        .args(["-c", &format!("exec '{program}' {line} 2>&1")])
        .env_clear()
        .env("PATH", env!("PATH"))
        .env("HOME", home)
        .env("XDG_CONFIG_HOME", home)
        .env("RACK_GATEWAY_CREDENTIALS", "file")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// The first word of the output that is an address of this kind.
fn find(lines: &mut Lines<BufReader<ChildStdout>>, beginning: &str) -> String {
    let mut said = Vec::new();
    for line in lines.by_ref() {
        let line = line.unwrap();
        if let Some(word) = line.split_whitespace().find(|word| word.contains(beginning)) {
            return word.to_owned();
        }
        said.push(line);
    }
    panic!("nothing with {beginning} in {said:?}");
}

fn only_for_this_user(home: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    let mut open = vec![home.to_owned()];
    let mut files = 0;
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode();
            if entry.file_type().unwrap().is_dir() {
                open.push(entry.path());
            } else if std::fs::read_to_string(entry.path()).unwrap().contains("rgs_") {
                assert_eq!(mode & 0o777, 0o600, "{}", entry.path().display());
                files += 1;
            }
        }
    }
    assert_eq!(files, 1, "the session is in one file");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_the_browser_of_this_machine() {
    let demo = Demo::start();
    let home = TempDir::new().unwrap();
    assert_eq!(run(home.path(), &["whoami"]).0, 3, "not signed in");
    let (mut child, mut lines) = start(home.path(), &["login", &demo.gateway(), "--no-browser"]);
    let address_to_open = find(&mut lines, "/auth/login?client=cli");
    let path = address_to_open.trim_start_matches(&demo.gateway()).to_owned();
    let mut visitor = demo.visitor();
    let page = visitor.get(&path).await.text();
    let (_, link) = page.split_once("href=\"/auth/login?provider=").expect("a link to the provider");
    let link = format!("/auth/login?provider={}", link.split('"').next().unwrap().replace("&#38;", "&"));
    let callback = visitor.callback_for("ops@example.com", &link).await;
    let sent_back = visitor.get(&callback).await;
    let to_cli = sent_back.header("location").unwrap_or_else(|| panic!("{sent_back:?}")).to_owned();
    assert!(to_cli.starts_with("http://127.0.0.1:") && !to_cli.contains("rgs_"), "{to_cli}");
    let (_, place) = to_cli.split_once("http://").unwrap();
    let (listener, rest) = place.split_once('/').unwrap();
    // Somebody else on the machine who comes first gets nothing, and does not end the wait (D11).
    let listener: SocketAddr = listener.parse().unwrap();
    let stranger =
        RawClient::connect(listener).await.ask("GET", "!/callback?code=x&state=y", "", &[], b"").await;
    assert!(stranger.status >= 400, "{stranger:?}");
    let shown = RawClient::connect(listener).await.ask("GET", &format!("!/{rest}"), "", &[], b"").await;
    assert_eq!(shown.status, 200, "{}", shown.text());
    let said: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{said:?}");
    only_for_this_user(home.path());

    let (code, said) = run(home.path(), &["whoami", "--json"]);
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("ops@example.com"), "{said}");
    let (code, said) = run(home.path(), &["users", "invite", "x@example.com", "--role", "viewer"]);
    assert_eq!(code, 4, "{said}");
    assert!(said.contains("admin"), "the refusal names what would help: {said}");
    let (code, said) = run(home.path(), &["racks"]);
    assert!(code == 0 && said.contains("demo"), "{said}");
    let (code, said) = run(home.path(), &["logout"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(run(home.path(), &["whoami"]).0, 3, "signed out");
    drop(demo);
    assert_eq!(run(home.path(), &["login", "http://127.0.0.1:9", "--no-browser"]).0, 5, "nobody is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_code_shown_on_a_machine_without_a_browser() {
    let demo = Demo::start();
    let home = TempDir::new().unwrap();
    let gateway = demo.gateway();
    let (code, said) = run(home.path(), &["login", &gateway, "--device", "--name", "no name"]);
    assert_eq!(code, 2, "said before anybody signs in: {said}");
    let arguments = ["login", &gateway, "--device", "--name", "build-host"];
    let (mut child, mut lines) = start(home.path(), &arguments);
    let address = find(&mut lines, "/device?user_code=");
    let (_, query) = address.split_once("/device?").unwrap();
    let mut visitor = demo.visitor();
    let callback = visitor.callback_for("deployer@example.com", "/auth/login?provider=demo").await;
    assert_eq!(visitor.get(&callback).await.status, 303);
    let page = visitor.get(&format!("/device?{query}")).await.text();
    assert!(page.contains("127.0.0.1"), "the page shows from where it was asked: {page}");
    let user_code = hidden(&page, "user_code").expect("the code in the form");
    let done = visitor.post("/device", &[("user_code", &user_code), ("decision", "approve")]).await;
    assert!(done.status < 400, "{}", done.text());
    let said: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{said:?}");
    let (code, said) = run(home.path(), &["whoami"]);
    assert!(code == 0 && said.contains("deployer@example.com"), "{said}");
}

/// What a refusal recommends works: the command that opens the window, and the code that goes with a command.
#[test]
fn a_second_factor_on_the_command_line() {
    let demo = Demo::start();
    let home = TempDir::new().unwrap();
    let admin = &demo.ready["users"][0];
    let phone = Authenticator::of(admin["totp_secret"].as_str().unwrap());
    let run = |arguments: &[&str]| {
        let output = command(home.path(), arguments)
            .env("RACK_GATEWAY_URL", demo.gateway())
            .env("RACK_GATEWAY_TOKEN", admin["session_token"].as_str().unwrap())
            .output()
            .unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output.status.code().unwrap(), said)
    };
    let lock = ["users", "lock", "viewer@example.com", "--yes"];
    let (code, said) = run(&lock);
    assert!(code == 4 && said.contains("/step-up/"), "{code} {said}");
    let (code, said) = run(&["step-up", "--code", "000000"]);
    assert_eq!(code, 4, "{said}");
    let (code, said) = run(&["step-up", "--code", &phone.shows_at(SystemClock.now())]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = run(&lock);
    assert_eq!(code, 0, "within the window: {said}");
    // Another authenticator.
    let (code, said) = run(&["factors", "add", "tablet", "--json"]);
    assert_eq!(code, 0, "{said}");
    let begun: Value = serde_json::from_str(&said).unwrap();
    let shown = Authenticator::of(begun["secret"].as_str().unwrap()).shows_at(SystemClock.now());
    let (code, said) = run(&["factors", "confirm", begun["id"].as_str().unwrap(), &shown]);
    assert!(code == 0 && said.contains("tablet counts from now on"), "{said}");
    let (code, said) = run(&["factors", "rename", "tablet", "old tablet"]);
    assert_eq!(code, 0, "{said}");
    let (code, said) = run(&["factors", "list"]);
    assert!(code == 0 && said.contains("old tablet") && said.contains("backup codes left"), "{said}");
    let (code, said) = run(&["factors", "remove", "old tablet"]);
    assert!(code == 2 && said.contains("--yes"), "nothing is removed unasked: {code} {said}");
    let (code, said) = run(&["factors", "remove", "old tablet", "--yes"]);
    assert!(code == 4 && said.contains("this very action"), "it takes a fresh one: {said}");
    let invite = ["users", "invite", "new@example.com", "--role", "viewer"];
    let (code, said) = run(&invite);
    assert!(code == 4 && said.contains("this very action"), "a window is not enough for it: {said}");
}
