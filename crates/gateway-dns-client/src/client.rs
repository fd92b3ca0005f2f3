//! The client: one zone on one server, with one key.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_types::{Clock, Secret};
use hickory_proto::ProtoError;
use hickory_proto::op::{Message, OpCode, Query, ResponseCode, UpdateMessage};
use hickory_proto::rr::rdata::tsig::TsigAlgorithm as Algorithm;
use hickory_proto::rr::{DNSClass, Name, Record, RecordType, TSigVerifier, TSigner};
use tokio::time::timeout;

use crate::error::{DnsError, KeyError};
use crate::wire::Asked;

/// How long an exchange may take.
pub(crate) const EXCHANGE_LIMIT: Duration = Duration::from_secs(10);

/// How long a transfer may take.
const TRANSFER_LIMIT: Duration = Duration::from_secs(120);

/// The largest zone that is read into memory, in bytes as sent.
const LARGEST_ZONE: usize = 64 * 1024 * 1024;

/// How far the clocks of both ends may be apart, in seconds (RFC 8945, section 10).
const FUDGE: u16 = 300;

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

/// A key that server and client share.
#[derive(Clone, Copy, Debug)]
pub struct TsigKey<'a> {
    /// Its name on the server.
    pub name: &'a str,
    /// What it signs with.
    pub algorithm: TsigAlgorithm,
    /// The key itself, decoded.
    pub secret: &'a Secret<Vec<u8>>,
}

/// One step of an update. The steps of one update are done in their order and all together, or not at all.
#[derive(Clone, PartialEq, Debug)]
pub enum Change {
    /// Adds a record.
    Add(Record),
    /// Removes this very record. It is no error when it is not there.
    Remove(Record),
    /// Removes all records of a type at a name. It is no error when there are none.
    RemoveSet(Name, RecordType),
}

/// Speaks with one server about one zone. Clones share the key.
#[derive(Clone)]
pub struct DnsClient {
    server: SocketAddr,
    zone: Name,
    signer: TSigner,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for DnsClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DnsClient").field("server", &self.server).finish_non_exhaustive()
    }
}

impl DnsClient {
    /// One for this zone.
    ///
    /// # Errors
    /// When a name is none or the key cannot be used.
    pub fn new(
        server: SocketAddr,
        zone: &str,
        key: TsigKey<'_>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, KeyError> {
        let name = |text: &str| absolute(text).ok_or_else(|| KeyError::Name(text.to_owned()));
        let algorithm = match key.algorithm {
            TsigAlgorithm::HmacSha256 => Algorithm::HmacSha256,
            TsigAlgorithm::HmacSha384 => Algorithm::HmacSha384,
            TsigAlgorithm::HmacSha512 => Algorithm::HmacSha512,
        };
        let signer = TSigner::new(key.secret.expose().clone(), algorithm, name(key.name)?, FUDGE)
            .map_err(|_unusable| KeyError::Tsig)?;
        Ok(Self { server, zone: name(zone)?, signer, clock })
    }

    /// The absolute name of a text, if it lies in the zone.
    pub fn name(&self, text: &str) -> Option<Name> {
        absolute(text).filter(|name| self.zone.zone_of(name))
    }

    /// Does all of these changes, or none.
    ///
    /// # Errors
    /// [`DnsError`]. After [`DnsError::Refused`] nothing was done; after the others it is not known.
    pub async fn update(&self, changes: impl IntoIterator<Item = Change> + Send) -> Result<(), DnsError> {
        let mut message = Message::query();
        message.metadata.op_code = OpCode::Update;
        message.metadata.recursion_desired = false;
        let mut zone = Query::query(self.zone.clone(), RecordType::SOA);
        zone.set_query_class(DNSClass::IN);
        message.add_zone(zone);
        for change in changes {
            message.add_update(change.into_update());
        }
        let mut verifier = self.sign(&mut message)?;
        timed(self.server, EXCHANGE_LIMIT, async {
            let answer = self.ask(&message).await?.message().await.map_err(|source| self.lost(source))?;
            verified(&mut verifier, &answer).map(|_done| ())
        })
        .await
    }

    /// All records of the zone, with its SOA record once, as the server holds them.
    ///
    /// # Errors
    /// [`DnsError`]. Each message must be signed, so that nobody on the way can add, change or cut anything.
    pub async fn transfer(&self) -> Result<Vec<Record>, DnsError> {
        let mut message = Message::query();
        message.metadata.recursion_desired = false;
        message.add_query(Query::query(self.zone.clone(), RecordType::AXFR));
        let mut verifier = self.sign(&mut message)?;
        timed(self.server, TRANSFER_LIMIT, async {
            let mut asked = self.ask(&message).await?;
            let mut records = Vec::new();
            let mut size = 0usize;
            loop {
                let answer = asked.message().await.map_err(|source| self.lost(source))?;
                size = size.saturating_add(answer.len());
                if size > LARGEST_ZONE {
                    return Err(DnsError::TooLarge(LARGEST_ZONE));
                }
                records.extend(verified(&mut verifier, &answer)?.answers);
                if is_whole(&records)? {
                    records.pop();
                    return Ok(records);
                }
            }
        })
        .await
    }

    /// What [`query`] finds on this server.
    ///
    /// # Errors
    /// [`DnsError`].
    pub async fn query(&self, name: &Name, record_type: RecordType) -> Result<Vec<Record>, DnsError> {
        query(self.server, name, record_type).await
    }

    fn sign(&self, message: &mut Message) -> Result<TSigVerifier, DnsError> {
        let seconds = u64::try_from(self.clock.now().micros() / 1_000_000).unwrap_or_default();
        let verifier = message.finalize(&self.signer, seconds).map_err(DnsError::Message)?;
        verifier.ok_or_else(|| DnsError::Message(ProtoError::from("the message was not signed")))
    }

    async fn ask(&self, message: &Message) -> Result<Asked, DnsError> {
        let bytes = message.to_vec().map_err(DnsError::Message)?;
        Asked::ask(self.server, &bytes).await.map_err(|source| self.lost(source))
    }

    fn lost(&self, source: std::io::Error) -> DnsError {
        DnsError::Unreachable { server: self.server, source }
    }
}

/// What a server answers to anybody: its own records of this name and type. A server that passes the question on is taken
/// for one that has none.
///
/// # Errors
/// [`DnsError`].
///
/// # Security
/// The answer is not signed: whoever is on the way can change it.
pub async fn query(
    server: SocketAddr,
    name: &Name,
    record_type: RecordType,
) -> Result<Vec<Record>, DnsError> {
    let mut message = Message::query();
    message.metadata.recursion_desired = false;
    message.add_query(Query::query(name.clone(), record_type));
    let question = message.to_vec().map_err(DnsError::Message)?;
    let lost = |source| DnsError::Unreachable { server, source };
    timed(server, EXCHANGE_LIMIT, async {
        let mut asked = Asked::ask(server, &question).await.map_err(lost)?;
        let answer = asked.message().await.map_err(lost)?;
        let answer = Message::from_vec(&answer).map_err(|error| DnsError::Message(error.into()))?;
        if !answer.metadata.authoritative {
            return Ok(Vec::new());
        }
        let is_asked = |found: &Record| found.name == *name && found.record_type() == record_type;
        Ok(answer.answers.into_iter().filter(is_asked).collect())
    })
    .await
}

impl Change {
    /// The record that says it (RFC 2136, section 2.5).
    fn into_update(self) -> Record {
        match self {
            Change::Add(record) => record,
            Change::Remove(mut record) => {
                record.dns_class = DNSClass::NONE;
                record.ttl = 0;
                record
            }
            Change::RemoveSet(name, record_type) => {
                let mut record = Record::update0(name, 0, record_type).into_record_of_rdata();
                record.dns_class = DNSClass::ANY;
                record
            }
        }
    }
}

pub(crate) async fn timed<T>(
    server: SocketAddr,
    limit: Duration,
    exchange: impl Future<Output = Result<T, DnsError>> + Send,
) -> Result<T, DnsError> {
    timeout(limit, exchange).await.unwrap_or(Err(DnsError::TooSlow { server }))
}

/// The message, if the server signed it and does not say no. A server that does not know the key cannot sign its no; it is
/// taken at its word only for that.
fn verified(verifier: &mut TSigVerifier, answer: &[u8]) -> Result<Message, DnsError> {
    let message = Message::from_vec(answer).map_err(|error| DnsError::Message(error.into()))?;
    let code = message.metadata.response_code;
    if code != ResponseCode::NoError {
        return Err(DnsError::Refused { code });
    }
    verifier.verify(answer).map_err(DnsError::Message)?;
    Ok(message)
}

/// Whether the zone is there from its first SOA record to its second (RFC 5936, section 2.2).
fn is_whole(records: &[Record]) -> Result<bool, DnsError> {
    match records {
        [first, ..] if first.record_type() != RecordType::SOA => Err(DnsError::Incomplete),
        [] => Err(DnsError::Incomplete),
        [_first] => Ok(false),
        [_first, .., last] => Ok(last.record_type() == RecordType::SOA),
    }
}

pub(crate) fn absolute(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?;
    name.set_fqdn(true);
    Some(name)
}

#[cfg(test)]
mod tests {
    use gateway_types::SystemClock;

    use super::*;

    #[test]
    fn names_stay_in_the_zone_and_keys_are_not_shown() {
        let secret = Secret::new(vec![1; 32]);
        let key = TsigKey { name: "gateway", algorithm: TsigAlgorithm::HmacSha256, secret: &secret };
        let client =
            DnsClient::new("127.0.0.1:53".parse().unwrap(), "Example.com", key, Arc::new(SystemClock))
                .unwrap();
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(client.name(text).map(|name| name.to_string()).as_deref(), expected, "{text}");
        };
        check("a.example.com", Some("a.example.com."));
        check("example.com.", Some("example.com."));
        check("example.org", None);
        check("notexample.com", None);
        check("a..example.com", None);
        assert!(!format!("{client:?}").contains("signer"));
    }
}
