//! The grammar of `Forwarded` (RFC 7239, section 4), as far as addresses and schemes go: what else an element
//! tells is held to the grammar and not used.

use std::net::{IpAddr, Ipv4Addr};

use gateway_app::origin::Scheme;
use http::HeaderMap;
use http::header::FORWARDED;

use super::{ForwardedFault, address};

/// One hop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Hop {
    /// Who made the request.
    pub(super) ip: IpAddr,
    /// By which scheme, when that is told.
    pub(super) scheme: Option<Scheme>,
}

/// The hops of all `Forwarded` headers, the client's end first.
pub(super) fn read(headers: &HeaderMap) -> Result<Vec<Hop>, ForwardedFault> {
    let mut hops = Vec::new();
    for value in headers.get_all(FORWARDED) {
        let text = value.to_str().map_err(|_bytes| ForwardedFault::Malformed)?;
        for element in split(text, ',')? {
            if !element.trim().is_empty() {
                hops.push(hop(element)?);
            }
        }
    }
    Ok(hops)
}

fn hop(element: &str) -> Result<Hop, ForwardedFault> {
    let (mut node, mut scheme) = (None, None);
    for pair in split(element, ';')? {
        let (name, value) = pair.trim().split_once('=').ok_or(ForwardedFault::Malformed)?;
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(ForwardedFault::Malformed);
        }
        let value = unquoted(value)?;
        let place = match name.to_ascii_lowercase().as_str() {
            "for" => &mut node,
            "proto" => &mut scheme,
            _what_is_not_used => continue,
        };
        if place.replace(value).is_some() {
            return Err(ForwardedFault::Malformed);
        }
    }
    let scheme = match scheme.map(|text| text.to_ascii_lowercase()).as_deref() {
        None => None,
        Some("https") => Some(Scheme::Https),
        Some("http") => Some(Scheme::Http),
        Some(_) => return Err(ForwardedFault::Scheme),
    };
    let ip = node.and_then(|node| node_address(&node)).ok_or(ForwardedFault::Address)?;
    Ok(Hop { ip, scheme })
}

/// The address of a node: IPv6 stands in brackets; `unknown` and names that start with `_` tell nobody.
fn node_address(node: &str) -> Option<IpAddr> {
    let is_v4 = || node.split(':').next().is_some_and(|host| host.parse::<Ipv4Addr>().is_ok());
    if node.starts_with('[') || is_v4() { address(node) } else { None }
}

/// A token, or what stands between quotation marks.
fn unquoted(value: &str) -> Result<String, ForwardedFault> {
    let Some(rest) = value.strip_prefix('"') else {
        let is_token = !value.is_empty() && value.bytes().all(is_token_byte);
        return if is_token { Ok(value.to_owned()) } else { Err(ForwardedFault::Malformed) };
    };
    let (mut text, mut characters) = (String::new(), rest.chars());
    while let Some(character) = characters.next() {
        match character {
            '"' if characters.as_str().is_empty() => return Ok(text),
            '"' => return Err(ForwardedFault::Malformed),
            '\\' => text.push(characters.next().ok_or(ForwardedFault::Malformed)?),
            other => text.push(other),
        }
    }
    Err(ForwardedFault::Malformed)
}

/// Cuts at a separator that stands outside quotation marks.
fn split(text: &str, separator: char) -> Result<Vec<&str>, ForwardedFault> {
    let (mut pieces, mut begin, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if character == separator && !quoted => {
                pieces.push(text.get(begin..at).unwrap_or_default());
                begin = at + separator.len_utf8();
            }
            _ => {}
        }
    }
    if quoted {
        return Err(ForwardedFault::Malformed);
    }
    pieces.push(text.get(begin..).unwrap_or_default());
    Ok(pieces)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
