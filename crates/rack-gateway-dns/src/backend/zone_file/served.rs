//! Which serial a server answers with.

use std::net::SocketAddr;

use gateway_dns_client::DnsError;
use hickory_proto::rr::{Name, RData, RecordType};

use crate::name::DnsName;

/// The serial of the zone on the server; `None` when it does not answer for the zone.
///
/// # Errors
/// [`DnsError`].
pub(super) async fn serial(server: SocketAddr, zone: &DnsName) -> Result<Option<u32>, DnsError> {
    let Ok(name) = Name::from_ascii(format!("{zone}.")) else { return Ok(None) };
    let records = gateway_dns_client::query(server, &name, RecordType::SOA).await?;
    Ok(records.into_iter().find_map(|record| match record.data {
        RData::SOA(soa) => Some(soa.serial),
        _ => None,
    }))
}
