//! How far an upload is, on a terminal only.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use tokio::time::Instant;

use crate::output::columns;

/// How often it is drawn at most.
const FRAME: Duration = Duration::from_millis(100);
/// The most characters of the bar.
const WIDTH: usize = 30;

/// Draws a line on standard error that it draws over.
pub(super) struct Progress {
    is_shown: bool,
    what: &'static str,
    total_bytes: u64,
    drawn: Option<Instant>,
}

impl Progress {
    /// Of this many bytes; nothing is drawn where standard error is no terminal.
    pub(super) fn of(what: &'static str, total_bytes: u64) -> Self {
        Self { is_shown: io::stderr().is_terminal(), what, total_bytes, drawn: None }
    }

    /// Draws it, unless that was done just now.
    pub(super) fn show(&mut self, done_bytes: u64) {
        let is_last = done_bytes >= self.total_bytes;
        let is_soon = self.drawn.is_some_and(|drawn| drawn.elapsed() < FRAME);
        if !self.is_shown || (is_soon && !is_last) {
            return;
        }
        self.drawn = Some(Instant::now());
        // Nobody may be there to see it.
        let mut terminal = io::stderr().lock();
        let columns = columns(&terminal).map_or(usize::MAX, usize::from);
        let _ = write!(terminal, "\r{}\u{1b}[K", line(self.what, done_bytes, self.total_bytes, columns));
    }
}

impl Drop for Progress {
    /// The line is left clean, also when the upload broke off.
    fn drop(&mut self) {
        if self.drawn.is_some() {
            let _ = write!(io::stderr().lock(), "\r\u{1b}[K");
        }
    }
}

/// The line in so many columns: what would go on in the next line could not be drawn over.
fn line(what: &str, done_bytes: u64, total_bytes: u64, columns: usize) -> String {
    let sizes = format!("{} of {}", size(done_bytes), size(total_bytes));
    // Blanks and brackets, and the last column, in which some terminals go on to the next line.
    let left = columns.saturating_sub(what.len() + sizes.len() + 5).min(WIDTH);
    if left < 4 {
        return sizes.chars().take(columns.saturating_sub(1)).collect();
    }
    let parts = u64::try_from(left).unwrap_or(0);
    let filled = done_bytes.saturating_mul(parts).checked_div(total_bytes).unwrap_or(parts);
    let bar: String = (0..parts).map(|at| if at < filled { '#' } else { '.' }).collect();
    format!("{what} [{bar}] {sizes}")
}

/// A size for people.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..1_000 => format!("{bytes} B"),
        1_000..1_000_000 => format!("{}.{} kB", bytes / 1_000, bytes / 100 % 10),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_is_as_long_as_what_is_done() {
        assert_eq!(
            line("Uploading", 500, 1_000, 80),
            "Uploading [###############...............] 500 B of 1.0 kB"
        );
        for columns in 1..80 {
            let drawn = line("Uploading", 12_345_678, 98_765_432, columns);
            assert!(drawn.chars().count() < columns, "{columns}: {drawn}");
        }
        assert_eq!(line("Uploading", 500, 1_000, 40), "Uploading [#####......] 500 B of 1.0 kB");
        assert!(line("Uploading", 0, 0, 80).contains("##############################"));
        assert_eq!(size(12_345_678), "12.3 MB");
    }
}
