//! TXT records by dynamic updates (RFC 2136) that are signed with TSIG (RFC 8945), over TCP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{Clock, Secret};
use hickory_proto::ProtoError;
use hickory_proto::op::{Message, Query, ResponseCode, update_message};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm as Algorithm;
use hickory_proto::rr::{Name, RData, Record, RecordSet, RecordType, TSigner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::error::TlsError;

/// How long an exchange may take.
const EXCHANGE_LIMIT: Duration = Duration::from_secs(10);

/// How long the server may take until it answers with a record that it took.
const VISIBLE_LIMIT: Duration = Duration::from_secs(60);

/// How often it is asked meanwhile.
const VISIBLE_INTERVAL: Duration = Duration::from_millis(500);

/// How long resolvers may keep the record, in seconds.
const TTL: u32 = 30;

/// How far the clocks of gateway and server may be apart, in seconds (RFC 8945, section 10).
const FUDGE: u16 = 300;

/// Why a record could not be written.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The server cannot be reached, or hangs up.
    #[error("the DNS server {server} cannot be reached")]
    Unreachable {
        /// The server.
        server: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The server takes too long.
    #[error("the DNS server {server} did not answer in time")]
    TooSlow {
        /// The server.
        server: SocketAddr,
    },
    /// A message cannot be made or read, or its signature is wrong.
    #[error("a DNS message is not in order")]
    Message(#[source] ProtoError),
    /// The server said no.
    #[error(
        "the DNS server refused the update with {code}; look at its update-policy and at acme.dns.tsig_name and tsig_secret"
    )]
    Refused {
        /// What it said.
        code: ResponseCode,
    },
    /// The name is not in the zone.
    #[error("`{name}` is not in the zone of acme.dns.zone")]
    OtherZone {
        /// The name.
        name: String,
    },
    /// The server took the record and does not show it.
    #[error("the DNS server took the record and does not answer with it")]
    NotVisible,
}

/// An algorithm of TSIG.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TsigAlgorithm {
    /// HMAC with SHA-256.
    HmacSha256,
    /// HMAC with SHA-384.
    HmacSha384,
    /// HMAC with SHA-512.
    HmacSha512,
}

/// Writes the TXT records of challenges.
#[derive(Clone)]
pub struct DnsUpdater {
    server: SocketAddr,
    zone: Name,
    signer: TSigner,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for DnsUpdater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DnsUpdater").field("server", &self.server).finish_non_exhaustive()
    }
}

/// What is done with a record.
#[derive(Clone, Copy)]
enum Doing {
    Add,
    Remove,
}

impl DnsUpdater {
    /// One for this zone, with the TSIG key of this name.
    ///
    /// # Errors
    /// When a name is none or the key cannot be used.
    pub fn new(
        server: SocketAddr,
        zone: &str,
        (key_name, algorithm, secret): (&str, TsigAlgorithm, &Secret<Vec<u8>>),
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        let name = |text: &str| absolute(text).ok_or_else(|| TlsError::DnsName(text.to_owned()));
        let algorithm = match algorithm {
            TsigAlgorithm::HmacSha256 => Algorithm::HmacSha256,
            TsigAlgorithm::HmacSha384 => Algorithm::HmacSha384,
            TsigAlgorithm::HmacSha512 => Algorithm::HmacSha512,
        };
        let signer = TSigner::new(secret.expose().clone(), algorithm, name(key_name)?, FUDGE)
            .map_err(|_unusable| TlsError::Tsig)?;
        Ok(Self { server, zone: name(zone)?, signer, clock })
    }

    /// Adds the record that proves `host`, and waits until the server answers with it.
    ///
    /// # Errors
    /// [`DnsError`].
    pub(super) async fn add(&self, host: &str, value: &str) -> Result<(), DnsError> {
        let record = self.record(host, value)?;
        self.update(Doing::Add, record.clone()).await?;
        self.wait_for(&record).await
    }

    /// Removes the record again. It is no error when it is not there.
    ///
    /// # Errors
    /// [`DnsError`].
    pub(super) async fn remove(&self, host: &str, value: &str) -> Result<(), DnsError> {
        let record = self.record(host, value)?;
        self.update(Doing::Remove, record).await
    }

    fn record(&self, host: &str, value: &str) -> Result<Record, DnsError> {
        let other_zone = || DnsError::OtherZone { name: host.to_owned() };
        let name = absolute(&format!("_acme-challenge.{host}")).ok_or_else(other_zone)?;
        if !self.zone.zone_of(&name) {
            return Err(other_zone());
        }
        Ok(Record::from_rdata(name, TTL, RData::TXT(TXT::new(vec![value.to_owned()]))))
    }

    async fn update(&self, doing: Doing, record: Record) -> Result<(), DnsError> {
        let records = RecordSet::from(record);
        let mut message = match doing {
            Doing::Add => update_message::append(records, self.zone.clone(), false, false),
            Doing::Remove => update_message::delete_by_rdata(records, self.zone.clone(), false),
        };
        let seconds = u64::try_from(self.clock.now().micros() / 1_000_000).unwrap_or_default();
        let verifier = message.finalize(&self.signer, seconds).map_err(DnsError::Message)?;
        let answer = self.exchange(&message).await?;
        // A server that does not know the key cannot sign its no; it is taken at its word only for that.
        let code = code_of(&answer)?;
        if code != ResponseCode::NoError {
            return Err(DnsError::Refused { code });
        }
        match verifier {
            Some(mut verifier) => verifier.verify(&answer).map(|_verified| ()).map_err(DnsError::Message),
            None => Err(DnsError::Message(ProtoError::from("the update was not signed"))),
        }
    }

    async fn wait_for(&self, record: &Record) -> Result<(), DnsError> {
        let deadline = Instant::now() + VISIBLE_LIMIT;
        let mut ticks = interval(VISIBLE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while Instant::now() < deadline {
            ticks.tick().await;
            if self.shows(record).await? {
                return Ok(());
            }
        }
        Err(DnsError::NotVisible)
    }

    async fn shows(&self, record: &Record) -> Result<bool, DnsError> {
        let mut message = Message::query();
        message.metadata.recursion_desired = false;
        message.add_query(Query::query(record.name.clone(), RecordType::TXT));
        let answer = self.exchange(&message).await?;
        let answer = Message::from_vec(&answer).map_err(|error| DnsError::Message(error.into()))?;
        Ok(answer.metadata.authoritative && answer.answers.iter().any(|found| found.data == record.data))
    }

    async fn exchange(&self, message: &Message) -> Result<Vec<u8>, DnsError> {
        let bytes = message.to_vec().map_err(DnsError::Message)?;
        let server = self.server;
        match timeout(EXCHANGE_LIMIT, over_tcp(server, &bytes)).await {
            Ok(answered) => answered.map_err(|source| DnsError::Unreachable { server, source }),
            Err(_elapsed) => Err(DnsError::TooSlow { server }),
        }
    }
}

/// One question and its answer, each behind its length (RFC 1035, section 4.2.2).
async fn over_tcp(server: SocketAddr, question: &[u8]) -> Result<Vec<u8>, std::io::Error> {
    let length = u16::try_from(question.len()).map_err(|_long| std::io::ErrorKind::InvalidInput)?;
    let mut stream = TcpStream::connect(server).await?;
    stream.write_all(&[&length.to_be_bytes(), question].concat()).await?;
    let mut answer = vec![0u8; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut answer).await?;
    let is_answer = answer.get(..2).is_some() && answer.get(..2) == question.get(..2);
    if is_answer { Ok(answer) } else { Err(std::io::ErrorKind::InvalidData.into()) }
}

fn code_of(answer: &[u8]) -> Result<ResponseCode, DnsError> {
    let message = Message::from_vec(answer).map_err(|error| DnsError::Message(error.into()))?;
    Ok(message.metadata.response_code)
}

fn absolute(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?;
    name.set_fqdn(true);
    Some(name)
}

#[cfg(test)]
mod tests {
    use gateway_types::SystemClock;

    use super::*;

    #[test]
    fn records_stay_in_the_zone() {
        let key = ("gateway", TsigAlgorithm::HmacSha256, &Secret::new(vec![1; 32]));
        let server = "127.0.0.1:53".parse().unwrap();
        let updater = DnsUpdater::new(server, "Example.com", key, Arc::new(SystemClock)).unwrap();
        let check = |host: &str, expected: Option<&str>| {
            let found = updater.record(host, "value").ok().map(|record| record.name.to_string());
            assert_eq!(found.as_deref(), expected, "{host}");
        };
        check("gateway.example.com", Some("_acme-challenge.gateway.example.com."));
        check("example.com", Some("_acme-challenge.example.com."));
        check("example.org", None);
        check("notexample.com", None);
        check("a..example.com", None);
        assert!(!format!("{updater:?}").contains("signer"));
    }
}
