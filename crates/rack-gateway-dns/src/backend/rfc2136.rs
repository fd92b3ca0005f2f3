//! Any server that takes dynamic updates and hands the zone out to the key: BIND, Knot, PowerDNS, Windows DNS.

use gateway_dns_client::{Change, DnsClient, DnsError};
use hickory_proto::op::ResponseCode;
use hickory_proto::rr::Record;

use super::{Backend, BackendError, NameEdit, Observed, Pending, Refused};
use crate::record::{observed, rdata, wire_type};
use crate::store::Desired;

/// How large the edits of one update are together, in bytes by a generous estimate: a message has at most 65,535.
const MOST_BYTES: usize = 40_000;

/// What a record takes beside its value, in bytes: its name, which is rarely compressed away as a whole, and 10 more.
const PER_RECORD: usize = 80;

/// The back end of one zone on one server.
#[derive(Debug)]
pub struct Rfc2136 {
    client: DnsClient,
}

impl Rfc2136 {
    /// With this client.
    pub fn new(client: DnsClient) -> Self {
        Self { client }
    }

    fn changes(&self, edit: &NameEdit) -> Vec<Change> {
        let Some(name) = self.client.name(edit.name.as_str()) else { return Vec::new() };
        let gone = edit.remove.iter().chain(edit.put.keys());
        let mut changes: Vec<Change> =
            gone.map(|gone| Change::RemoveSet(name.clone(), wire_type(*gone))).collect();
        for set in edit.put.values() {
            let record = |value| rdata(value).map(|data| Record::from_rdata(name.clone(), set.ttl, data));
            changes.extend(set.values.iter().filter_map(record).map(Change::Add));
        }
        changes
    }

    /// Sends edits together. When the server refuses them, each goes alone, so that one bad name holds up no other.
    async fn send(&self, batch: &[NameEdit]) -> Result<Refused, BackendError> {
        match self.client.update(batch.iter().flat_map(|edit| self.changes(edit)).collect::<Vec<_>>()).await {
            Ok(()) => return Ok(Refused::new()),
            Err(DnsError::Refused { code }) if is_about_records(code) => {}
            Err(error) => return Err(error.into()),
        }
        let mut refused = Refused::new();
        for edit in batch {
            match self.client.update(self.changes(edit)).await {
                Ok(()) => {}
                Err(DnsError::Refused { code }) if is_about_records(code) => {
                    refused.insert(edit.name.clone(), format!("the DNS server refused with {code}"));
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(refused)
    }
}

/// A generous estimate of what an edit takes in a message, in bytes.
fn size(edit: &NameEdit) -> usize {
    let values = edit.put.values().flat_map(|set| &set.values);
    let values: usize = values.map(|value| value.to_string().len().saturating_add(PER_RECORD)).sum();
    values.saturating_add(edit.remove.len().saturating_add(edit.put.len()).saturating_mul(PER_RECORD))
}

/// Whether a no may be one to some records only; any other is about the key, the zone or the server.
fn is_about_records(code: ResponseCode) -> bool {
    matches!(code, ResponseCode::Refused | ResponseCode::FormErr | ResponseCode::NotZone)
}

impl Backend for Rfc2136 {
    fn kind(&self) -> &'static str {
        "rfc2136"
    }

    fn observe<'a>(&'a self, _desired: &'a Desired) -> Pending<'a, Observed> {
        Box::pin(async {
            let records = self.client.transfer().await?;
            Ok(Observed { actual: observed(&records), stale: None })
        })
    }

    fn apply<'a>(&'a self, edits: &'a [NameEdit], _desired: &'a Desired) -> Pending<'a, Refused> {
        Box::pin(async move {
            let mut refused = Refused::new();
            let mut rest = edits;
            while !rest.is_empty() {
                let mut bytes = 0usize;
                let fits = |edit: &&NameEdit| {
                    bytes = bytes.saturating_add(size(edit));
                    bytes <= MOST_BYTES
                };
                let count = rest.iter().take_while(fits).count().max(1);
                let (batch, later) = rest.split_at(count.min(rest.len()));
                refused.extend(self.send(batch).await?);
                rest = later;
            }
            Ok(refused)
        })
    }
}
