//! Where the bytes of a session go besides to their receiver.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::digest::{Context, SHA256};
use data_encoding::HEXLOWER;
use gateway_app::settings::RecordingMode;
use tokio::sync::mpsc;

/// Something that was said in a session.
pub(crate) enum Saying {
    /// It showed this.
    Output(Vec<u8>),
    /// This was typed.
    Input(Vec<u8>),
}

/// Where the bytes of a socket go besides.
#[derive(Clone)]
pub(crate) enum Tap {
    /// Nowhere.
    Nothing,
    /// Into a recording; what is typed only with `input`.
    Session {
        /// The way there.
        feed: Feed,
        /// What is typed is recorded too.
        input: bool,
    },
    /// What is typed, to be held against rules and not kept.
    Typed(Feed),
    /// Into digests: they are no terminal's.
    Transfer(Transfer),
}

impl Tap {
    /// Whether payloads that the rack sends are wanted.
    pub(crate) const fn takes_output(&self) -> bool {
        match self {
            Tap::Nothing | Tap::Typed(_) => false,
            Tap::Session { .. } | Tap::Transfer(_) => true,
        }
    }

    /// Whether payloads that the client sends are wanted.
    pub(crate) const fn takes_input(&self) -> bool {
        match self {
            Tap::Nothing => false,
            Tap::Session { input, .. } => *input,
            Tap::Typed(_) | Tap::Transfer(_) => true,
        }
    }

    /// The rack sent these bytes.
    pub(crate) async fn output(&self, bytes: Vec<u8>) {
        match self {
            Tap::Nothing | Tap::Typed(_) => {}
            Tap::Session { feed, .. } => feed.say(Saying::Output(bytes)).await,
            Tap::Transfer(transfer) => transfer.down(&bytes),
        }
    }

    /// The client sent these bytes.
    pub(crate) async fn input(&self, bytes: Vec<u8>) {
        match self {
            Tap::Nothing => {}
            Tap::Session { feed, .. } | Tap::Typed(feed) => feed.say(Saying::Input(bytes)).await,
            Tap::Transfer(transfer) => transfer.up(&bytes),
        }
    }
}

/// The way to the writer of a recording.
#[derive(Clone)]
pub(crate) struct Feed {
    sender: mpsc::Sender<Saying>,
    mode: RecordingMode,
    lost: Arc<AtomicU64>,
}

impl Feed {
    pub(super) fn new(sender: mpsc::Sender<Saying>, mode: RecordingMode) -> Self {
        Self { sender, mode, lost: Arc::default() }
    }

    /// How many bytes never came to the writer.
    pub(super) fn lost(&self) -> Arc<AtomicU64> {
        self.lost.clone()
    }

    /// A strict session waits until the writer takes it; any other goes on and counts what was lost.
    async fn say(&self, saying: Saying) {
        let (Saying::Output(bytes) | Saying::Input(bytes)) = &saying;
        let count = bytes.len() as u64;
        if count == 0 {
            return;
        }
        let taken = match self.mode {
            // The writer that is gone has said that the session ends.
            RecordingMode::Strict => self.sender.send(saying).await.is_ok(),
            RecordingMode::BestEffort => self.sender.try_send(saying).is_ok(),
            // Nothing of it would have been kept.
            RecordingMode::Off => {
                let _full = self.sender.try_send(saying);
                true
            }
        };
        if !taken {
            self.lost.fetch_add(count, Ordering::Relaxed);
        }
    }
}

/// What went through a channel, as sums.
#[derive(Clone, Default)]
pub struct Transfer(Arc<Mutex<Sums>>);

#[derive(Default)]
struct Sums {
    up: Sum,
    down: Sum,
}

struct Sum {
    bytes: u64,
    digest: Context,
}

impl Default for Sum {
    fn default() -> Self {
        Self { bytes: 0, digest: Context::new(&SHA256) }
    }
}

impl Transfer {
    /// These bytes went to the rack.
    pub(crate) fn up(&self, bytes: &[u8]) {
        self.add(|sums| &mut sums.up, bytes);
    }

    /// These bytes came from the rack.
    pub(crate) fn down(&self, bytes: &[u8]) {
        self.add(|sums| &mut sums.down, bytes);
    }

    fn add(&self, which: impl FnOnce(&mut Sums) -> &mut Sum, bytes: &[u8]) {
        let mut sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = which(&mut sums);
        sum.bytes = sum.bytes.saturating_add(bytes.len() as u64);
        sum.digest.update(bytes);
    }

    /// What went each way, as parameters of an event: `sent_bytes`, `sent_sha256`, `received_bytes`,
    /// `received_sha256`.
    pub(crate) fn parameters(&self) -> BTreeMap<String, String> {
        let sums = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut parameters = BTreeMap::new();
        for (way, sum) in [("sent", &sums.up), ("received", &sums.down)] {
            parameters.insert(format!("{way}_bytes"), sum.bytes.to_string());
            let digest = HEXLOWER.encode(sum.digest.clone().finish().as_ref());
            parameters.insert(format!("{way}_sha256"), digest);
        }
        parameters
    }
}

impl std::fmt::Debug for Transfer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transfer(…)")
    }
}
