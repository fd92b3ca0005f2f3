//! `rack-gateway exec`, `run`, `console`, `shell`: the built command line, with and without a terminal.

use std::io::{Read as _, Write as _};
use std::process::{Command, Output, Stdio};

use gateway_testkit::TestGateway;
use gateway_types::Role;
use tempfile::TempDir;

const PROCESS: &str = "myapp-web-7d9f8b6c5-aaaa0";

/// Somebody who is at a gateway, in a directory of an app.
pub(crate) struct Person<'a> {
    gateway: &'a TestGateway,
    token: String,
    pub(crate) home: TempDir,
}

impl<'a> Person<'a> {
    pub(crate) fn new(gateway: &'a TestGateway, token: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".convox")).unwrap();
        std::fs::write(home.path().join(".convox/app"), "myapp\n").unwrap();
        Self { gateway, token: token.to_owned(), home }
    }

    /// A command that reaches the gateway at this address.
    pub(crate) fn command_at(&self, program: &str, address: std::net::SocketAddr) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.home.path())
            .env_clear()
            .env("PATH", env!("PATH"))
            .env("HOME", self.home.path())
            .env("TERM", "xterm")
            .env("XDG_CONFIG_HOME", self.home.path())
            .env("RACK_GATEWAY_CREDENTIALS", "file")
            .env("RACK_GATEWAY_URL", format!("http://{address}"))
            .env("RACK_GATEWAY_TOKEN", &self.token)
            .env("GATEWAY", env!("CARGO_BIN_EXE_rack-gateway"))
            .stdin(Stdio::null());
        command
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command_at(env!("CARGO_BIN_EXE_rack-gateway"), self.gateway.addr());
        command.args(arguments);
        command
    }

    pub(crate) async fn says(&self, arguments: &[&str]) -> (Option<i32>, String, String) {
        self.hears(arguments, b"").await
    }

    async fn hears(&self, arguments: &[&str], input: &[u8]) -> (Option<i32>, String, String) {
        let output = fed(self.command(arguments), input.to_vec()).await;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    }

    /// Runs a shell script on a pseudo-terminal of 40 rows and 120 columns. Each text of `types` is typed once what stands
    /// before it was shown.
    pub(crate) async fn on_a_terminal(&self, script: &str, types: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut command = self.command_at("script", self.gateway.addr());
        command.args(["-qec", &format!("stty rows 40 cols 120; {script}"), "/dev/null"]);
        typed(command, types.iter().map(|(after, keys)| ((*after).to_owned(), (*keys).to_owned())).collect())
            .await
    }
}

/// Runs a command; types each text once what stands before it was shown, after what was seen for the one before.
pub(crate) async fn typed(mut command: Command, types: Vec<(String, String)>) -> (Option<i32>, String) {
    tokio::task::spawn_blocking(move || {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut stdin, mut stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (mut shown, mut from, mut types) = (Vec::new(), 0, types.into_iter().peekable());
        let mut bytes = [0; 4096];
        loop {
            while let Some((after, keys)) = types.peek() {
                let text = String::from_utf8_lossy(&shown[from..]).into_owned();
                let Some(at) = text.find(after) else { break };
                from = (from + at + after.len()).min(shown.len());
                stdin.write_all(keys.as_bytes()).unwrap();
                types.next();
            }
            match stdout.read(&mut bytes).unwrap() {
                0 => break,
                count => shown.extend_from_slice(&bytes[..count]),
            }
        }
        assert!(
            types.peek().is_none(),
            "{:?} was not shown in {:?}",
            types.peek(),
            String::from_utf8_lossy(&shown)
        );
        (child.wait().unwrap().code(), String::from_utf8_lossy(&shown).into_owned())
    })
    .await
    .unwrap()
}

/// Runs a command to its end with this input.
async fn fed(mut command: Command, input: Vec<u8>) -> Output {
    tokio::task::spawn_blocking(move || {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let feeding = std::thread::spawn(move || {
            // Whoever ends before it has read all is none of this test's business.
            let _ = stdin.write_all(&input);
        });
        let output = child.wait_with_output().unwrap();
        feeding.join().unwrap();
        output
    })
    .await
    .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_codes_and_bytes_are_those_of_the_command() {
    let gateway = TestGateway::start().await;
    let ops = Person::new(&gateway, gateway.token(Role::Ops));
    let (code, out, err) = ops.says(&["exec", PROCESS, "echo", "hello", "world"]).await;
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "hello world\n", ""));
    for exits in [0, 3, 255] {
        let (code, _, err) = ops.says(&["exec", PROCESS, &format!("exit {exits}")]).await;
        assert_eq!((code, err.as_str()), (Some(exits), ""));
    }
    // No UTF-8, and more than a frame each way.
    let bytes: Vec<u8> = (0..200_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let output = fed(ops.command(&["exec", PROCESS, "cat"]), bytes.clone()).await;
    let rest = format!("[cat: {} bytes, err=<nil>]\n", bytes.len());
    assert_eq!(output.status.code(), Some(0));
    assert!(output.stdout == [bytes.as_slice(), rest.as_bytes()].concat(), "{} bytes", output.stdout.len());
    let (_, out, _) = ops.says(&["exec", PROCESS, "info"]).await;
    assert_eq!(out, "tty=false height=<nil> width=<nil>\n", "no terminal is told of");
    // Whoever reads no more ends it, as `head` does.
    let mut flood = ops.command(&["exec", PROCESS, "flood 100000"]);
    let mut flood = flood.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(flood.stdout.take());
    let ended = tokio::task::spawn_blocking(move || flood.wait_with_output().unwrap()).await.unwrap();
    assert_eq!((ended.status.code(), ended.stderr.as_slice()), (Some(1), &b""[..]));
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_of_its_own_is_started_used_and_stopped() {
    let gateway = TestGateway::start().await;
    let ops = Person::new(&gateway, gateway.token(Role::Ops));
    let (code, out, err) = ops.says(&["run", "web", "echo", "from-run"]).await;
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "from-run\n", ""));
    let seen = gateway.rack.requests();
    let seen: Vec<String> =
        seen.iter().map(|seen| format!("{} {}", seen.method, seen.target.trim_end_matches('?'))).collect();
    assert!(seen.iter().any(|one| one == "POST /apps/myapp/services/web/processes"), "{seen:?}");
    assert!(seen.last().is_some_and(|last| last.starts_with("DELETE /apps/myapp/processes/")), "{seen:?}");
    let (code, out, _) = ops.says(&["run", "web", "exit 4"]).await;
    assert_eq!((code, out.as_str()), (Some(4), ""));
    let (code, out, _) = ops.says(&["run", "web", "sleep 5", "--detach", "--memory", "128"]).await;
    assert_eq!(code, Some(0));
    assert!(out.starts_with("Running detached process... OK, myapp-web-run"), "{out}");
    let (_, out, _) = ops.says(&["run", "web", "sleep 5", "-d", "--json"]).await;
    assert!(out.contains("\"id\": \"myapp-web-run"), "{out}");
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn consoles_and_instances_and_refusals() {
    let gateway = TestGateway::start().await;
    let admin = Person::new(&gateway, gateway.token(Role::Admin));
    let (code, out, err) = admin.hears(&["console", "db"], b"select 1;\nexit\n").await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out, "$ you said: select 1;\r\n$ ");
    let (code, _, _) = admin.says(&["shell", "node-1", "exit", "9"]).await;
    assert_eq!(code, Some(9));
    let viewer = Person::new(&gateway, gateway.token(Role::Viewer));
    let (code, out, err) = viewer.says(&["exec", PROCESS, "sh"]).await;
    assert_eq!(
        (code, out.as_str()),
        (Some(4), ""),
        "a refusal is one, and nothing is shown as output: {err}"
    );
    assert!(err.contains("ops"), "it says what would be needed: {err}");
    let nobody = Person::new(&gateway, "rgw_nonsense");
    assert_eq!(nobody.says(&["exec", PROCESS, "sh"]).await.0, Some(3));
    gateway.finish().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_on_a_terminal_is_raw_and_leaves_the_terminal_as_it_was() {
    let gateway = TestGateway::start().await;
    let ops = Person::new(&gateway, gateway.token(Role::Ops));
    // Its size is told.
    let (code, out) = ops.on_a_terminal(&format!("\"$GATEWAY\" exec {PROCESS} info"), &[]).await;
    assert_eq!(code, Some(0), "{out}");
    assert!(out.contains("tty=true height=40 width=120"), "{out}");
    // An interrupt is a key, and the code comes through.
    let script =
        format!("stty -g >before; \"$GATEWAY\" exec {PROCESS} sh; code=$?; stty -g >after; exit $code");
    let (code, out) =
        ops.on_a_terminal(&script, &[("$ ", "ls -la\r"), ("$ ", "\u{3}\r"), ("$ ", "exit 7\r")]).await;
    assert_eq!(code, Some(7), "{out:?}");
    assert!(out.contains("you said: ls -la"), "{out:?}");
    assert!(out.contains("you said: \u{3}"), "{out:?}");
    let state = |name: &str| std::fs::read_to_string(ops.home.path().join(name)).unwrap();
    assert_eq!(state("before"), state("after"));
    // Whatever ends it: a signal from outside, the rack that is gone.
    let killer = async {
        let pid = gateway_testkit::eventually("a session in the rack", || async {
            let requests = gateway.rack.requests();
            let opened = requests.iter().filter(|seen| seen.target.ends_with("/exec")).count() == 3;
            let pid = std::fs::read_to_string(ops.home.path().join("pid")).ok().filter(|_| opened)?;
            Some(pid.trim().to_owned())
        })
        .await;
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
    };
    let script = format!(
        "stty -g >before; sh -c 'echo $$ >pid; exec \"$GATEWAY\" exec {PROCESS} \"sleep 1000\"'; \
         code=$?; stty -g >after; exit $code"
    );
    let ((code, out), ()) = tokio::join!(ops.on_a_terminal(&script, &[]), killer);
    assert_eq!(code, Some(143), "{out:?}");
    assert_eq!(state("before"), state("after"));
    gateway.rack.fault(gateway_sim::Fault::DropExec);
    let script = format!(
        "stty -g >before; \"$GATEWAY\" exec {PROCESS} \"echo hi\"; code=$?; stty -g >after; exit $code"
    );
    let (code, out) = ops.on_a_terminal(&script, &[]).await;
    assert_eq!(code, Some(1), "{out:?}");
    assert!(out.contains("ERROR: the connection to the rack was lost"), "{out:?}");
    assert_eq!(state("before"), state("after"));
    gateway.finish().await;
}
