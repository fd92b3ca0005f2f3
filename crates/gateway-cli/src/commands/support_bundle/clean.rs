//! Takes secrets out of a text: the values that the configuration has, in every spelling, and whatever looks like a credential.

use std::sync::LazyLock;

use gateway_secrets::{KnownValues, Masker};
use gateway_types::Secret;
use regex::{Captures, Regex};
use url::Url;

/// What stands where a secret stood.
pub(super) const MASK: &str = "[masked]";

/// What looks like a credential: the group `secret` is taken out.
static CREDENTIALS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // The gateway's own, and those of GitHub, Slack and AWS.
        r"\b(?P<secret>(?:rgw|cgw|rgs|rgj|rgb|ghp|gho|ghs|ghu|github_pat|xox[abprs]|AKIA|ASIA)[_-]?[A-Za-z0-9_\-]{16,})",
        // Headers, and parts of addresses.
        r"(?i)\b(?:bearer|basic)\s+(?P<secret>[A-Za-z0-9+/=_\-.~]{8,})",
        r"(?i)\b[a-z][a-z0-9+.\-]*://[^\s/:@]*:(?P<secret>[^\s/@]+)@",
        r#"(?i)(?:password|passwd|secret|token|api[_-]?key)["']?\s*[:=]\s*["']?(?P<secret>[^\s,;&}"'\[(]{6,})"#,
        // Three parts in base64: a JWT.
        r"\b(?P<secret>eyJ[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]{8,}\.[A-Za-z0-9_\-]*)",
        r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----(?P<secret>.*?)-----END",
    ]
    .iter()
    .filter_map(|pattern| Regex::new(pattern).ok())
    .collect()
});

/// Takes secrets out of texts.
pub(super) struct Cleaner {
    known: Masker,
}

impl Cleaner {
    /// What knows these secrets, and the password of the database's address.
    pub(super) fn new(secrets: &[Secret<String>], database_url: Option<&str>) -> Self {
        let mut known = KnownValues::default();
        for secret in secrets {
            known.insert(secret.expose(), MASK);
        }
        let url = database_url.and_then(|url| Url::parse(url).ok());
        if let Some(password) = url.as_ref().and_then(Url::password) {
            known.insert(password, MASK);
        }
        Self { known: Masker::new(&known) }
    }

    /// The text without secrets, and how many were taken out.
    pub(super) fn clean(&self, text: &str) -> (String, usize) {
        let mut text = self.known.mask(text);
        let mut count = text.matches(MASK).count();
        for pattern in CREDENTIALS.iter() {
            let mut found = 0;
            let cleaned = pattern.replace_all(&text, |captures: &Captures<'_>| {
                let whole = captures.get_match();
                let Some(secret) = captures.name("secret").filter(|secret| !is_said(secret.as_str())) else {
                    return whole.as_str().to_owned();
                };
                found += 1;
                let (from, to) = (secret.start() - whole.start(), secret.end() - whole.start());
                let (before, after) = (whole.as_str().get(..from), whole.as_str().get(to..));
                format!("{}{MASK}{}", before.unwrap_or_default(), after.unwrap_or_default())
            });
            text = cleaned.into_owned();
            count += found;
        }
        (text, count)
    }
}

/// What stands for a secret already, or says that there is none.
fn is_said(text: &str) -> bool {
    text.contains(MASK) || text == "hidden"
}
