//! Lines that are typed into a terminal, as well as they can be told from keys: an editor of lines on the other side
//! may make something else of them (history, completion), which nobody here can know.

/// The longest line that is kept, in bytes; a longer one is none that anybody typed.
const LONGEST: usize = 4096;

/// Puts lines together from keys. Nothing of a line is kept once it is over.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct TypedLines {
    line: Vec<u8>,
    escape: Escape,
}

/// Where a key of several bytes stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Escape {
    #[default]
    None,
    Begun,
    Sequence,
}

impl TypedLines {
    /// Takes keys; `on_line` gets each line that they complete.
    pub fn push(&mut self, keys: &[u8], mut on_line: impl FnMut(&str)) {
        for key in keys {
            match (self.escape, key) {
                (Escape::Begun, b'[' | b'O') => self.escape = Escape::Sequence,
                (Escape::Begun, _) => self.escape = Escape::None,
                (Escape::Sequence, 0x40..=0x7e) => self.escape = Escape::None,
                (Escape::Sequence, _) => {}
                (Escape::None, 0x1b) => self.escape = Escape::Begun,
                (Escape::None, b'\r' | b'\n') => {
                    if !self.line.is_empty() {
                        on_line(&String::from_utf8_lossy(&self.line));
                        self.line.clear();
                    }
                }
                // Backspace, by either of its codes.
                (Escape::None, 0x08 | 0x7f) => drop(self.line.pop()),
                // The line is given up: interrupt, kill.
                (Escape::None, 0x03 | 0x15) => self.line.clear(),
                (Escape::None, 0x17) => self.rub_word(),
                (Escape::None, b'\t' | b' '..) if self.line.len() < LONGEST => self.line.push(*key),
                (Escape::None, _) => {}
            }
        }
    }

    fn rub_word(&mut self) {
        while self.line.last() == Some(&b' ') {
            self.line.pop();
        }
        while self.line.last().is_some_and(|byte| *byte != b' ') {
            self.line.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(keys: &str, expected: &[&str]) {
        for size in [1, 3, 1000] {
            let (mut lines, mut seen) = (TypedLines::default(), Vec::new());
            for keys in keys.as_bytes().chunks(size) {
                lines.push(keys, |line| seen.push(line.to_owned()));
            }
            assert_eq!(seen, expected, "{keys:?} by {size}");
        }
    }

    #[test]
    fn lines_are_put_together_from_keys() {
        check("ls\rpwd\n", &["ls", "pwd"]);
        check("lx\u{7f}s\r", &["ls"]);
        check("rm x\u{3}ls\r", &["ls"]);
        check("rm x\u{15}ls\r", &["ls"]);
        check("rm foo\u{17}bar\r", &["rm bar"]);
        check("l\u{1b}[Ds\u{1b}OA\u{1b}b!\r", &["ls!"]);
        check("\r\r", &[]);
        check("unfinished", &[]);
    }
}
