//! Being told to stop: SIGTERM from a supervisor, SIGINT from a keyboard.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::failure::{Failure, Problem};

/// The name of the signal that supervisors send.
pub(crate) const SIGTERM: &str = "SIGTERM";

/// Both signals, listened to from the moment this is made.
#[derive(Debug)]
pub(crate) struct StopSignals {
    terminate: Signal,
    interrupt: Signal,
}

/// How a stop went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stopped {
    /// Everything was finished.
    Gracefully,
    /// A second signal came first.
    AtOnce,
}

impl StopSignals {
    /// Listens.
    ///
    /// # Errors
    /// When the system gives no signals.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).problem("signals cannot be listened to");
        Ok(Self { terminate: on(SignalKind::terminate())?, interrupt: on(SignalKind::interrupt())? })
    }

    /// Waits for the next one; returns its name.
    pub(crate) async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => SIGTERM,
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Waits for `work`, but no longer than until the next signal.
    pub(crate) async fn or_at_once(&mut self, work: impl Future<Output = ()>) -> Stopped {
        tokio::select! {
            () = work => Stopped::Gracefully,
            _ = self.next() => Stopped::AtOnce,
        }
    }
}
