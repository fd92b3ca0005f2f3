//! Whether a `Host` value is one host with at most one port.
//!
//! Does not know which hosts the gateway answers for.

use std::net::Ipv6Addr;

/// The longest host name (RFC 1035, section 2.3.4).
const MAX_NAME_BYTES: usize = 253;
/// The longest label of a host name (RFC 1035, section 2.3.4).
const MAX_LABEL_BYTES: usize = 63;

/// Whether `value`, without white space around it, is a host name or an IPv4 address or an IPv6
/// address in brackets, then nothing or `:` and a port.
///
/// Narrower than RFC 9110, section 7.2: no percent-encoding, no empty port, no underscore, no
/// trailing dot, no IPv6 zone. Each has let two parsers see two hosts.
pub(crate) fn is_plausible(value: &[u8]) -> bool {
    let Ok(value) = str::from_utf8(value) else { return false };
    if let Some(rest) = value.strip_prefix('[') {
        return rest.split_once(']').is_some_and(|(address, after)| {
            address.parse::<Ipv6Addr>().is_ok()
                && (after.is_empty() || after.strip_prefix(':').is_some_and(is_port))
        });
    }
    match value.split_once(':') {
        Some((name, port)) => is_name(name) && is_port(port),
        None => is_name(value),
    }
}

fn is_name(name: &str) -> bool {
    name.len() <= MAX_NAME_BYTES
        && name.split('.').all(|label| {
            (1..=MAX_LABEL_BYTES).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        })
}

fn is_port(port: &str) -> bool {
    (1..=5).contains(&port.len())
        && port.bytes().all(|byte| byte.is_ascii_digit())
        && port.parse::<u16>().is_ok()
}
