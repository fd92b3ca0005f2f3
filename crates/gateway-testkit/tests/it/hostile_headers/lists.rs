//! Heads that are none: against the rack and against services.

/// Lines that are no fields.
pub(crate) const FIELDS: &[&str] = &[
    "X-A: b\rc\r\n",
    "X-A: b\r\r\n",
    "X-A: b\n",
    "X-A: b\nX-B: c\r\n",
    "X-A: b\0c\r\n",
    "X-A: b\r\n c\r\n",
    "X-A: b\r\n\tAuthorization: c\r\n",
    "X-A : b\r\n",
    "X-A\t: b\r\n",
    ": b\r\n",
    "X-A\r\n",
    "=\r\n",
    "X A: b\r\n",
    "X-(A): b\r\n",
    "X-A@: b\r\n",
    "X-\u{e9}: b\r\n",
    "\"X-A\": b\r\n",
    "X-A: b\x0bc\r\n",
    "X-A: \x1b[2J\r\n",
    "X-A: b\x7f\r\n",
    "X-A: \x08\r\n",
    "X-A/B: b\r\n",
    "X-A[]: b\r\n",
    "{X}: b\r\n",
    "\rX-A: b\r\n",
    "X\r-A: b\r\n",
];

/// Ends of a head that are not CR LF CR LF.
pub(crate) const ENDS: &[&[u8]] = &[b"\n\n", b"\r\n\n", b"\n\r\n", b"\r\r\n\r\n"];

/// What stands before a request line.
pub(crate) const STARTS: &[&[u8]] = &[b"\r\n", b"\n", b"\r\n\r\n", b" ", b"\t", b"\0", b"\xef\xbb\xbf"];
