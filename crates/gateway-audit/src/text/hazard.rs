//! Which characters may not appear raw in the log.

use std::cmp::Ordering;

/// Sorted, inclusive ranges of code points, each with what they are.
///
/// Unicode 16.0: general categories Cc, Cf, Zl, Zp, Co, the noncharacters, and everything else that
/// is default-ignorable (it draws nothing, so that two names could look the same).
const HAZARDS: &[(u32, u32)] = &[
    (0x0000, 0x001F),    // C0 controls: ANSI escapes, NUL, CR, LF
    (0x007F, 0x009F),    // DEL and C1 controls (0x9B is a one-byte CSI)
    (0x00AD, 0x00AD),    // soft hyphen
    (0x034F, 0x034F),    // combining grapheme joiner
    (0x0600, 0x0605),    // Arabic number signs
    (0x061C, 0x061C),    // Arabic letter mark
    (0x06DD, 0x06DD),    // Arabic end of ayah
    (0x070F, 0x070F),    // Syriac abbreviation mark
    (0x0890, 0x0891),    // Arabic pound marks
    (0x08E2, 0x08E2),    // Arabic disputed end of ayah
    (0x115F, 0x1160),    // Hangul fillers
    (0x17B4, 0x17B5),    // Khmer inherent vowels
    (0x180B, 0x180F),    // Mongolian separators
    (0x200B, 0x200F),    // zero-width characters, direction marks
    (0x2028, 0x202E),    // line and paragraph separators, direction embeddings and overrides
    (0x2060, 0x206F),    // word joiner, direction isolates, deprecated format characters
    (0x3164, 0x3164),    // Hangul filler
    (0xE000, 0xF8FF),    // private use
    (0xFDD0, 0xFDEF),    // noncharacters
    (0xFE00, 0xFE0F),    // variation selectors
    (0xFEFF, 0xFEFF),    // byte order mark
    (0xFFA0, 0xFFA0),    // half-width Hangul filler
    (0xFFF0, 0xFFFB),    // unassigned ignorables, interlinear annotation
    (0xFFFE, 0xFFFF),    // noncharacters
    (0x110BD, 0x110BD),  // Kaithi number sign
    (0x110CD, 0x110CD),  // Kaithi number sign above
    (0x13430, 0x1343F),  // Egyptian hieroglyph format controls
    (0x1BCA0, 0x1BCA3),  // shorthand format controls
    (0x1D173, 0x1D17A),  // musical format controls
    (0x1FFFE, 0x1FFFF),  // noncharacters
    (0x2FFFE, 0x2FFFF),  // noncharacters
    (0x3FFFE, 0x10FFFF), // unassigned planes, tags, variation selectors, private use, noncharacters
];

/// Whether `c` could steer a terminal or a viewer, reorder text, break a line, or draw nothing.
pub fn is_hazard(c: char) -> bool {
    let code = u32::from(c);
    if (0x20..0x7F).contains(&code) {
        return false;
    }
    let position = |&(first, last): &(u32, u32)| match (code < first, code > last) {
        (true, _) => Ordering::Greater,
        (_, true) => Ordering::Less,
        (false, false) => Ordering::Equal,
    };
    HAZARDS.binary_search_by(position).is_ok()
}
