//! The request line: `METHOD SP /target SP HTTP/1.1`.
//!
//! Does not know what a path means; it only keeps out what has two readings.

use memchr::memchr;

use super::violation::ViolationKind;

/// What framing needs to know of a request line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RequestLine {
    pub(super) is_get: bool,
    pub(super) version: Version,
}

/// The versions that are accepted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Version {
    Http10,
    Http11,
}

/// Parses a line without its CRLF. Source: RFC 9112, section 3.
pub(super) fn parse(line: &[u8]) -> Result<RequestLine, ViolationKind> {
    let (method, rest) = split_at_space(line).ok_or(ViolationKind::RequestLineShape)?;
    check_method(method)?;
    let (target, version) = split_at_space(rest).ok_or(ViolationKind::RequestLineShape)?;
    check_target(target)?;
    Ok(RequestLine { is_get: method == b"GET", version: parse_version(version)? })
}

fn split_at_space(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (before, after) = bytes.split_at_checked(memchr(b' ', bytes)?)?;
    Some((before, after.get(1..)?))
}

pub(crate) fn check_method(method: &[u8]) -> Result<(), ViolationKind> {
    match method {
        b"GET" | b"HEAD" | b"POST" | b"PUT" | b"PATCH" | b"DELETE" | b"OPTIONS" => Ok(()),
        [_, ..] if method.iter().all(|byte| is_token_byte(*byte) && !byte.is_ascii_lowercase()) => {
            Err(ViolationKind::MethodNotAllowed)
        }
        _ => Err(ViolationKind::MethodSyntax),
    }
}

pub(crate) fn check_target(target: &[u8]) -> Result<(), ViolationKind> {
    match target.first() {
        None => Err(ViolationKind::RequestLineShape),
        Some(b'/') => match target.iter().find(|byte| !is_target_byte(**byte)) {
            None => Ok(()),
            Some(b'#') => Err(ViolationKind::TargetFragment),
            Some(_) => Err(ViolationKind::TargetByte),
        },
        Some(byte) if !byte.is_ascii_graphic() => Err(ViolationKind::TargetByte),
        Some(_) => Err(ViolationKind::TargetForm),
    }
}

/// Whether `byte` may be in a path or query. What RFC 3986 excludes is refused here, since the URI parser
/// behind the guard refuses some of it too, and would do so past the pipeline, without a word in the log.
fn is_target_byte(byte: u8) -> bool {
    byte.is_ascii_graphic()
        && !matches!(byte, b'#' | b'"' | b'<' | b'>' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}')
}

fn parse_version(version: &[u8]) -> Result<Version, ViolationKind> {
    match version {
        b"HTTP/1.1" => Ok(Version::Http11),
        b"HTTP/1.0" => Ok(Version::Http10),
        [b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9'] => {
            Err(ViolationKind::VersionNotSupported)
        }
        _ if version.contains(&b' ') => Err(ViolationKind::RequestLineShape),
        _ => Err(ViolationKind::VersionSyntax),
    }
}

/// Whether `byte` may be in a token. Source: RFC 9110, section 5.6.2.
pub(super) const fn is_token_byte(byte: u8) -> bool {
    matches!(
        byte,
        b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
            | b'0'..=b'9'
            | b'A'..=b'Z'
            | b'a'..=b'z'
    )
}
