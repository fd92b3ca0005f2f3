//! Standard input and output of a session, each with a thread of its own, since neither can be waited for otherwise;
//! and the signals that end it.

use std::io::{self, Read as _, Write as _};
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{mpsc, oneshot};

use crate::failure::{Failure, Problem as _};

/// How much is read at once, in bytes.
const READ_BYTES: usize = 16 * 1024;

/// How many pieces may wait in a channel.
const MOST_WAITING: usize = 4;

/// What is typed or piped in. Its thread ends with the program: nothing can call it back from a read.
pub(super) fn reader() -> mpsc::Receiver<Vec<u8>> {
    let (send, receive) = mpsc::channel(MOST_WAITING);
    thread::spawn(move || {
        let mut bytes = vec![0; READ_BYTES];
        loop {
            let count = match io::stdin().lock().read(&mut bytes) {
                Ok(0) => return,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // As at the end: whoever fed it is gone.
                Err(_) => return,
            };
            if send.blocking_send(bytes.get(..count).unwrap_or_default().to_vec()).is_err() {
                return;
            }
        }
    });
    receive
}

/// Where what is shown goes, and how writing it ended once all of it was written.
pub(super) fn writer() -> (mpsc::Sender<Vec<u8>>, oneshot::Receiver<io::Result<()>>) {
    let (send, mut receive) = mpsc::channel::<Vec<u8>>(MOST_WAITING);
    let (tell, told) = oneshot::channel();
    thread::spawn(move || {
        let mut write = || -> io::Result<()> {
            let mut out = io::stdout().lock();
            while let Some(bytes) = receive.blocking_recv() {
                out.write_all(&bytes)?;
                out.flush()?;
            }
            Ok(())
        };
        // Nobody asks any more when the program ends for another reason.
        let _ended = tell.send(write());
    });
    (send, told)
}

/// The signals that end a session from outside; the keys of a raw terminal are none.
pub(super) struct Signals {
    hangup: Signal,
    interrupt: Signal,
    quit: Signal,
    terminate: Signal,
}

/// A signal that ends it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Ending {
    Hangup,
    Interrupt,
    Quit,
    Terminate,
}

impl Ending {
    /// What a shell reports of a program that the signal ended: 128 and its number.
    pub(super) const fn exit_code(self) -> u8 {
        match self {
            Ending::Hangup => 129,
            Ending::Interrupt => 130,
            Ending::Quit => 131,
            Ending::Terminate => 143,
        }
    }
}

impl Signals {
    /// Listens.
    ///
    /// # Errors
    /// When the system gives no signals.
    pub(super) fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).problem("signals cannot be listened to");
        Ok(Self {
            hangup: on(SignalKind::hangup())?,
            interrupt: on(SignalKind::interrupt())?,
            quit: on(SignalKind::quit())?,
            terminate: on(SignalKind::terminate())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) -> Ending {
        tokio::select! {
            _ = self.hangup.recv() => Ending::Hangup,
            _ = self.interrupt.recv() => Ending::Interrupt,
            _ = self.quit.recv() => Ending::Quit,
            _ = self.terminate.recv() => Ending::Terminate,
        }
    }
}
