//! The request guard: no panic, never more released than there is, and one verdict however the bytes
//! are cut. The first byte of the input is the length of the segments.
#![no_main]

use gateway_framing::http1::{Limits, RequestGuard, ViolationKind};
use libfuzzer_sys::fuzz_target;

fn feed<'a>(segments: impl Iterator<Item = &'a [u8]>) -> (usize, Option<ViolationKind>, bool, bool) {
    let mut guard = RequestGuard::new(Limits::default());
    let mut buffer = Vec::new();
    let mut released = 0;
    let mut violation = None;
    'segments: for segment in segments {
        buffer.extend_from_slice(segment);
        loop {
            match guard.advance(&buffer) {
                Ok(0) => break,
                Ok(count) => {
                    assert!(count <= buffer.len());
                    buffer.drain(..count);
                    released += count;
                }
                Err(found) => {
                    violation = Some(found.kind);
                    break 'segments;
                }
            }
        }
    }
    (released, violation, guard.is_opaque(), guard.is_between_requests())
}

fuzz_target!(|data: &[u8]| {
    let Some((length, bytes)) = data.split_first() else { return };
    let whole = feed(std::iter::once(bytes));
    let cut = feed(bytes.chunks(usize::from(*length).max(1)));
    assert_eq!(whole, cut);
});
