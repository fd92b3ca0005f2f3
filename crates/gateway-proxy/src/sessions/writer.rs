//! The writer of one recording: masks what is said, keeps it in sealed pieces, and puts the digest of each piece into
//! the audit log. It ends when the session does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gateway_app::settings::RecordingMode;
use gateway_recording::{Chunk, MOST_CHUNK_BYTES, Recorder};
use gateway_secrets::TerminalMasker;
use gateway_store::{OpenRecording, SessionEnd, StoreError};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::About;
use super::alerts::Alerts;
use super::tap::{Saying, Transfer};
use crate::plane::DataPlane;

/// How long a line may wait until it is kept. What a `kill -9` of the gateway can take from a recording.
const SOON: Duration = Duration::from_secs(2);

/// How long one attempt to keep a piece may take, and how long a strict session waits for all of them.
const ATTEMPT: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(8);

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

pub(super) const BEGIN: &str = "gateway:recording:begin";
pub(super) const CHUNK: &str = "gateway:recording:chunk";
pub(super) const END: &str = "gateway:recording:end";
pub(super) const GAP: &str = "gateway:recording:gap";

/// What a terminal's session is taken down with.
pub(super) struct Recording {
    pub(super) recorder: Recorder,
    pub(super) output: TerminalMasker,
    /// There when what is typed is recorded.
    pub(super) input: Option<TerminalMasker>,
}

impl Recording {
    fn take(&mut self, at: Duration, saying: &Saying) {
        let mut masked = Vec::new();
        match saying {
            Saying::Output(bytes) => {
                self.output.push(bytes, &mut masked);
                self.recorder.output(at, &masked);
            }
            Saying::Input(bytes) => {
                if let Some(input) = &mut self.input {
                    input.push(bytes, &mut masked);
                    self.recorder.input(at, &masked);
                }
            }
        }
    }

    fn finish(self, at: Duration, ending: &str) -> Chunk {
        let Self { mut recorder, output, input } = self;
        let mut rest = Vec::new();
        output.finish(&mut rest);
        recorder.output(at, &rest);
        rest.clear();
        if let Some(input) = input {
            input.finish(&mut rest);
            recorder.input(at, &rest);
        }
        recorder.finish(at, ending)
    }
}

/// Writes one session down.
pub(super) struct Writer {
    pub(super) plane: Arc<DataPlane>,
    pub(super) about: About,
    pub(super) mode: RecordingMode,
    pub(super) open: OpenRecording,
    /// The head of the recording, while it is not kept.
    pub(super) head: Option<Chunk>,
    /// `None` for a session of which only that it was is noted.
    pub(super) recording: Option<Recording>,
    /// There when typed lines are held against rules.
    pub(super) alerts: Option<Alerts>,
    /// There for a channel.
    pub(super) transfer: Option<Transfer>,
    pub(super) began: Instant,
    pub(super) receiver: mpsc::Receiver<Saying>,
    pub(super) broken: watch::Sender<bool>,
    /// Bytes that are in no piece, and how many of them were told.
    pub(super) lost: Arc<AtomicU64>,
    pub(super) told_lost: u64,
    pub(super) ending: Arc<Mutex<Option<String>>>,
}

impl Writer {
    /// Keeps the head of the recording, and writes into the log that it began.
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        let Some(chunk) = self.recording.as_mut().and_then(|recording| recording.recorder.cut()) else {
            return Ok(());
        };
        let kept = self.attempt(&chunk, BEGIN).await;
        if kept.is_err() {
            self.head = Some(chunk);
        }
        kept
    }

    /// The session never began.
    pub(super) async fn give_up(self) {
        self.close("it could not be recorded").await;
    }

    pub(super) async fn run(mut self) {
        if let Some(head) = self.head.take()
            && self.keep(&head, BEGIN).await.is_err()
        {
            return self.fail().await;
        }
        let mut due: Option<Instant> = None;
        loop {
            let soon = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                said = self.receiver.recv() => match said {
                    Some(saying) => {
                        let at = self.began.elapsed();
                        if let Some(recording) = &mut self.recording {
                            recording.take(at, &saying);
                        }
                        if let (Some(alerts), Saying::Input(typed)) = (&mut self.alerts, &saying) {
                            alerts.take(&self.plane, &self.about, typed);
                        }
                        due.get_or_insert_with(|| Instant::now() + SOON);
                    }
                    None => break,
                },
                () = soon => {
                    due = None;
                    if self.flush().await.is_err() { return self.fail().await }
                }
            }
            let waiting = self.recording.as_ref().map_or(0, |recording| recording.recorder.waiting_bytes());
            if waiting >= MOST_CHUNK_BYTES {
                due = None;
                if self.flush().await.is_err() {
                    return self.fail().await;
                }
            }
        }
        self.finish().await;
    }

    async fn flush(&mut self) -> Result<(), StoreError> {
        self.tell_gap();
        let Some(chunk) = self.recording.as_mut().and_then(|recording| recording.recorder.cut()) else {
            return Ok(());
        };
        self.keep(&chunk, CHUNK).await
    }

    /// Notes in the recording and in the log what is missing since the last time.
    fn tell_gap(&mut self) {
        let lost = self.lost.load(Ordering::Relaxed);
        let fresh = lost.saturating_sub(self.told_lost);
        if fresh == 0 {
            return;
        }
        self.told_lost = lost;
        let at = self.began.elapsed();
        if let Some(recording) = &mut self.recording {
            recording.recorder.marker(at, &format!("{fresh} bytes were not recorded"));
        }
        let mut event = self.about.event(&self.plane, GAP);
        event.parameters.insert("bytes".to_owned(), fresh.to_string());
        event.reason = Some("the recording could not keep up, or could not be written".to_owned());
        self.plane.parts.store.audit().queue(event);
    }

    /// Keeps a piece, and tries again for as long as it may.
    async fn keep(&mut self, chunk: &Chunk, action: &str) -> Result<(), StoreError> {
        let until = Instant::now() + PATIENCE;
        loop {
            let error = match self.attempt(chunk, action).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let gives_up = match self.mode {
                RecordingMode::Strict => Instant::now() >= until,
                // The session goes on, and so do the attempts, until it ends.
                RecordingMode::BestEffort | RecordingMode::Off => {
                    self.receiver.is_closed() && self.receiver.is_empty() && Instant::now() >= until
                }
            };
            if gives_up {
                return Err(error);
            }
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                recording = %self.about.id,
                "a piece of a recording was not kept; it is tried again"
            );
            sleep(PAUSE).await;
        }
    }

    async fn attempt(&mut self, chunk: &Chunk, action: &str) -> Result<(), StoreError> {
        let lost = self.lost.load(Ordering::Relaxed);
        let event = self.chunk_event(chunk, action);
        let keeping = async {
            self.open.add(chunk, lost).await?;
            self.plane.parts.store.audit().append(event).await
        };
        timeout(ATTEMPT, keeping)
            .await
            .map_err(|_elapsed| StoreError::TimedOut { doing: "a piece of a recording", limit: ATTEMPT })?
            .map(drop)
    }

    fn chunk_event(&self, chunk: &Chunk, action: &str) -> gateway_audit::Event {
        let mut event = self.about.event(&self.plane, action);
        let mut note = |name: &str, value: String| drop(event.parameters.insert(name.to_owned(), value));
        note("piece", chunk.sequence.to_string());
        note("digest", chunk.digest.to_string());
        note("bytes", chunk.plain.len().to_string());
        note("mode", self.mode.name().to_owned());
        event
    }

    /// The recording cannot be written: whoever is in the session is told, and it ends.
    async fn fail(self) {
        tracing::error!(recording = %self.about.id, "a recording cannot be written");
        self.broken.send_replace(true);
        let mut event = self.about.event(&self.plane, GAP);
        event.reason = Some("the recording could not be written, so the session was ended".to_owned());
        self.plane.parts.store.audit().queue(event);
        self.close("its recording could not be written").await;
    }

    async fn finish(mut self) {
        let told = self.ending.lock().unwrap_or_else(PoisonError::into_inner).take();
        let ending = told.unwrap_or_else(|| "the session did not begin".to_owned());
        self.tell_gap();
        let at = self.began.elapsed();
        if let Some(recording) = self.recording.take() {
            let chunk = recording.finish(at, &ending);
            if let Err(error) = self.keep(&chunk, END).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    recording = %self.about.id,
                    "the end of a recording could not be written"
                );
            }
        }
        if let Some(transfer) = self.transfer.take() {
            let mut event = self.about.event(&self.plane, END);
            event.parameters.extend(transfer.parameters());
            event.parameters.insert("mode".to_owned(), self.mode.name().to_owned());
            event.reason = Some(gateway_audit::bounded(&ending));
            if let Err(error) = self.plane.parts.store.audit().append(event).await {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the end of a channel was not recorded"
                );
            }
        }
        self.close(&ending).await;
    }

    async fn close(self, ending: &str) {
        let end = SessionEnd { ending, lost_bytes: self.lost.load(Ordering::Relaxed) };
        if let Err(error) = self.open.end(end).await {
            // Without a sign of life it counts as cut soon.
            tracing::warn!(error = &error as &dyn std::error::Error, "the end of a session was not noted");
        }
        self.plane.sessions.leave(self.about.id);
    }
}
