//! Commands in processes, on instances and at database consoles. The commands are those of the recordings,
//! some more for tests, and a few that make a demo feel alive.

use tokio::io::{AsyncRead, AsyncWrite};

use super::{Ended, Input, Outcome, SocketIo, SocketKind};
use crate::call::Call;
use crate::fault::Fault;
use crate::refusal::Refusal;
use crate::reply::fill_noise;
use crate::state::{RackState, now_text};
use crate::wire::PIECE;
use crate::wire::frame::{CLOSE, CONTINUATION, Frame, TEXT};

/// What stands before an exit code.
pub const EXIT_MARKER: &str = "F1E49A85-0AD7-4AEF-A618-C249C6E6568D:";

/// A command under way: its output can be sabotaged.
struct Session<'a, R, W> {
    io: &'a mut SocketIo<R, W>,
    fault: Option<Fault>,
    pid: String,
    env: String,
    /// Terminal and speaking shell: only in the demo.
    lively: bool,
}

impl<R: AsyncRead + Unpin, W: AsyncWrite + Unpin> Session<'_, R, W> {
    /// Sends output.
    async fn out(&mut self, bytes: impl Into<Vec<u8>>) -> Outcome {
        self.io.text(bytes).await?;
        if self.fault == Some(Fault::DropExec) { Err(Ended::Dropped) } else { Ok(()) }
    }

    /// Sends the exit code, in the way the fault asks for.
    async fn exit(&mut self, code: i32) -> Outcome {
        let marker = format!("{EXIT_MARKER}{code}\n").into_bytes();
        let (first, second) = marker.split_at(marker.len() / 2);
        match self.fault.take() {
            Some(Fault::DropExec) => return Err(Ended::Dropped),
            Some(Fault::CloseFrame(code)) => {
                self.io.write(&Frame { opcode: CLOSE, ..Frame::text(code.to_be_bytes()) }).await?;
                return Err(Ended::Dropped);
            }
            Some(Fault::SplitMarker) => {
                self.io.text(first).await?;
                self.io.text(second).await?;
            }
            Some(Fault::FragmentMarker) => {
                self.io.write(&Frame { opcode: TEXT, fin: false, ..Frame::text(first) }).await?;
                self.io.write(&Frame { opcode: CONTINUATION, ..Frame::text(second) }).await?;
            }
            _ => self.io.text(marker).await?,
        }
        Ok(())
    }

    /// Echoes its input.
    async fn cat(&mut self) -> Outcome {
        let mut total = 0;
        while let Input::Data(bytes) = self.io.input().await? {
            total += bytes.len();
            self.out(bytes).await?;
        }
        self.out(format!("[cat: {total} bytes, err=<nil>]\n")).await
    }

    /// Deterministic noise in frames of 32 KiB.
    async fn noise(&mut self, length: u64) -> Outcome {
        let mut at = 0;
        while at < length {
            let mut piece = vec![0; usize::try_from(length - at).unwrap_or(PIECE).min(PIECE)];
            fill_noise(at, &mut piece);
            at += piece.len() as u64;
            self.out(piece).await?;
        }
        Ok(())
    }

    /// Reads lines and answers them until `exit` or the end of input; gives the exit code.
    async fn shell(&mut self) -> Result<i32, Ended> {
        self.out("$ ").await?;
        let mut line = Vec::new();
        while let Input::Data(bytes) = self.io.input().await? {
            for byte in bytes {
                if !matches!(byte, b'\r' | b'\n') {
                    line.push(byte);
                    continue;
                }
                let text = String::from_utf8_lossy(&std::mem::take(&mut line)).into_owned();
                if let Some(code) = exit_code(&text) {
                    return Ok(code);
                }
                let answer = self.answer(&text);
                self.out(answer).await?;
            }
        }
        Ok(0)
    }

    fn answer(&self, line: &str) -> String {
        if !self.lively {
            return format!("you said: {line}\r\n$ ");
        }
        let (output, _) = builtin(line, &self.pid, &self.env);
        format!("{}$ ", output.replace('\n', "\r\n"))
    }
}

/// The code of an `exit` line.
fn exit_code(line: &str) -> Option<i32> {
    let mut words = line.split_whitespace();
    let is_exit = words.next() == Some("exit");
    is_exit.then(|| words.next().and_then(|code| code.parse().ok()).unwrap_or(0))
}

/// Output and exit code of a command that only prints.
fn builtin(line: &str, pid: &str, env: &str) -> (String, i32) {
    let (command, argument) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
    let text = match command {
        "" | "true" | "cd" => String::new(),
        "echo" => format!("{argument}\n"),
        "env" => format!("{env}\n"),
        "printenv" => {
            let value =
                env.lines().find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == argument));
            return value.map_or((String::new(), 1), |(_, value)| (format!("{value}\n"), 0));
        }
        "hostname" => format!("{pid}\n"),
        "pwd" => "/app\n".to_owned(),
        "whoami" => "app\n".to_owned(),
        "uname" => "Linux\n".to_owned(),
        "date" => format!("{}\n", now_text()),
        "ls" => "Dockerfile\nconvox.yml\nindex.html\n".to_owned(),
        "ps" => "PID   USER     COMMAND\n    1 app      node server.js\n".to_owned(),
        "false" => return (String::new(), 1),
        other => return (format!("sh: {other}: not found\n"), 127),
    };
    (text, 0)
}

/// Runs a command in a process or on an instance.
pub(super) async fn exec<R, W>(
    kind: SocketKind,
    call: &Call,
    state: &RackState,
    io: &mut SocketIo<R, W>,
    fault: Option<Fault>,
) -> Outcome
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    if fault == Some(Fault::SessionBlob) {
        io.text(session_blob()).await?;
    }
    let target = match target(kind, call, state) {
        Ok(target) => target,
        // An unknown app is found out before the exec starts; everything else ends one, with code 0.
        Err(refusal @ Refusal::AppNotFound(_)) => return Err(refusal.into()),
        Err(refusal) => {
            io.text(format!("{EXIT_MARKER}0\n")).await?;
            return Err(refusal.into());
        }
    };
    let (pid, env, lively) = target;
    let mut session = Session { io, fault, pid, env, lively };
    let command = call.value("command").unwrap_or_default();
    run(&mut session, command.trim(), call, state).await
}

/// The process or instance a call means, and the environment there.
fn target(kind: SocketKind, call: &Call, state: &RackState) -> Result<(String, String, bool), Refusal> {
    let mut state = state.lock();
    let lively = state.lively;
    if kind == SocketKind::Shell {
        let id = call.var("id");
        let known = state.instances.iter().any(|instance| instance.id == id);
        let found = (id.to_owned(), "HOME=/root".to_owned(), lively);
        return if known { Ok(found) } else { Err(Refusal::InstanceNotFound(id.to_owned())) };
    }
    let app = state.app(call.var("app"))?;
    let process = app.process(call.var("pid"))?;
    let env = app.release(&process.release).map(|release| release.env.clone()).unwrap_or_default();
    Ok((process.id.clone(), env, lively))
}

async fn run<R, W>(session: &mut Session<'_, R, W>, command: &str, call: &Call, state: &RackState) -> Outcome
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    let (word, argument) = command.split_once(' ').unwrap_or((command, ""));
    let number = || argument.trim().parse::<u64>().unwrap_or_default();
    match word {
        "exit" => return session.exit(exit_code(command).unwrap_or(0)).await,
        "cat" => session.cat().await?,
        "sleep" => {
            let second = state.lock().timing.sleep_second;
            tokio::time::sleep(second * u32::try_from(number()).unwrap_or(u32::MAX)).await;
        }
        "fail" => {
            session.exit(0).await?;
            return Err(Refusal::ExecFailed.into());
        }
        "flood" => {
            let kilobyte = format!("{}\n", "x".repeat(1023));
            for _ in 0..number() {
                session.out(kilobyte.clone()).await?;
            }
        }
        "bytes" => session.noise(number()).await?,
        "binary" => session.out((0..=255).collect::<Vec<u8>>()).await?,
        "binary2" => session.out((0..=255).rev().collect::<Vec<u8>>()).await?,
        "info" => {
            let header = |name: &str| call.header(name).unwrap_or("<nil>").to_owned();
            let tty = call.header("Tty").unwrap_or("true");
            session.out(format!("tty={tty} height={} width={}\n", header("Height"), header("Width"))).await?;
        }
        "" | "sh" | "bash" => {
            let code = session.shell().await?;
            return session.exit(code).await;
        }
        _ => {
            let (output, code) = builtin(command, &session.pid, &session.env);
            if !output.is_empty() {
                session.out(output).await?;
            }
            return session.exit(code).await;
        }
    }
    session.exit(0).await
}

/// The first frame of new v2 racks: what a client needs to talk to AWS itself.
fn session_blob() -> Vec<u8> {
    let blob = serde_json::json!({
        "sessionId": "ecs-execute-command-0123456789abcdef0",
        "streamUrl": "wss://ssmmessages.us-east-1.amazonaws.com/v1/data-channel/ecs-execute-command-0123456789abcdef0",
        "tokenValue": "AAEAAdemo-session-token",
        "region": "us-east-1",
    });
    let mut bytes = vec![0];
    bytes.extend_from_slice(blob.to_string().as_bytes());
    bytes
}

/// A database console: a shell without an exit code.
pub(super) async fn console<R, W>(call: &Call, state: &RackState, io: &mut SocketIo<R, W>) -> Outcome
where
    R: AsyncRead + Unpin,
    W: AsyncWrite + Unpin,
{
    state.lock().app(call.var("app"))?.resource(call.var("name"))?;
    let mut session = Session { io, fault: None, pid: String::new(), env: String::new(), lively: false };
    session.shell().await.map(drop)
}
