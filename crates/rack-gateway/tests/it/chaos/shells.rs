//! Live exec sessions through a balancer: each says something several times a second and wants it back.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use gateway_convox::exec::EXIT_MARKER;
use gateway_framing::websocket::Opcode;
use gateway_testkit::{Socket, eventually};
use tokio::task::JoinHandle;
use tokio::time::interval;

const EXEC: &str = "/apps/myapp/processes/myapp-web-7d9f8b6c5-aaaa0/exec";

/// The process that holds a session: of which instance, and which of its starts.
pub(super) type Holder = (usize, usize);

/// One session.
pub(super) struct Shell {
    pub(super) holder: Holder,
    echoed: Arc<AtomicUsize>,
    /// All that it showed, once it has ended.
    end: Arc<Mutex<Option<String>>>,
    task: JoinHandle<()>,
}

impl Shell {
    /// Opens one; `instances` are the addresses at which the balancer knows them.
    pub(super) async fn open(
        balancer: SocketAddr,
        token: &str,
        instances: &[SocketAddr],
        starts: &[usize],
    ) -> Self {
        let headers = [("Command", "cat"), ("Tty", "false")];
        let (socket, reply) = Socket::open_and_reply(balancer, EXEC, token, &headers).await.unwrap();
        // A balancer that had to ask several names them all.
        let place = reply.header("x-instance").unwrap().rsplit(", ").next().unwrap();
        let instance = instances.iter().position(|addr| addr.to_string() == place).unwrap();
        let (echoed, end) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<Option<String>>>::default());
        let task = tokio::spawn(converse(socket, echoed.clone(), end.clone()));
        Self { holder: (instance, starts[instance]), echoed, end, task }
    }

    /// What it showed, when it has ended.
    pub(super) fn ended(&self) -> Option<String> {
        self.end.lock().unwrap().clone()
    }

    /// Waits until more came back, or it has ended; whether it goes on.
    pub(super) async fn goes_on(&self) -> bool {
        let before = self.echoed.load(Ordering::Relaxed);
        eventually("a word of a session, or its end", async || match self.ended() {
            Some(_) => Some(false),
            None => (self.echoed.load(Ordering::Relaxed) > before + 1).then_some(true),
        })
        .await
    }

    /// Waits for its end; what it showed.
    pub(super) async fn end(&self) -> String {
        eventually("the end of a session", async || self.ended()).await
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Whether what a session showed reads as the success of its command, to the client and to its person.
pub(super) fn looks_like_success(shown: &str) -> bool {
    shown.contains(&format!("{EXIT_MARKER}:0"))
}

/// Whether a session told its person that it ends because it cannot be recorded, and its client that it failed.
pub(super) fn says_it_was_not_recorded(shown: &str) -> bool {
    shown.contains("ERROR: the recording of this session cannot be written, so it ends")
        && shown.contains(&format!("{EXIT_MARKER}:1"))
}

async fn converse(mut socket: Socket, echoed: Arc<AtomicUsize>, end: Arc<Mutex<Option<String>>>) {
    let mut turns = interval(Duration::from_millis(200));
    let mut shown = String::new();
    'session: loop {
        turns.tick().await;
        let word = format!("word {}\n", echoed.load(Ordering::Relaxed));
        if !socket.offer(Opcode::Text, word.as_bytes()).await {
            break;
        }
        let said = shown.len();
        while !shown[said..].contains(&word) {
            let Some(frame) = socket.frame().await else { break 'session };
            shown.push_str(&String::from_utf8_lossy(&frame.payload));
            if shown[said..].contains(EXIT_MARKER) {
                break 'session;
            }
        }
        echoed.fetch_add(1, Ordering::Relaxed);
    }
    *end.lock().unwrap() = Some(shown);
}
