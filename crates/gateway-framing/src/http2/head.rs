//! The rules of [`crate::http1`] for the head of a request that came as fields: what has one reading only.
//!
//! The parser before has refused what HTTP/2 itself forbids (upper-case names, pseudo-headers that are repeated
//! or out of place); what it lets through and HTTP/1.1 would not is refused here.

use crate::http1::fields::Fields;
use crate::http1::{Limits, Violation, ViolationKind, host, request_line};

/// Headers of one connection, which HTTP/2 does not have (RFC 9113, section 8.2.2).
const OF_CONNECTION: [&[u8]; 6] =
    [b"connection", b"keep-alive", b"proxy-connection", b"transfer-encoding", b"upgrade", b"http2-settings"];

/// What stands between name and value, and behind it, on a line of HTTP/1.1.
const LINE_BYTES: usize = 4;

/// A request's head as HTTP/2 has it.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'a> {
    /// `:method`.
    pub method: &'a [u8],
    /// `:authority`.
    pub authority: Option<&'a [u8]>,
    /// `:path`, with the query.
    pub target: &'a [u8],
}

/// Holds a head to the rules and the sizes of HTTP/1.1.
///
/// # Errors
/// The rule that it breaks. Only the stream is lost then: HTTP/2 knows where the next request begins.
///
/// Source: RFC 9113, sections 8.2.1 and 8.3.1.
pub fn check_head<'a>(
    head: RequestHead<'a>,
    fields: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
    limits: &Limits,
) -> Result<(), Violation> {
    request_line::check_method(head.method)?;
    request_line::check_target(head.target)?;
    let line_bytes = head.method.len() + head.target.len() + b"  HTTP/1.1\r\n".len();
    ensure(line_bytes <= limits.request_line_bytes, ViolationKind::RequestLineTooLong)?;
    let authority = head.authority.ok_or(ViolationKind::MissingAuthority)?;
    ensure(host::is_plausible(authority), ViolationKind::BadHost)?;
    let mut known = Fields::default();
    let mut head_bytes = line_bytes + authority.len();
    for (name, value) in fields {
        let field_bytes = name.len() + value.len() + LINE_BYTES;
        head_bytes += field_bytes;
        ensure(field_bytes <= limits.header_line_bytes, ViolationKind::HeaderLineTooLong)?;
        ensure(head_bytes <= limits.head_bytes, ViolationKind::HeadTooLarge)?;
        ensure(!OF_CONNECTION.contains(&name), ViolationKind::ConnectionHeader)?;
        ensure(name != b"te" || value == b"trailers", ViolationKind::ConnectionHeader)?;
        ensure(name != b"host" || value.eq_ignore_ascii_case(authority), ViolationKind::AuthorityDiffers)?;
        ensure(value.trim_ascii().len() == value.len(), ViolationKind::SpaceAroundValue)?;
        known.add_field(name, value, limits.header_count)?;
    }
    Ok(())
}

fn ensure(holds: bool, rule: ViolationKind) -> Result<(), Violation> {
    if holds { Ok(()) } else { Err(rule.into()) }
}
