//! Texts of a server, made harmless: nothing in them can move a cursor, colour a line, begin a line of
//! its own or turn the order of what is read around (M5).

/// Whether a character steers a terminal or hides how a text reads: control characters (C0, C1, DEL),
/// line separators, bidirectional overrides, and what takes no room.
pub fn steers(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{00ad}'
                | '\u{061c}'
                | '\u{180e}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// The text on one line.
pub fn one_line(text: &str) -> String {
    text.chars().map(|c| if steers(c) { '\u{fffd}' } else { c }).collect()
}

/// The text with its lines.
pub fn lines(text: &str) -> String {
    text.chars().map(|c| if steers(c) && c != '\n' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m5_nothing_steers_a_terminal() {
        for hostile in
            ["\u{1b}[2J", "a\u{9b}31m", "x\r\ny", "\u{7}", "\u{7f}", "\u{202e}txt", "\u{2066}a", "z\u{200b}z"]
        {
            let clean = one_line(hostile);
            assert!(!clean.chars().any(steers), "{hostile:?}");
            assert_eq!(clean.chars().count(), hostile.chars().count());
        }
        assert_eq!(one_line("Grüße, 世界 – “ok”"), "Grüße, 世界 – “ok”");
        assert_eq!(lines("a\nb\u{1b}"), "a\nb\u{fffd}");
    }
}
