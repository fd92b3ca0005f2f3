//! A rack behind a gateway, as a command asks it.

use std::cell::Cell;

use gateway_client::rack::RackRequest;
use gateway_client::rack::types::{App, Process, System};
use gateway_client::text::one_line;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::super::listing::minute;
use super::AppArgument;
use crate::Context;
use crate::failure::{Exit, Failure, Problem};
use crate::lines::Lines;
use crate::output::{Format, remark};
use crate::remote::{Remote, Target, only_one};
use crate::table::Rows;
use crate::terminal::{Assent, waiting};

/// The last version of the racks whose API was another one.
const LAST_OLD_VERSION: &str = "20180708231844";

/// A rack behind a gateway.
pub(crate) struct Place<'a> {
    pub(crate) context: &'a Context,
    pub(crate) remote: Remote,
    /// Whether remarks go beside the answer, because a script reads that.
    beside: Cell<bool>,
}

/// An answer of the rack: as it came, for programs, and as far as this program knows it.
pub(super) struct Fetched<T> {
    pub(super) raw: Value,
    pub(super) value: T,
}

/// What was done, for programs.
#[derive(Serialize)]
struct Done<'a> {
    done: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    made: Option<&'a str>,
}

impl<'a> Place<'a> {
    /// The rack that is meant, as whoever is signed in to its gateway.
    ///
    /// # Errors
    /// When none is meant, several are, or nobody is signed in.
    pub(crate) fn open(context: &'a Context) -> Result<Self, Failure> {
        only_one(context)?;
        let remote = Remote::at(context, Target::of_rack(context)?)?;
        Ok(Self { context, remote, beside: Cell::new(context.output.format == Format::Json) })
    }

    /// The app that is meant.
    pub(super) fn app(&self, argument: &AppArgument) -> Result<String, Failure> {
        argument.name(self.context)
    }

    /// Asks for a document.
    pub(super) async fn fetch<T: DeserializeOwned + Default>(
        &self,
        request: &RackRequest,
    ) -> Result<Fetched<T>, Failure> {
        let raw: Value = self.remote.ask(async |client| client.rack_document(request).await).await?;
        // Go writes `null` for what is empty.
        let value = serde_json::from_value::<Option<T>>(raw.clone())
            .problem("the rack's answer is not understood")?
            .unwrap_or_default();
        Ok(Fetched { raw, value })
    }

    /// Asks for something whose answer is of no interest.
    pub(super) async fn order(&self, request: &RackRequest) -> Result<(), Failure> {
        self.remote.ask(async |client| client.rack(request).await.map(|_| ())).await
    }

    /// Asks for something whose answer, if there is one, is of interest to programs.
    pub(super) async fn change<T: DeserializeOwned + Default>(
        &self,
        request: &RackRequest,
    ) -> Result<T, Failure> {
        Ok(self.fetch(request).await?.value)
    }

    /// The rack itself. What racks before 2018 would need is not spoken.
    pub(super) async fn system(&self) -> Result<Fetched<System>, Failure> {
        let system: Fetched<System> = self.fetch(&RackRequest::get(&["system"])).await?;
        let version = &system.value.version;
        let is_date =
            version.len() == LAST_OLD_VERSION.len() && version.bytes().all(|byte| byte.is_ascii_digit());
        if is_date && version.as_str() <= LAST_OLD_VERSION {
            let what = format!("the rack's version {version} speaks another API than this program");
            return Err(
                Failure::new(Exit::Failed, what).hint("use the official client: `rack-gateway convox …`")
            );
        }
        Ok(system)
    }

    /// An app.
    pub(super) async fn read_app(&self, app: &str) -> Result<Fetched<App>, Failure> {
        self.fetch(&RackRequest::get(&["apps", app])).await
    }

    /// The processes of an app.
    pub(super) async fn processes(&self, app: &str) -> Result<Fetched<Vec<Process>>, Failure> {
        self.fetch(&RackRequest::get(&["apps", app, "processes"])).await
    }

    /// Tells when the app's budget stops it. That it cannot be asked is no reason to fail: v2 racks have none.
    pub(super) async fn budget_notice(&self, app: &str) {
        let asked = RackRequest::get(&["apps", app, "budget"]);
        let Ok(budget) = self.remote.ask(async |client| client.rack_document::<Value>(&asked).await).await
        else {
            return;
        };
        let tripped = budget
            .get("state")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .any(|(name, value)| name.contains("tripped") && value.as_bool() == Some(true));
        if tripped {
            remark(&format!(
                "warning: the budget of {} is used up; `rack-gateway budget show {}`",
                one_line(app),
                one_line(app)
            ));
        }
    }

    /// Writes a listing.
    pub(super) fn listing(&self, raw: &Value, rows: &Rows, nothing: &str) -> Result<(), Failure> {
        let empty = Value::Array(Vec::new());
        let raw = if raw.is_null() { &empty } else { raw };
        self.context.output.answer(raw, || match rows.is_empty() {
            true => nothing.to_owned(),
            false => rows.render(self.context.output.looks),
        })
    }

    /// Writes one thing.
    pub(super) fn shown(&self, raw: &Value, lines: &Lines) -> Result<(), Failure> {
        self.context.output.answer(raw, || lines.to_string())
    }

    /// Says what was done, in the words of the official client.
    pub(super) fn done(&self, doing: &str, made: Option<&str>) -> Result<(), Failure> {
        self.context.output.answer(&Done { done: doing, made }, || {
            let made = made.map(|made| format!(", {}", one_line(made))).unwrap_or_default();
            format!("{}... OK{made}", one_line(doing))
        })
    }

    /// Says that something that was told by steps came to its end.
    pub(super) fn ended(&self, doing: &str, made: Option<&str>) -> Result<(), Failure> {
        self.context.output.answer(&Done { done: doing, made }, || "OK".to_owned())
    }

    /// Says how far it is: to people on standard output as the official client does, else beside the answer.
    pub(super) fn step(&self, text: &str) -> Result<(), Failure> {
        if self.is_beside() {
            remark(text);
            return Ok(());
        }
        self.context.output.line(text)
    }

    /// From now on standard output holds the answer alone.
    pub(super) fn keep_beside(&self) {
        self.beside.set(true);
    }

    /// Whether standard output holds the answer alone.
    pub(super) fn is_beside(&self) -> bool {
        self.beside.get()
    }

    /// Asks somebody at the terminal whether that is meant. Scripts are not asked, as the official client asks nobody;
    /// what is critical needs a second factor of its own at the gateway.
    pub(super) fn confirm(&self, what: &str, yes: bool) -> Result<(), Failure> {
        if !self.context.terminal.is_there {
            return Ok(());
        }
        waiting(|| self.context.terminal.confirm(what, Assent::of(yes)))
    }
}

/// A moment for a table: `2026-11-22 04:13`; nothing for the year 1, which Go writes for none.
pub(super) fn moment(time: &str) -> String {
    if time.is_empty() || time.starts_with("0001-") {
        return String::new();
    }
    minute(Some(time), "")
}

/// What is set has a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("write it as NAME=VALUE")]
pub(crate) struct NotAPair;

/// `NAME=VALUE`, as parameters and options are given.
pub(super) fn pair(text: &str) -> Result<(String, String), NotAPair> {
    let (name, value) = text.split_once('=').ok_or(NotAPair)?;
    if name.is_empty() { Err(NotAPair) } else { Ok((name.to_owned(), value.to_owned())) }
}

/// Pairs as racks take them: an urlencoded text inside of one parameter.
pub(super) fn map_text(pairs: &[(String, String)]) -> String {
    let mut sorted = pairs.to_vec();
    sorted.sort();
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&sorted).finish()
}

/// A duration as racks take it: `5m` is `5m0s`.
pub(super) fn go_duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{rest}s"),
        (0, minutes) => format!("{minutes}m{rest}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{rest}s"),
    }
}

/// A duration as people write it, in seconds: `90s`, `5m`, `1h`, `1h30m`.
pub(super) fn seconds(text: &str) -> Result<u64, NotADuration> {
    let (mut total, mut number, mut seen) = (0u64, String::new(), false);
    for c in text.chars() {
        if c.is_ascii_digit() {
            number.push(c);
            continue;
        }
        let unit = match c {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return Err(NotADuration),
        };
        let count: u64 = number.parse().map_err(|_| NotADuration)?;
        total = count.checked_mul(unit).and_then(|part| total.checked_add(part)).ok_or(NotADuration)?;
        number.clear();
        seen = true;
    }
    if number.is_empty() && seen { Ok(total) } else { Err(NotADuration) }
}

/// A text that is no duration.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("write it as 90s, 5m, 1h or 1h30m")]
pub(crate) struct NotADuration;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_sent_as_go_writes_them() {
        for (typed, sent) in
            [("90s", "1m30s"), ("5m", "5m0s"), ("1h", "1h0m0s"), ("1h30m", "1h30m0s"), ("0s", "0s")]
        {
            assert_eq!(go_duration(seconds(typed).unwrap()), sent, "{typed}");
        }
        for bad in ["", "5", "m", "5d", "-5m", "99999999999999999999h"] {
            assert_eq!(seconds(bad), Err(NotADuration), "{bad}");
        }
    }

    #[test]
    fn a_map_is_one_text() {
        let pairs = [("b".to_owned(), "https://x".to_owned()), ("a".to_owned(), "1".to_owned())];
        assert_eq!(map_text(&pairs), "a=1&b=https%3A%2F%2Fx");
        assert!(pair("=x").is_err() && pair("x").is_err());
    }
}
