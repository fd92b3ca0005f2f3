//! The rules of the guard, each with its status and a sentence for the person who broke it.
//!
//! Knows no bytes of the request: the texts are fixed, so they are safe to show and to log.

use std::fmt;

use thiserror::Error;

/// A request that breaks a rule. The connection cannot be used any more.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[error("{kind}")]
pub struct Violation {
    /// The status to answer with: 400, 405, 408, 414, 431 or 505.
    pub status: u16,
    /// The rule.
    pub kind: ViolationKind,
}

impl From<ViolationKind> for Violation {
    fn from(kind: ViolationKind) -> Self {
        Self { status: kind.status(), kind }
    }
}

/// A header that decides framing, identity or the meaning of the request, and so may be sent once only.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SingleHeader {
    /// `Authorization`.
    Authorization,
    /// `Connection`.
    Connection,
    /// `Content-Length`.
    ContentLength,
    /// `Content-Type`.
    ContentType,
    /// `Expect`.
    Expect,
    /// `Host`.
    Host,
    /// `Origin`.
    Origin,
    /// `Sec-WebSocket-Key`.
    SecWebSocketKey,
    /// `Sec-WebSocket-Version`.
    SecWebSocketVersion,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Upgrade`.
    Upgrade,
}

impl SingleHeader {
    /// All of them.
    pub const ALL: [SingleHeader; 11] = [
        SingleHeader::Authorization,
        SingleHeader::Connection,
        SingleHeader::ContentLength,
        SingleHeader::ContentType,
        SingleHeader::Expect,
        SingleHeader::Host,
        SingleHeader::Origin,
        SingleHeader::SecWebSocketKey,
        SingleHeader::SecWebSocketVersion,
        SingleHeader::TransferEncoding,
        SingleHeader::Upgrade,
    ];

    /// The name as it is usually written.
    pub const fn name(self) -> &'static str {
        match self {
            SingleHeader::Authorization => "Authorization",
            SingleHeader::Connection => "Connection",
            SingleHeader::ContentLength => "Content-Length",
            SingleHeader::ContentType => "Content-Type",
            SingleHeader::Expect => "Expect",
            SingleHeader::Host => "Host",
            SingleHeader::Origin => "Origin",
            SingleHeader::SecWebSocketKey => "Sec-WebSocket-Key",
            SingleHeader::SecWebSocketVersion => "Sec-WebSocket-Version",
            SingleHeader::TransferEncoding => "Transfer-Encoding",
            SingleHeader::Upgrade => "Upgrade",
        }
    }
}

impl fmt::Display for SingleHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The rule that was broken.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
pub enum ViolationKind {
    /// A line that ends in LF without CR (RFC 9112, section 2.2).
    #[error("a line ends in LF alone; end every line of the head and of chunked framing with CRLF")]
    BareLf,
    /// A CR that is not part of a CRLF (RFC 9112, section 2.2).
    #[error("a CR stands without its LF; remove it")]
    BareCr,
    /// A NUL byte in a header line.
    #[error("a header line holds a NUL byte; remove it")]
    Nul,
    /// Another control character in a header value (RFC 9110, section 5.5).
    #[error("a header value holds a control character; remove it or encode it")]
    ControlInValue,
    /// A value over HTTP/2 begins or ends with a space or a tab; HTTP/1.1 has them between fields.
    #[error("a header value begins or ends with a space or a tab; send the value alone")]
    SpaceAroundValue,

    /// Nothing stands before the request line, not even an empty line.
    #[error("an empty line stands before the request line; remove it")]
    LeadingEmptyLine,
    /// The request line is not `METHOD SP TARGET SP HTTP/1.1`.
    #[error("the request line is not METHOD SP TARGET SP HTTP/1.1 with single spaces")]
    RequestLineShape,
    /// The method is no token, or holds lower-case letters.
    #[error("the method is not a word of upper-case letters")]
    MethodSyntax,
    /// The method is none that the gateway has.
    #[error("the method is not allowed; use GET, HEAD, POST, PUT, PATCH, DELETE or OPTIONS")]
    MethodNotAllowed,
    /// The target is in absolute, authority or asterisk form (RFC 9112, section 3.2).
    #[error("the request target does not begin with a slash; send only path and query")]
    TargetForm,
    /// The target holds a byte that no path or query may hold (RFC 3986, section 2).
    #[error("the request target holds a byte that must be percent-encoded")]
    TargetByte,
    /// The target holds a fragment, which the URI parser behind the guard would drop silently.
    #[error("the request target holds a fragment; send only path and query, with # as %23")]
    TargetFragment,
    /// The version is not `HTTP/` digit `.` digit.
    #[error("the HTTP version is malformed; send HTTP/1.1")]
    VersionSyntax,
    /// A well-formed version other than 1.0 and 1.1.
    #[error("the HTTP version is not supported; send HTTP/1.1")]
    VersionNotSupported,
    /// The request line is longer than [`request_line_bytes`](super::Limits::request_line_bytes).
    #[error("the request line is too long; shorten the path or the query, or send a form body")]
    RequestLineTooLong,

    /// A header line is longer than [`header_line_bytes`](super::Limits::header_line_bytes).
    #[error("a header line is too long; shorten it")]
    HeaderLineTooLong,
    /// More header lines than [`header_count`](super::Limits::header_count).
    #[error("there are too many headers; send fewer")]
    TooManyHeaders,
    /// The head is longer than [`head_bytes`](super::Limits::head_bytes).
    #[error("the request head is too large; send fewer or shorter headers")]
    HeadTooLarge,
    /// A header line begins with a space or a tab (RFC 9112, section 5.2).
    #[error("a header line begins with white space; write each header on one line")]
    FoldedHeader,
    /// A header name is empty, holds another byte than token characters, or white space before the
    /// colon (RFC 9112, section 5.1).
    #[error(
        "a header name is malformed; write token characters and then the colon, without white space between"
    )]
    HeaderName,
    /// A header name holds an underscore: servers behind a gateway read `X_A` as `X-A`.
    #[error("a header name holds an underscore, which some servers read as a hyphen; write hyphens")]
    UnderscoreInName,
    /// A header that may be sent once only is there twice.
    #[error("the header {0} is there more than once; send it once")]
    RepeatedHeader(SingleHeader),

    /// The head did not come to its end in time (RFC 9110, section 15.5.9).
    #[error("the request head did not come in time; send it faster")]
    HeadTooSlow,

    /// No `Host` header.
    #[error("the Host header is missing; send exactly one")]
    MissingHost,
    /// The `Host` header is not one host with at most one port.
    #[error("the Host header is not one host name or address with at most one port")]
    BadHost,
    /// HTTP/2: no `:authority`, which says what `Host` says over HTTP/1.1 (RFC 9113, section 8.3.1).
    #[error("the pseudo-header :authority is missing; send it")]
    MissingAuthority,
    /// HTTP/2: `:authority` and `Host` name different hosts (RFC 9113, section 8.3.1).
    #[error("the pseudo-header :authority and the Host header differ; send :authority alone")]
    AuthorityDiffers,
    /// HTTP/2: a header of one connection (RFC 9113, section 8.2.2).
    #[error("the request has a header that only HTTP/1.1 has; leave it out")]
    ConnectionHeader,
    /// `Connection` names something else than keep-alive, close, upgrade, te or http2-settings: a
    /// proxy would delete the header it names.
    #[error(
        "the Connection header names something other than keep-alive, close, upgrade, te and http2-settings"
    )]
    ConnectionOption,
    /// `Expect` is not `100-continue`.
    #[error("the Expect header is not 100-continue; leave it out")]
    BadExpect,

    /// `Content-Length` is not a plain decimal number below 2^63 (RFC 9110, section 8.6).
    #[error("the Content-Length header is not one decimal number below 2^63")]
    BadContentLength,
    /// `Transfer-Encoding` is not exactly `chunked` (RFC 9112, section 6.1).
    #[error("the Transfer-Encoding header is not exactly chunked")]
    BadTransferEncoding,
    /// `Transfer-Encoding` in an HTTP/1.0 request (RFC 9112, section 6.1).
    #[error("an HTTP/1.0 request has a Transfer-Encoding header; send HTTP/1.1")]
    TransferEncodingInHttp10,
    /// `Transfer-Encoding` and `Content-Length` in one request (RFC 9112, section 6.3).
    #[error("the request has Transfer-Encoding and Content-Length; send one of them")]
    TwoLengths,
    /// A body in a request that asks for an upgrade: where the new protocol begins would be unclear.
    #[error("the request asks for an upgrade and has a body; send one without the other")]
    UpgradeWithBody,

    /// A chunk size is not hexadecimal digits and CRLF (RFC 9112, section 7.1).
    #[error("a chunk size is malformed; send hexadecimal digits and CRLF, nothing else")]
    BadChunkSize,
    /// A chunk size has more than 15 digits.
    #[error("a chunk size has more than 15 digits; send smaller chunks")]
    ChunkSizeTooLong,
    /// A chunk extension (RFC 9112, section 7.1.1). No known client of the gateway sends one.
    #[error("a chunk has an extension; leave it out")]
    ChunkExtension,
    /// The data of a chunk is not followed by CRLF.
    #[error("a chunk is longer than its size says; end its data with CRLF")]
    BadChunkEnd,
    /// Something other than the final CRLF follows the last chunk (RFC 9112, section 7.1.2).
    #[error("a trailer follows the last chunk; send the final CRLF only")]
    Trailer,
}

impl ViolationKind {
    /// The status to answer with.
    pub const fn status(self) -> u16 {
        match self {
            ViolationKind::MethodNotAllowed => 405,
            ViolationKind::HeadTooSlow => 408,
            ViolationKind::RequestLineTooLong => 414,
            ViolationKind::HeaderLineTooLong
            | ViolationKind::TooManyHeaders
            | ViolationKind::HeadTooLarge => 431,
            ViolationKind::VersionNotSupported => 505,
            ViolationKind::BareLf
            | ViolationKind::BareCr
            | ViolationKind::Nul
            | ViolationKind::ControlInValue
            | ViolationKind::SpaceAroundValue
            | ViolationKind::LeadingEmptyLine
            | ViolationKind::RequestLineShape
            | ViolationKind::MethodSyntax
            | ViolationKind::TargetForm
            | ViolationKind::TargetByte
            | ViolationKind::TargetFragment
            | ViolationKind::VersionSyntax
            | ViolationKind::FoldedHeader
            | ViolationKind::HeaderName
            | ViolationKind::UnderscoreInName
            | ViolationKind::RepeatedHeader(_)
            | ViolationKind::MissingHost
            | ViolationKind::BadHost
            | ViolationKind::MissingAuthority
            | ViolationKind::AuthorityDiffers
            | ViolationKind::ConnectionHeader
            | ViolationKind::ConnectionOption
            | ViolationKind::BadExpect
            | ViolationKind::BadContentLength
            | ViolationKind::BadTransferEncoding
            | ViolationKind::TransferEncodingInHttp10
            | ViolationKind::TwoLengths
            | ViolationKind::UpgradeWithBody
            | ViolationKind::BadChunkSize
            | ViolationKind::ChunkSizeTooLong
            | ViolationKind::ChunkExtension
            | ViolationKind::BadChunkEnd
            | ViolationKind::Trailer => 400,
        }
    }
}
