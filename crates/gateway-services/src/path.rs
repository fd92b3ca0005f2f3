//! One spelling for each path. What could be read in two ways is refused, everything else is written anew.

use std::fmt;

/// A path in its one spelling: decoded segments, encoded again.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CanonicalPath {
    segments: Vec<String>,
    trailing_slash: bool,
}

/// Why a path is refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum PathError {
    /// It does not begin with a slash, or holds what no path may.
    #[error("the path is malformed")]
    Malformed,
    /// `%` without two hexadecimal digits behind it, or bytes that are no UTF-8.
    #[error("the path has a malformed percent-encoding")]
    Encoding,
    /// `.` or `..`, plain, encoded, or with parameters behind it.
    #[error("the path has a dot segment")]
    DotSegment,
    /// Two slashes after each other.
    #[error("the path has an empty segment")]
    EmptySegment,
    /// An encoded slash, a backslash or a control character.
    #[error("the path hides a separator or a control character")]
    HiddenSeparator,
    /// Longer than 8 KiB or more than 256 segments.
    #[error("the path is too long")]
    TooLong,
}

const MOST_BYTES: usize = 8 * 1024;
const MOST_SEGMENTS: usize = 256;

impl CanonicalPath {
    /// Reads a path as it stood in a request line, without query.
    ///
    /// # Errors
    /// [`PathError`]. A dot segment is refused and not resolved, since whoever comes behind might resolve it
    /// in another way.
    ///
    /// # Security
    /// No accepted path holds an encoded slash, a backslash, a control character, an empty or a dot segment,
    /// so that prefix, route and upstream see the same segments. Source: RFC 3986, section 3.3.
    pub fn parse(path: &str) -> Result<Self, PathError> {
        if path.len() > MOST_BYTES {
            return Err(PathError::TooLong);
        }
        let rest = path.strip_prefix('/').ok_or(PathError::Malformed)?;
        if rest.is_empty() {
            return Ok(Self { segments: Vec::new(), trailing_slash: false });
        }
        let (rest, trailing_slash) = match rest.strip_suffix('/') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let segments: Vec<String> = rest.split('/').map(segment).collect::<Result<_, _>>()?;
        if segments.len() > MOST_SEGMENTS {
            return Err(PathError::TooLong);
        }
        Ok(Self { segments, trailing_slash })
    }

    /// The path of these segments, which come from a parsed one.
    pub(crate) fn of(segments: Vec<String>) -> Self {
        Self { segments, trailing_slash: false }
    }

    /// The decoded segments; empty for `/`.
    pub fn segments(&self) -> &[String] {
        &self.segments
    }

    /// Whether it ends in a slash that is not its only one.
    pub fn has_trailing_slash(&self) -> bool {
        self.trailing_slash
    }

    /// What is left below these segments; `None` when it is not below them.
    pub fn below(&self, prefix: &[String]) -> Option<Self> {
        let rest = self.segments.strip_prefix(prefix)?;
        Some(Self { segments: rest.to_vec(), trailing_slash: self.trailing_slash && !rest.is_empty() })
    }
}

impl fmt::Display for CanonicalPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            return f.write_str("/");
        }
        for segment in &self.segments {
            f.write_str("/")?;
            fmt::Display::fmt(&percent_encoding::utf8_percent_encode(segment, SEGMENT), f)?;
        }
        if self.trailing_slash { f.write_str("/") } else { Ok(()) }
    }
}

/// What is encoded in a segment: all but `pchar` (RFC 3986, section 3.3).
const SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b'!')
    .remove(b'$')
    .remove(b'&')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')')
    .remove(b'*')
    .remove(b'+')
    .remove(b',')
    .remove(b';')
    .remove(b'=')
    .remove(b':')
    .remove(b'@');

fn segment(raw: &str) -> Result<String, PathError> {
    if raw.is_empty() {
        return Err(PathError::EmptySegment);
    }
    if !is_encoded_well(raw) {
        return Err(PathError::Encoding);
    }
    if raw
        .bytes()
        .any(|byte| byte <= b' ' || byte >= 0x7f || matches!(byte, b'?' | b'#' | b'"' | b'<' | b'>'))
    {
        return Err(PathError::Malformed);
    }
    let decoded =
        percent_encoding::percent_decode_str(raw).decode_utf8().map_err(|_bytes| PathError::Encoding)?;
    if decoded.chars().any(|c| matches!(c, '/' | '\\') || c.is_control()) {
        return Err(PathError::HiddenSeparator);
    }
    // `..;x` is a dot segment for Java servers, `%252e` for whoever decodes twice.
    let bare = decoded.split(';').next().unwrap_or_default();
    let twice = percent_encoding::percent_decode_str(bare).decode_utf8_lossy();
    if matches!(bare, "." | "..") || matches!(&*twice, "." | "..") {
        return Err(PathError::DotSegment);
    }
    if twice.contains(['/', '\\']) && bare.contains('%') {
        return Err(PathError::HiddenSeparator);
    }
    Ok(decoded.into_owned())
}

fn is_encoded_well(text: &str) -> bool {
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let both = bytes.next().zip(bytes.next());
            if !both.is_some_and(|(one, two)| one.is_ascii_hexdigit() && two.is_ascii_hexdigit()) {
                return false;
            }
        }
    }
    true
}

/// The query in the form that goes upstream: the bytes as they came, when they are all allowed in a query
/// and every percent-encoding is complete.
///
/// # Errors
/// [`PathError::Encoding`] or [`PathError::Malformed`].
pub fn canonical_query(query: &str) -> Result<String, PathError> {
    if query.len() > 4 * MOST_BYTES {
        return Err(PathError::TooLong);
    }
    if !is_encoded_well(query) {
        return Err(PathError::Encoding);
    }
    if query
        .bytes()
        .any(|byte| byte <= b' ' || byte >= 0x7f || matches!(byte, b'#' | b'"' | b'<' | b'>' | b'\\'))
    {
        return Err(PathError::Malformed);
    }
    Ok(query.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(path: &str, expected: Result<&str, PathError>) {
        let told = CanonicalPath::parse(path).map(|path| path.to_string());
        assert_eq!(told, expected.map(str::to_owned), "{path:?}");
    }

    #[test]
    fn a_path_has_one_spelling() {
        check("/", Ok("/"));
        check("/a/b", Ok("/a/b"));
        check("/a/b/", Ok("/a/b/"));
        check("/%61/b%2Dc", Ok("/a/b-c"));
        check("/caf%C3%A9", Ok("/caf%C3%A9"));
        check("/a%20b", Ok("/a%20b"));
        check("/a;v=1/b", Ok("/a;v=1/b"));
        check("/100%25", Ok("/100%25"));
        check("/...", Ok("/..."));
    }

    #[test]
    fn a1_what_could_be_read_in_two_ways_is_refused() {
        check("a", Err(PathError::Malformed));
        check("", Err(PathError::Malformed));
        check("/a//b", Err(PathError::EmptySegment));
        check("//", Err(PathError::EmptySegment));
        check("/a/../b", Err(PathError::DotSegment));
        check("/a/%2e%2e/b", Err(PathError::DotSegment));
        check("/a/.%2E/b", Err(PathError::DotSegment));
        check("/a/%252e%252e/b", Err(PathError::DotSegment));
        check("/a/..;/b", Err(PathError::DotSegment));
        check("/a/..;x=1/b", Err(PathError::DotSegment));
        check("/.", Err(PathError::DotSegment));
        check("/a%2fb", Err(PathError::HiddenSeparator));
        check("/a%252fb", Err(PathError::HiddenSeparator));
        check("/a%5cb", Err(PathError::HiddenSeparator));
        check("/a\\b", Err(PathError::HiddenSeparator));
        check("/a%00b", Err(PathError::HiddenSeparator));
        check("/a%0d%0ab", Err(PathError::HiddenSeparator));
        check("/a%c2%85b", Err(PathError::HiddenSeparator));
        check("/a%zz", Err(PathError::Encoding));
        check("/a%2", Err(PathError::Encoding));
        check("/a%ff", Err(PathError::Encoding));
        check("/%c0%ae%c0%ae/", Err(PathError::Encoding));
        check("/a b", Err(PathError::Malformed));
        check("/a#b", Err(PathError::Malformed));
        check("/é", Err(PathError::Malformed));
        check(&format!("/{}", "a".repeat(9000)), Err(PathError::TooLong));
        check(&"/a".repeat(300), Err(PathError::TooLong));
    }

    #[test]
    fn queries_pass_as_they_are_or_not_at_all() {
        assert_eq!(canonical_query("a=1&b=%20"), Ok("a=1&b=%20".to_owned()));
        assert_eq!(canonical_query("a=%2"), Err(PathError::Encoding));
        assert_eq!(canonical_query("a=b#c"), Err(PathError::Malformed));
        assert_eq!(canonical_query("a=b c"), Err(PathError::Malformed));
    }

    proptest! {
        #[test]
        fn the_spelling_is_a_fixed_point(path in "/[ -~]{0,40}") {
            if let Ok(parsed) = CanonicalPath::parse(&path) {
                let spelled = parsed.to_string();
                prop_assert_eq!(CanonicalPath::parse(&spelled), Ok(parsed));
            }
        }

        #[test]
        fn segments_survive(segments in proptest::collection::vec("[^/\\\\\\p{C}.%;]{1,8}", 1..5)) {
            let path = CanonicalPath { segments, trailing_slash: false };
            prop_assert_eq!(CanonicalPath::parse(&path.to_string()), Ok(path));
        }
    }
}
