//! The binary header of the PROXY protocol (version 2), with which a front tells whose connection it passes on.
//!
//! Knows nothing of sockets, of who may send a header, or how long it may take. Version 1, a line of text, is
//! refused: where it ends is found by searching, and fronts that speak it speak version 2 too.
//!
//! Source: `proxy-protocol.txt` of HAProxy, section 2.2.

use std::net::SocketAddr;

use ppp::v2::{Addresses, Command, Header, ParseError, Protocol};
use thiserror::Error;

/// The part of a header that is always there: signature, version and command, family, length.
pub const FIXED_BYTES: usize = 16;

/// The longest header, by the width of its length.
pub const MOST_BYTES: usize = FIXED_BYTES + u16::MAX as usize;

const SIGNATURE: [u8; 12] = *b"\r\n\r\n\0\r\nQUIT\n";

/// The extension with a checksum over the whole header (section 2.2.5).
const CRC32C: u8 = 0x03;

/// Whose connection it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Told {
    /// The front's own, such as a health check: the peer is whoever it is.
    Local,
    /// This client's; an IPv4 address in IPv6 clothes is an IPv4 address.
    Client(SocketAddr),
}

/// Why a header is not accepted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
pub enum ProxyFault {
    /// Something else than a header: a front that is listed sends one on every connection.
    #[error("the connection does not begin with a PROXY header of version 2")]
    NoHeader,
    /// A header of version 1.
    #[error("the PROXY header is of version 1; make the front send version 2")]
    Version1,
    /// Another version or command, or a length that does not hold the addresses it says it holds.
    #[error("the PROXY header is malformed")]
    Malformed,
    /// Neither TCP over IPv4 nor over IPv6.
    #[error("the PROXY header is not of a TCP connection")]
    NotTcp,
    /// An address that no client can have.
    #[error("the PROXY header names an address that no client can have")]
    Address,
    /// An extension that ends behind the header.
    #[error("an extension of the PROXY header ends behind the header")]
    Overrun,
    /// A checksum that does not fit.
    #[error("the checksum of the PROXY header is wrong")]
    Checksum,
}

/// How long the whole header is whose first [`FIXED_BYTES`] these are.
///
/// # Errors
/// [`ProxyFault`] when it is none, whatever follows.
pub fn length(fixed: &[u8; FIXED_BYTES]) -> Result<usize, ProxyFault> {
    let [signature @ .., version_and_command, _family, high, low] = fixed;
    if *signature != SIGNATURE {
        let is_first = signature.starts_with(b"PROXY ");
        return Err(if is_first { ProxyFault::Version1 } else { ProxyFault::NoHeader });
    }
    if version_and_command >> 4 != 2 {
        return Err(ProxyFault::Malformed);
    }
    Ok(FIXED_BYTES + usize::from(u16::from_be_bytes([*high, *low])))
}

/// Reads a whole header, as long as [`length`] said.
///
/// # Errors
/// [`ProxyFault`]: who calls is then not known, and a guess would be worse than a refusal.
pub fn parse(header: &[u8]) -> Result<Told, ProxyFault> {
    let parsed = Header::try_from(header).map_err(|fault| match fault {
        ParseError::Prefix => ProxyFault::NoHeader,
        ParseError::Incomplete(_)
        | ParseError::Version(_)
        | ParseError::Command(_)
        | ParseError::AddressFamily(_)
        | ParseError::Protocol(_)
        | ParseError::Partial(..)
        | ParseError::InvalidAddresses(..)
        | ParseError::InvalidTLV(..)
        | ParseError::Leftovers(_) => ProxyFault::Malformed,
    })?;
    if parsed.as_bytes().len() != header.len() {
        return Err(ProxyFault::Malformed);
    }
    match parsed.command {
        Command::Local => Ok(Told::Local),
        Command::Proxy => {
            check_extensions(header, parsed.tlv_bytes())?;
            if parsed.protocol != Protocol::Stream {
                return Err(ProxyFault::NotTcp);
            }
            let address = match parsed.addresses {
                Addresses::IPv4(pair) => SocketAddr::from((pair.source_address, pair.source_port)),
                Addresses::IPv6(pair) => SocketAddr::from((pair.source_address, pair.source_port)),
                Addresses::Unspecified | Addresses::Unix(_) => return Err(ProxyFault::NotTcp),
            };
            let address = SocketAddr::new(address.ip().to_canonical(), address.port());
            if address.ip().is_unspecified() || address.ip().is_multicast() {
                return Err(ProxyFault::Address);
            }
            Ok(Told::Client(address))
        }
    }
}

/// Walks the extensions, which end exactly with the header; a checksum among them must fit.
fn check_extensions(header: &[u8], extensions: &[u8]) -> Result<(), ProxyFault> {
    let begin = header.len().saturating_sub(extensions.len());
    let mut at = 0;
    let mut checksum = None;
    while at < extensions.len() {
        let rest = extensions.get(at..).unwrap_or_default();
        let [kind, high, low, rest @ ..] = rest else { return Err(ProxyFault::Overrun) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let value = rest.get(..length).ok_or(ProxyFault::Overrun)?;
        if *kind == CRC32C {
            let told: [u8; 4] = value.try_into().map_err(|_length| ProxyFault::Checksum)?;
            if checksum.replace((begin + at + 3, u32::from_be_bytes(told))).is_some() {
                return Err(ProxyFault::Checksum);
            }
        }
        at += 3 + length;
    }
    match checksum {
        Some((place, told)) if crc32c_without(header, place) != told => Err(ProxyFault::Checksum),
        Some(_) | None => Ok(()),
    }
}

/// CRC-32C (RFC 3720, appendix B.4) with the four bytes at `place` taken as zero.
fn crc32c_without(header: &[u8], place: usize) -> u32 {
    let mut crc = !0u32;
    for (at, byte) in header.iter().enumerate() {
        let byte = if (place..place + 4).contains(&at) { 0 } else { *byte };
        crc ^= u32::from(byte);
        for _bit in 0..8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0x82F6_3B78 } else { crc >> 1 };
        }
    }
    !crc
}

#[cfg(test)]
mod tests;
