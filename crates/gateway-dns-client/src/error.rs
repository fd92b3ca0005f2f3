//! Why a server was not asked, or did not do it.

use std::net::SocketAddr;

use hickory_proto::ProtoError;
use hickory_proto::op::ResponseCode;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// A name is none of the DNS.
    #[error("`{0}` is no DNS name")]
    Name(String),
    /// The TSIG key cannot be used.
    #[error("the TSIG key cannot be used")]
    Tsig,
}

/// Why an exchange came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum DnsError {
    /// What is asked for is no name.
    #[error("the name cannot be asked for")]
    Name(#[source] KeyError),
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
    #[error("the DNS server refused with {code}")]
    Refused {
        /// What it said.
        code: ResponseCode,
    },
    /// The server neither has the zone nor asks others who have it: that it has no record says nothing.
    #[error("the DNS server {server} does not know the zone and asks nobody else")]
    Lame {
        /// The server.
        server: SocketAddr,
    },
    /// A transfer ends before its second SOA record, or does not begin with one.
    #[error("the transfer of the zone is not complete")]
    Incomplete,
    /// The zone is larger than is read into memory.
    #[error("the zone has more than {0} bytes")]
    TooLarge(usize),
}
