//! Header lines: their grammar, and the few headers that decide framing.
//!
//! Does not know credentials, cookies or routes; a header that decides none of framing, host and
//! upgrade is only held to the grammar.

use std::num::NonZeroU64;

use memchr::memchr;

use super::host;
use super::request_line::{RequestLine, Version, is_token_byte};
use super::violation::{SingleHeader, ViolationKind};

/// The largest body length that is accepted: what fits a signed 64-bit number on either side.
const MAX_CONTENT_LENGTH: u64 = i64::MAX.cast_unsigned();

/// What follows a head.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Framing {
    NoBody,
    Length(NonZeroU64),
    Chunked,
    /// Another protocol, without end.
    Opaque,
}

/// What the header lines so far said about framing.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    count: usize,
    seen: Seen,
    content_length: Option<u64>,
    connection_upgrade: bool,
    upgrade_to_websocket: bool,
}

/// The headers that were there, one bit each.
#[derive(Debug, Default)]
struct Seen(u16);

impl Seen {
    const fn bit(header: SingleHeader) -> u16 {
        1 << header as u16
    }

    fn contains(&self, header: SingleHeader) -> bool {
        self.0 & Self::bit(header) != 0
    }

    fn insert(&mut self, header: SingleHeader) -> Result<(), ViolationKind> {
        if self.contains(header) {
            return Err(ViolationKind::RepeatedHeader(header));
        }
        self.0 |= Self::bit(header);
        Ok(())
    }
}

impl Fields {
    /// Takes one header line, without its CRLF and not empty.
    pub(super) fn add(&mut self, line: &[u8], count_limit: usize) -> Result<(), ViolationKind> {
        self.count += 1;
        if self.count > count_limit {
            return Err(ViolationKind::TooManyHeaders);
        }
        let (name, value) = split(line)?;
        self.take(name, value)
    }

    /// Takes one header of a version of HTTP that has no lines.
    pub(crate) fn add_field(
        &mut self,
        name: &[u8],
        value: &[u8],
        count_limit: usize,
    ) -> Result<(), ViolationKind> {
        self.count += 1;
        if self.count > count_limit {
            return Err(ViolationKind::TooManyHeaders);
        }
        check_name(name)?;
        check_value(value)?;
        self.take(name, value)
    }

    fn take(&mut self, name: &[u8], value: &[u8]) -> Result<(), ViolationKind> {
        let Some(header) = SingleHeader::ALL.into_iter().find(|header| is_named(*header, name)) else {
            return Ok(());
        };
        self.seen.insert(header)?;
        self.interpret(header, value)
    }

    fn interpret(&mut self, header: SingleHeader, value: &[u8]) -> Result<(), ViolationKind> {
        match header {
            SingleHeader::Host => ensure(host::is_plausible(trim(value)), ViolationKind::BadHost)?,
            SingleHeader::ContentLength => {
                self.content_length = Some(parse_length(trim_spaces_before(value))?)
            }
            SingleHeader::TransferEncoding => ensure(
                trim_spaces_before(value).eq_ignore_ascii_case(b"chunked"),
                ViolationKind::BadTransferEncoding,
            )?,
            SingleHeader::Expect => {
                ensure(trim(value).eq_ignore_ascii_case(b"100-continue"), ViolationKind::BadExpect)?;
            }
            SingleHeader::Connection => self.connection_upgrade = parse_connection(value)?,
            SingleHeader::Upgrade => {
                self.upgrade_to_websocket = trim(value).eq_ignore_ascii_case(b"websocket");
            }
            SingleHeader::Authorization
            | SingleHeader::ContentType
            | SingleHeader::Origin
            | SingleHeader::SecWebSocketKey
            | SingleHeader::SecWebSocketVersion => {}
        }
        Ok(())
    }

    /// What follows, now that all header lines were there.
    pub(super) fn finish(&self, request: &RequestLine) -> Result<Framing, ViolationKind> {
        ensure(self.seen.contains(SingleHeader::Host), ViolationKind::MissingHost)?;
        let body = match (self.seen.contains(SingleHeader::TransferEncoding), self.content_length) {
            (true, Some(_)) => return Err(ViolationKind::TwoLengths),
            (true, None) if request.version == Version::Http10 => {
                return Err(ViolationKind::TransferEncodingInHttp10);
            }
            (true, None) => Framing::Chunked,
            (false, length) => length.and_then(NonZeroU64::new).map_or(Framing::NoBody, Framing::Length),
        };
        if !self.seen.contains(SingleHeader::Upgrade) {
            return Ok(body);
        }
        ensure(body == Framing::NoBody, ViolationKind::UpgradeWithBody)?;
        Ok(if self.is_websocket(request) { Framing::Opaque } else { Framing::NoBody })
    }

    /// Source: RFC 6455, section 4.2.1. Over HTTP/1.0, or by another method, the request stays plain
    /// HTTP; if a handler should upgrade it all the same, the guard refuses what follows.
    fn is_websocket(&self, request: &RequestLine) -> bool {
        self.upgrade_to_websocket
            && self.connection_upgrade
            && request.is_get
            && request.version == Version::Http11
    }
}

fn ensure(holds: bool, rule: ViolationKind) -> Result<(), ViolationKind> {
    if holds { Ok(()) } else { Err(rule) }
}

fn is_named(header: SingleHeader, name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(header.name().as_bytes())
}

/// Cuts a line at its colon and holds both sides to the grammar.
fn split(line: &[u8]) -> Result<(&[u8], &[u8]), ViolationKind> {
    if let Some(b' ' | b'\t') = line.first() {
        return Err(ViolationKind::FoldedHeader);
    }
    let colon = memchr(b':', line).unwrap_or(line.len());
    let (name, rest) = line.split_at_checked(colon).unwrap_or((line, &[]));
    check_name(name)?;
    // Without a colon there is no rest.
    let value = rest.get(1..).ok_or(ViolationKind::HeaderName)?;
    check_value(value)?;
    Ok((name, value))
}

fn check_name(name: &[u8]) -> Result<(), ViolationKind> {
    match name.iter().find(|byte| !is_token_byte(**byte)) {
        Some(0) => return Err(ViolationKind::Nul),
        Some(b'\r') => return Err(ViolationKind::BareCr),
        Some(_) => return Err(ViolationKind::HeaderName),
        None => {}
    }
    ensure(!name.is_empty(), ViolationKind::HeaderName)?;
    ensure(memchr(b'_', name).is_none(), ViolationKind::UnderscoreInName)
}

fn check_value(value: &[u8]) -> Result<(), ViolationKind> {
    match value.iter().find(|byte| !matches!(byte, b'\t' | 0x20..=0x7E | 0x80..)) {
        None => Ok(()),
        Some(0) => Err(ViolationKind::Nul),
        Some(b'\r') => Err(ViolationKind::BareCr),
        Some(_) => Err(ViolationKind::ControlInValue),
    }
}

/// Source: RFC 9110, section 8.6; RFC 9112, section 6.3.
fn parse_length(value: &[u8]) -> Result<u64, ViolationKind> {
    ensure(!value.is_empty(), ViolationKind::BadContentLength)?;
    value
        .iter()
        .try_fold(0_u64, |length, byte| {
            let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
            length.checked_mul(10)?.checked_add(digit).filter(|length| *length <= MAX_CONTENT_LENGTH)
        })
        .ok_or(ViolationKind::BadContentLength)
}

/// Whether the options list `upgrade`. Any option that is not on the list, the empty one too, is
/// refused: it would name a header for a proxy to delete.
fn parse_connection(value: &[u8]) -> Result<bool, ViolationKind> {
    const HARMLESS: [&[u8]; 4] = [b"keep-alive", b"close", b"te", b"http2-settings"];
    let mut upgrade = false;
    for option in value.split(|byte| *byte == b',').map(trim) {
        if option.eq_ignore_ascii_case(b"upgrade") {
            upgrade = true;
        } else if !HARMLESS.iter().any(|harmless| option.eq_ignore_ascii_case(harmless)) {
            return Err(ViolationKind::ConnectionOption);
        }
    }
    Ok(upgrade)
}

/// Without optional white space around it (RFC 9110, section 5.6.3). Only SP and HTAB can be there:
/// the value has passed [`check_value`].
fn trim(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

/// Without spaces before it. The two headers that decide where a body ends are read more narrowly
/// than RFC 9110 does: tabs, and white space after the value, are where parsers have disagreed.
fn trim_spaces_before(mut value: &[u8]) -> &[u8] {
    while let Some(rest) = value.strip_prefix(b" ") {
        value = rest;
    }
    value
}
