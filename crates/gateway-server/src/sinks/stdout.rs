//! Lines of JSON on standard output.
//!
//! A reader that stands still blocks a write for ever, and no runtime can end that: so a thread of its own writes, which the
//! end of the process does not wait for.

use std::io::{self, Write as _};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

use gateway_sinks::{Record, Source};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::receiver::DeliveryError;

/// How long a write that has begun is waited for when the gateway stops.
const FAREWELL: Duration = Duration::from_secs(2);

type Order = (Vec<u8>, oneshot::Sender<io::Result<()>>);

/// Standard output of this process.
pub(super) struct Stdout {
    source: Arc<Source>,
    /// The thread, once there was something to write.
    writer: Option<Sender<Order>>,
}

impl Stdout {
    pub(super) const fn new(source: Arc<Source>) -> Self {
        Self { source, writer: None }
    }

    pub(super) async fn deliver(
        &mut self,
        records: &[Record],
        stopping: &CancellationToken,
    ) -> Result<(), DeliveryError> {
        let mut text = Vec::new();
        for record in records {
            text.extend_from_slice(record.line(&self.source)?.as_bytes());
            text.push(b'\n');
        }
        let (done, written) = oneshot::channel();
        let gone = || DeliveryError::Stdout(io::ErrorKind::BrokenPipe.into());
        self.writer.get_or_insert_with(spawn).send((text, done)).map_err(|_closed| gone())?;
        let stopped = async {
            stopping.cancelled().await;
            tokio::time::sleep(FAREWELL).await;
        };
        let result = tokio::select! {
            result = written => result.map_err(|_closed| gone())?,
            () = stopped => Err(io::ErrorKind::TimedOut.into()),
        };
        result.map_err(DeliveryError::Stdout)
    }
}

fn spawn() -> Sender<Order> {
    let (sender, orders) = channel::<Order>();
    std::thread::spawn(move || {
        for (text, done) in orders {
            let mut stdout = io::stdout().lock();
            let result = stdout.write_all(&text).and_then(|()| stdout.flush());
            drop(stdout);
            // Whoever asked may have stopped waiting.
            let _ = done.send(result);
        }
    });
    sender
}
