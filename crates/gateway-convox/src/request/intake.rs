//! Reading the parameters of one request, each from the one place its row names.
//!
//! The rack reads many parameters from several homes with a precedence (API.md 0.8). Code that looked
//! at one home while the rack took another would be blind, so a value in any other home is refused.

use super::typed;
use crate::error::{ParameterError, shown};
use crate::parameter::{Parameter, ParameterSpec, Place};
use crate::table::{BodyKind, Row};
use crate::urlencoded::{self, RawBytes};

/// Names that the rack also reads from a header of the same name when query and body lack them.
/// Source: the header comment of `routes.tsv`.
const SECOND_HOMES: [&str; 26] = [
    "ack_by",
    "action",
    "active",
    "app",
    "domains",
    "durationinhour",
    "file",
    "files",
    "force_clear_cooldown",
    "id",
    "image",
    "key",
    "kind",
    "name",
    "opts",
    "password",
    "prefix",
    "pub",
    "reset_period",
    "role",
    "server",
    "threshold",
    "type",
    "url",
    "username",
    "value",
];

/// Checked like any parameter and then dropped: who acted is the gateway's to say.
const DROPPED: &str = "ack_by";

/// The parameters given, in table order.
pub(super) fn read<'h>(
    row: &Row,
    query: Option<&str>,
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
    content_type: Option<&str>,
    form: Option<&[u8]>,
) -> Result<Vec<Parameter>, ParameterError> {
    let mut intake = Intake { row, given: vec![None; row.parameters.len()] };
    intake.urlencoded(Place::Query, query.unwrap_or_default().as_bytes())?;
    intake.form(content_type, form.unwrap_or_default())?;
    for (name, value) in headers {
        intake.header(name, value)?;
    }
    intake.finish()
}

struct Intake<'r> {
    row: &'r Row,
    given: Vec<Option<Parameter>>,
}

impl Intake<'_> {
    fn form(&mut self, content_type: Option<&str>, body: &[u8]) -> Result<(), ParameterError> {
        if body.is_empty() {
            return Ok(());
        }
        match self.row.body {
            BodyKind::Form if is_form(content_type) => self.urlencoded(Place::Form, body),
            BodyKind::Form => Err(ParameterError::ContentType),
            // The body of a stream row is not read here; whoever hands one over took the row for another.
            BodyKind::None | BodyKind::Stream | BodyKind::Json => Err(ParameterError::UnexpectedBody),
        }
    }

    fn urlencoded(&mut self, place: Place, text: &[u8]) -> Result<(), ParameterError> {
        let raw = if place == Place::Form { RawBytes::Utf8 } else { RawBytes::Ascii };
        let pairs =
            urlencoded::pairs(text, raw).map_err(|fault| ParameterError::Malformed { place, fault })?;
        pairs.iter().try_for_each(|(name, value)| self.take(place, name, value))
    }

    fn header(&mut self, name: &str, value: &[u8]) -> Result<(), ParameterError> {
        let is_ours = |spec: &ParameterSpec| spec.place == Place::Header && spec.is_named(name);
        if let Some(spec) = self.row.parameters.iter().find(|spec| is_ours(spec)) {
            let value = value.trim_ascii();
            // An empty header is an absent one for the rack.
            if value.is_empty() {
                return Ok(());
            }
            let text = std::str::from_utf8(value)
                .map_err(|_| ParameterError::BadValue { name: spec.name.clone(), expected: "UTF-8 text" })?;
            return self.take(Place::Header, name, text);
        }
        match SECOND_HOMES.iter().find(|home| home.eq_ignore_ascii_case(name)) {
            Some(home) => misplaced(self.row, home, Place::Header).map_or(Ok(()), Err),
            None => Ok(()),
        }
    }

    fn take(&mut self, place: Place, name: &str, value: &str) -> Result<(), ParameterError> {
        let found = self
            .row
            .parameters
            .iter()
            .zip(&mut self.given)
            .find(|(spec, _)| spec.place == place && spec.is_named(name));
        let Some((spec, slot)) = found else {
            let unknown = || ParameterError::Unknown { name: shown(name), place };
            return Err(misplaced(self.row, name, place).unwrap_or_else(unknown));
        };
        if slot.is_some() {
            return Err(ParameterError::Duplicate { name: spec.name.clone(), place });
        }
        refuse_claimed_actor(spec, value)?;
        *slot = Some(typed(self.row, spec, value)?);
        Ok(())
    }

    fn finish(self) -> Result<Vec<Parameter>, ParameterError> {
        let mut kept = Vec::new();
        for (spec, given) in self.row.parameters.iter().zip(self.given) {
            match given {
                Some(_) if spec.ignored || spec.name == DROPPED => {}
                Some(parameter) => kept.push(parameter),
                None if spec.required => {
                    return Err(ParameterError::Missing { name: spec.name.clone(), place: spec.place });
                }
                None => {}
            }
        }
        Ok(kept)
    }
}

/// The error for a known name in a place that is not its own.
fn misplaced(row: &Row, name: &str, given: Place) -> Option<ParameterError> {
    let elsewhere =
        |spec: &&ParameterSpec| !spec.ignored && spec.place != given && spec.name.eq_ignore_ascii_case(name);
    let spec = row.parameters.iter().find(elsewhere)?;
    Some(ParameterError::WrongPlace { name: spec.name.clone(), given, expected: spec.place })
}

/// An event's data may name its actor, and the rack believes it (API.md 4): refuse.
fn refuse_claimed_actor(spec: &ParameterSpec, value: &str) -> Result<(), ParameterError> {
    if spec.name != "data" || spec.place != Place::Form {
        return Ok(());
    }
    let pairs = spec.map(value)?;
    let claimed = ["actor", "ack_by"]
        .into_iter()
        .find(|reserved| pairs.iter().any(|(inner, _)| inner.eq_ignore_ascii_case(reserved)));
    claimed.map_or(Ok(()), |inner| Err(ParameterError::Reserved { name: format!("data.{inner}") }))
}

/// `application/x-www-form-urlencoded`, with at most a charset of UTF-8.
fn is_form(content_type: Option<&str>) -> bool {
    let Some(content_type) = content_type else { return false };
    let (essence, parameter) = content_type.split_once(';').unwrap_or((content_type, "charset=utf-8"));
    let charset = parameter.trim().to_ascii_lowercase().replace('"', "");
    essence.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded") && charset == "charset=utf-8"
}
