//! Labelled lines for people. Text from outside cannot begin a line of its own or steer a terminal.

use std::fmt;

use gateway_client::text::one_line;

/// Labelled lines.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Lines(String);

impl Lines {
    /// Adds a line.
    pub(crate) fn line(&mut self, label: &str, text: &str) {
        self.0.push_str(&format!("  {label:<9} {}\n", one_line(text)));
    }

    /// Adds a line when there is something to say.
    pub(crate) fn some(&mut self, label: &str, text: Option<&str>) {
        if let Some(text) = text.filter(|text| !text.is_empty()) {
            self.line(label, text);
        }
    }

    /// Adds a line that this program itself wrote, as it is: it may hold colours.
    pub(crate) fn own(&mut self, label: &str, text: &str) {
        self.0.push_str(&format!("  {label:<9} {text}\n"));
    }
}

impl fmt::Display for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
