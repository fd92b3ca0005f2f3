//! A channel, as people write it.

use std::fmt;
use std::str::FromStr;

/// A channel: its id (`C0123456789`), or its name (`#deploys`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Channel(String);

impl Channel {
    /// As Slack takes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is no channel.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0} is not a channel: write its id (C0123456789) or its name (#deploys)")]
pub struct ChannelFault(String);

impl FromStr for Channel {
    type Err = ChannelFault;

    fn from_str(text: &str) -> Result<Self, ChannelFault> {
        let is_id = matches!(text.as_bytes().first(), Some(b'C' | b'G' | b'D'))
            && (9..=20).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
        let is_name = text.strip_prefix('#').is_some_and(|name| {
            (1..=80).contains(&name.chars().count())
                && name.chars().all(|symbol| {
                    (symbol.is_alphanumeric() && !symbol.is_uppercase()) || matches!(symbol, '-' | '_')
                })
        });
        if is_id || is_name { Ok(Self(text.to_owned())) } else { Err(ChannelFault(text.to_owned())) }
    }
}
