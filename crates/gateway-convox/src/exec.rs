//! What an exec or shell session says beside its output: the exit marker and error texts.
//! Source: API.md 0.2, 0.3 and 2.3. It knows payloads of frames, not frames.

/// The text that begins the frame which sets the client's exit code.
pub const EXIT_MARKER: &str = "F1E49A85-0AD7-4AEF-A618-C249C6E6568D";

/// The payload of the frame that makes the client exit with `code`. To be sent as one TEXT frame of
/// its own: a marker split over two frames is printed as text, and the client exits 0.
pub fn marker_text(code: i32) -> String {
    format!("{EXIT_MARKER}:{code}\n")
}

/// The payload of a TEXT frame that tells the person why: `ERROR: <reason>`.
///
/// # Security
/// The client uses such texts as a printf format and a terminal obeys control characters, so
/// neither percent signs nor control characters survive.
pub fn error_text(reason: &str) -> String {
    let safe: String = reason.replace('%', " percent").chars().filter(|c| !c.is_control()).collect();
    format!("ERROR: {safe}\n")
}

/// Longest marker payload: the marker, a colon, a sign, ten digits and the line end.
const MAX_MARKER_BYTES: usize = EXIT_MARKER.len() + 13;

/// Watches the payload of one text frame, which may come in slices, for being the exit marker.
#[derive(Clone, Debug, Default)]
pub struct MarkerWatch {
    seen: Vec<u8>,
    too_long: bool,
}

impl MarkerWatch {
    /// A watch at the beginning of a frame.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next slice of the frame's unmasked payload. Keeps at most one marker's length.
    pub fn feed(&mut self, slice: &[u8]) {
        if self.too_long || self.seen.len() + slice.len() > MAX_MARKER_BYTES {
            self.too_long = true;
            self.seen.clear();
        } else {
            self.seen.extend_from_slice(slice);
        }
    }

    /// At the end of the frame: the exit code, when the whole payload is exactly a marker.
    ///
    /// `-1` is what the rack sends for an unknown code; the client exits 255 then.
    pub fn exit_code(&self) -> Option<i32> {
        let text = std::str::from_utf8(&self.seen).ok().filter(|_| !self.too_long)?;
        let digits = text.strip_prefix(EXIT_MARKER)?.strip_prefix(':')?.strip_suffix('\n')?;
        let code = digits.parse::<i32>().ok()?;
        // One spelling only: no plus sign, no leading zeros.
        (code.to_string() == digits).then_some(code)
    }

    /// Makes it ready for the next frame.
    pub fn reset(&mut self) {
        self.seen.clear();
        self.too_long = false;
    }
}

/// Whether the first data frame of the server hands out a direct session: a NUL byte and a JSON
/// object. New v2 racks do so on exec; the client would then talk to the cloud provider past the
/// gateway (API.md 1.4). `first_bytes` should hold at least the frame's first two bytes.
pub fn is_session_blob(first_bytes: &[u8]) -> bool {
    first_bytes.strip_prefix(b"\0").is_some_and(|rest| rest.trim_ascii_start().starts_with(b"{"))
}

#[cfg(test)]
mod tests;
