//! TXT records of challenges, written by dynamic updates.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gateway_dns_client::{Change, DnsClient, KeyError, TsigKey};
use gateway_types::{Clock, Secret};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::error::TlsError;

pub use gateway_dns_client::TsigAlgorithm;

/// How long the server may take until it answers with a record that it took.
const VISIBLE_LIMIT: Duration = Duration::from_secs(60);

/// How often it is asked meanwhile.
const VISIBLE_INTERVAL: Duration = Duration::from_millis(500);

/// How long resolvers may keep the record, in seconds.
const TTL: u32 = 30;

/// Why a record could not be written.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// The server said no, or was not reached.
    #[error(
        "the DNS server did not take the update; look at its update-policy and at acme.dns.tsig_name and tsig_secret"
    )]
    Exchange(#[from] gateway_dns_client::DnsError),
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

/// Writes the TXT records of challenges.
#[derive(Clone, Debug)]
pub struct DnsUpdater {
    client: DnsClient,
}

impl DnsUpdater {
    /// One for this zone, with the TSIG key of this name.
    ///
    /// # Errors
    /// When a name is none or the key cannot be used.
    pub fn new(
        server: SocketAddr,
        zone: &str,
        (name, algorithm, secret): (&str, TsigAlgorithm, &Secret<Vec<u8>>),
        clock: Arc<dyn Clock>,
    ) -> Result<Self, TlsError> {
        let key = TsigKey { name, algorithm, secret };
        let client = DnsClient::new(server, zone, key, clock).map_err(|error| match error {
            KeyError::Name(name) => TlsError::DnsName(name),
            KeyError::Tsig => TlsError::Tsig,
        })?;
        Ok(Self { client })
    }

    /// Adds the record that proves `host`, and waits until the server answers with it.
    ///
    /// # Errors
    /// [`DnsError`].
    pub(super) async fn add(&self, host: &str, value: &str) -> Result<(), DnsError> {
        let record = self.record(host, value)?;
        self.client.update([Change::Add(record.clone())]).await?;
        self.wait_for(&record).await
    }

    /// Removes the record again. It is no error when it is not there.
    ///
    /// # Errors
    /// [`DnsError`].
    pub(super) async fn remove(&self, host: &str, value: &str) -> Result<(), DnsError> {
        let record = self.record(host, value)?;
        Ok(self.client.update([Change::Remove(record)]).await?)
    }

    fn record(&self, host: &str, value: &str) -> Result<Record, DnsError> {
        let other_zone = || DnsError::OtherZone { name: host.to_owned() };
        let name = self.client.name(&format!("_acme-challenge.{host}")).ok_or_else(other_zone)?;
        Ok(Record::from_rdata(name, TTL, RData::TXT(TXT::new(vec![value.to_owned()]))))
    }

    async fn wait_for(&self, record: &Record) -> Result<(), DnsError> {
        let deadline = Instant::now() + VISIBLE_LIMIT;
        let mut ticks = interval(VISIBLE_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while Instant::now() < deadline {
            ticks.tick().await;
            let found = self.client.query(&record.name, RecordType::TXT).await?;
            if found.iter().any(|found| found.data == record.data) {
                return Ok(());
            }
        }
        Err(DnsError::NotVisible)
    }
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
