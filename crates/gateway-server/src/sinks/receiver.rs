//! Who takes entries, one for each kind of sink.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use gateway_config::{SinkCompression, SinkTarget};
use gateway_identity::oidc::FetchError;
use gateway_sinks::record::index_of_line;
use gateway_sinks::{
    Compression, FileFault, Record, RecordFault, RotatingFile, Rotation, Source, WebhookKey,
};
use gateway_types::Clock;
use http::StatusCode;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::SinkSetupError;
use super::stdout::Stdout;
use super::syslog::Syslog;
use super::web::{Otlp, Webhook};

/// Why entries were not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeliveryError {
    /// An entry has no such form.
    #[error(transparent)]
    Record(#[from] RecordFault),
    /// The file cannot be written.
    #[error(transparent)]
    File(#[from] FileFault),
    /// The thread that writes is gone, or was stopped.
    #[error("standard output cannot be written")]
    Stdout(#[source] io::Error),
    /// The connection could not be made, or was lost.
    #[error("the connection to {host} failed")]
    Connection {
        /// The server.
        host: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Nothing happened in time.
    #[error("{host} did not take the entries within {} s", limit.as_secs())]
    Slow {
        /// The server.
        host: String,
        /// How long it had.
        limit: Duration,
    },
    /// No answer came.
    #[error("the entries could not be posted")]
    Post(#[from] FetchError),
    /// The request cannot be made.
    #[error("the request cannot be made")]
    Request(#[source] http::Error),
    /// The answer is no yes.
    #[error("{host} answered with status {status}")]
    Status {
        /// The server.
        host: String,
        /// The status.
        status: StatusCode,
    },
    /// The collector took the request and not all of what is in it.
    #[error("{host} refused {rejected} of the entries")]
    Rejected {
        /// The server.
        host: String,
        /// How many.
        rejected: u64,
    },
    /// A task ended that should not have.
    #[error("the writing of the file was interrupted")]
    Interrupted,
}

/// Whoever takes entries.
pub(super) enum Receiver {
    Stdout(Stdout),
    File(LogFile),
    Syslog(Syslog),
    Otlp(Otlp),
    Webhook(Webhook),
}

impl Receiver {
    /// Makes one. Nothing is opened or dialled yet.
    ///
    /// # Errors
    /// [`SinkSetupError`].
    pub(super) fn new(
        target: &SinkTarget,
        source: Arc<Source>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SinkSetupError> {
        Ok(match target {
            SinkTarget::Stdout => Self::Stdout(Stdout::new(source)),
            SinkTarget::File(file) => {
                let rotation = Rotation {
                    path: file.path.clone(),
                    most_bytes: file.most_bytes,
                    keep: file.keep,
                    compression: match file.compression {
                        SinkCompression::None => Compression::None,
                        SinkCompression::Gzip => Compression::Gzip,
                    },
                };
                Self::File(LogFile { rotation, source, open: None })
            }
            SinkTarget::Syslog(server) => Self::Syslog(Syslog::new(server, source)?),
            SinkTarget::Otlp { url, ca_file, header } => {
                Self::Otlp(Otlp::new(url, ca_file.as_deref(), header.clone(), source)?)
            }
            SinkTarget::Webhook { url, ca_file, key } => {
                let key = WebhookKey::new(key.clone());
                Self::Webhook(Webhook::new(url, ca_file.as_deref(), key, source, clock)?)
            }
        })
    }

    /// Delivers the first of these entries, all of them unless time is up or something fails; how many were taken.
    pub(super) async fn deliver(
        &mut self,
        records: &[Record],
        until: Instant,
        stopping: &CancellationToken,
    ) -> (usize, Option<DeliveryError>) {
        let result = match self {
            Self::Webhook(webhook) => return webhook.deliver(records, until, stopping).await,
            Self::Stdout(stdout) => stdout.deliver(records, stopping).await,
            Self::File(file) => file.deliver(records).await,
            Self::Syslog(syslog) => syslog.deliver(records).await,
            Self::Otlp(otlp) => otlp.deliver(records).await,
        };
        match result {
            Ok(()) => (records.len(), None),
            Err(error) => (0, Some(error)),
        }
    }
}

/// A rotating file. What a process that was killed had written is not written again.
pub(super) struct LogFile {
    rotation: Rotation,
    source: Arc<Source>,
    open: Option<RotatingFile>,
}

impl LogFile {
    async fn deliver(&mut self, records: &[Record]) -> Result<(), DeliveryError> {
        let mut lines = Vec::with_capacity(records.len());
        for record in records {
            lines.push((record.index, record.line(&self.source)?));
        }
        let (open, rotation) = (self.open.take(), self.rotation.clone());
        let written = tokio::task::spawn_blocking(move || write(open, rotation, &lines)).await;
        // After a failure the file is opened again, which cuts off half a line.
        self.open = Some(written.map_err(|_panicked| DeliveryError::Interrupted)??);
        Ok(())
    }
}

fn write(
    open: Option<RotatingFile>,
    rotation: Rotation,
    lines: &[(u64, String)],
) -> Result<RotatingFile, FileFault> {
    let (mut file, last) = match open {
        Some(file) => (file, None),
        None => {
            let mut file = RotatingFile::open(rotation)?;
            let last = file.last_line()?.and_then(|line| index_of_line(&line));
            (file, last)
        }
    };
    for (index, line) in lines {
        if last.is_none_or(|last| last < *index) {
            file.append(line.as_bytes())?;
        }
    }
    file.sync()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use gateway_audit::{Actor, Event};
    use gateway_sinks::{Compression, Sampling};
    use gateway_types::{ActionName, EventId, OsEntropy, Resource, Timestamp};
    use tempfile::TempDir;

    use super::*;

    fn record(index: u64) -> Record {
        let time = Timestamp::from_micros(1_795_000_000_000_000);
        let action = ActionName::new("gateway:x:one");
        let id = EventId::new(time, &OsEntropy);
        let event = Event::new(time, id, action, Resource::gateway(), Actor::system());
        let leaf = event.to_leaf([7; 16]).unwrap();
        Record::read(index, leaf.bytes, leaf.hash, &Sampling::default()).unwrap().unwrap()
    }

    /// What a process wrote that was killed before its position was noted is in the file, and comes again.
    #[tokio::test]
    async fn what_is_in_the_file_is_not_written_again() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("audit.jsonl");
        let file = || LogFile {
            rotation: Rotation {
                path: path.clone(),
                most_bytes: 1 << 20,
                keep: 1,
                compression: Compression::None,
            },
            source: Arc::new(Source {
                gateway: "0190a0b0-0000-7000-8000-000000000001".parse().unwrap(),
                host: String::new(),
            }),
            open: None,
        };
        let records: Vec<Record> = (0..5).map(record).collect();
        file().deliver(&records[..3]).await.unwrap();
        file().deliver(&records).await.unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let indexes: Vec<u64> = text.lines().map(|line| index_of_line(line.as_bytes()).unwrap()).collect();
        assert_eq!(indexes, [0, 1, 2, 3, 4]);
    }
}
