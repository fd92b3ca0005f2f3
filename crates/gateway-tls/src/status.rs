//! How the certificates stand, for whoever runs the gateway.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gateway_types::Timestamp;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// How one certificate stands.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// Until when the present one is valid; `None` = there is none.
    pub not_after: Option<Timestamp>,
    /// What went wrong the last time that something was tried.
    pub problem: Option<String>,
    /// When it is tried again.
    pub next_try: Option<Timestamp>,
}

/// How all of them stand, by what they are called: a host name, or a file.
#[derive(Debug, Default)]
pub struct Status(Mutex<BTreeMap<String, Standing>>);

impl Status {
    /// Says how they stand now.
    pub fn set(&self, standings: BTreeMap<String, Standing>) {
        *self.lock() = standings;
    }

    /// Until when each is valid; not those that are not there yet.
    pub fn ends(&self) -> Vec<(String, Timestamp)> {
        self.lock().iter().filter_map(|(name, standing)| Some((name.clone(), standing.not_after?))).collect()
    }

    /// How they stand, in sentences.
    pub fn notes(&self, now: Timestamp) -> Vec<String> {
        self.lock().iter().map(|(name, standing)| sentence(name, standing, now)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Standing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sentence(name: &str, standing: &Standing, now: Timestamp) -> String {
    let life = match standing.not_after {
        None => "there is no certificate yet".to_owned(),
        Some(end) => match end.checked_since(now) {
            None => format!("the certificate has expired ({})", end.to_rfc3339()),
            Some(left) => {
                let days = left.as_secs() / DAY.as_secs();
                let unit = if days == 1 { "day" } else { "days" };
                format!("the certificate is good for {days} {unit} ({})", end.to_rfc3339())
            }
        },
    };
    let problem = standing.problem.as_deref().map(|problem| format!("; the last try failed: {problem}"));
    let again = standing
        .next_try
        .filter(|_| standing.problem.is_some())
        .map(|next| format!("; it is tried again at {}", next.to_rfc3339()));
    format!("TLS, {name}: {life}{}{}", problem.unwrap_or_default(), again.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences() {
        let now = Timestamp::from_micros(1_795_000_000_000_000);
        let check = |standing: Standing, expected: &str| {
            assert_eq!(sentence("a.example.com", &standing, now), format!("TLS, a.example.com: {expected}"));
        };
        let until = |days: u32| {
            let end = now.saturating_add(DAY * days);
            (Standing { not_after: Some(end), ..Standing::default() }, end.to_rfc3339())
        };
        check(Standing::default(), "there is no certificate yet");
        for (days, expected) in [(0, "0 days"), (1, "1 day"), (61, "61 days")] {
            let (standing, end) = until(days);
            check(standing, &format!("the certificate is good for {expected} ({end})"));
        }
        let epoch = Timestamp::from_micros(0);
        let past = Standing { not_after: Some(epoch), ..Standing::default() };
        check(past, &format!("the certificate has expired ({epoch})"));
        let failed =
            Standing { problem: Some("no answer".to_owned()), next_try: Some(now), ..Standing::default() };
        let expected = format!(
            "there is no certificate yet; the last try failed: no answer; it is tried again at {now}"
        );
        check(failed, &expected);
    }
}
