//! Which app's approvals are told in which channel: `APP-PATTERN=CHANNEL` rules.

use std::fmt;
use std::str::FromStr;

/// The most rules.
const MOST_RULES: usize = 200;

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

/// Why rules cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ChannelFault {
    /// Not a channel.
    #[error("{0} is not a channel: write its id (C0123456789) or its name (#deploys)")]
    Channel(String),
    /// Not `APP-PATTERN=CHANNEL`.
    #[error("{0} is not a rule: write APP-PATTERN=CHANNEL, as in shop-*=#deploys")]
    Rule(String),
    /// Too many.
    #[error("there are more than {MOST_RULES} rules")]
    TooMany,
}

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
        if is_id || is_name { Ok(Self(text.to_owned())) } else { Err(ChannelFault::Channel(text.to_owned())) }
    }
}

/// Rules in the order in which they were written. Every rule that matches counts, each channel once.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ChannelRules(Vec<(String, Channel)>);

impl ChannelRules {
    /// Reads `shop-*=#deploys, *=C0123456789`. `*` stands for any characters, also none; nothing else is special.
    ///
    /// # Errors
    /// At the first rule that is none.
    pub fn parse(text: &str) -> Result<Self, ChannelFault> {
        let mut rules = Vec::new();
        for rule in text.split([',', '\n']).map(str::trim).filter(|rule| !rule.is_empty()) {
            let (pattern, channel) =
                rule.split_once('=').ok_or_else(|| ChannelFault::Rule(rule.to_owned()))?;
            let pattern = pattern.trim();
            let is_pattern = !pattern.is_empty()
                && pattern.bytes().all(|byte| {
                    byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'*')
                });
            if !is_pattern {
                return Err(ChannelFault::Rule(rule.to_owned()));
            }
            rules.push((pattern.to_owned(), channel.trim().parse()?));
        }
        if rules.len() > MOST_RULES { Err(ChannelFault::TooMany) } else { Ok(Self(rules)) }
    }

    /// The channels in which this app's approvals are told; none when no rule matches.
    pub fn channels(&self, app: &str) -> Vec<&Channel> {
        let mut channels = Vec::new();
        for (pattern, channel) in &self.0 {
            if is_match(pattern, app) && !channels.contains(&channel) {
                channels.push(channel);
            }
        }
        channels
    }
}

/// Whether the name has the pattern's pieces in their order, the first at its start and the last at its end.
fn is_match(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut left) = name.strip_prefix(first) else { return false };
    let (middle, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    // The earliest place for each piece leaves the most for those after it.
    for piece in middle.split('*').filter(|piece| !piece.is_empty()) {
        match left.split_once(piece) {
            Some((_, after)) => left = after,
            None => return false,
        }
    }
    left.ends_with(last)
}
