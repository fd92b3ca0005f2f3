//! The notation of the `params` and `request_secrets` columns.
//! Source: the header comment of `routes.tsv`.

use super::row::BodyKind;
use crate::error::RowFault;
use crate::parameter::{ParameterSpec, Place, Secrecy, ValueType};

/// Reads `NAME[*|?]@WHERE:TYPE[(v2)]` and `body:TYPE`, separated by single blanks.
pub(super) fn read_parameters(column: &str) -> Result<(Vec<ParameterSpec>, BodyKind), RowFault> {
    let mut specs = Vec::new();
    let mut body = BodyKind::None;
    for item in column.split(' ').filter(|_| !column.is_empty()) {
        let fault = |reason| RowFault::Parameter { text: item.to_owned(), reason };
        match item.strip_prefix("body:") {
            Some(_) if body != BodyKind::None => return Err(fault("there is a body already")),
            Some("bytes") => body = BodyKind::Stream,
            Some("json") => body = BodyKind::Json,
            Some(_) => return Err(fault("a body is bytes or json")),
            None => specs.push(read_parameter(item).map_err(fault)?),
        }
    }
    if specs.iter().any(|spec| spec.place == Place::Form) {
        if body != BodyKind::None {
            let reason = "a row takes form parameters or a body, not both";
            return Err(RowFault::Parameter { text: column.to_owned(), reason });
        }
        body = BodyKind::Form;
    }
    Ok((specs, body))
}

fn read_parameter(item: &str) -> Result<ParameterSpec, &'static str> {
    let (item, v2_only) = item.strip_suffix("(v2)").map_or((item, false), |item| (item, true));
    let (marked, rest) = item.split_once('@').ok_or("write NAME@WHERE:TYPE")?;
    let (place, value_type) = rest.split_once(':').ok_or("write NAME@WHERE:TYPE")?;
    let (name, required, ignored) = match (marked.strip_suffix('*'), marked.strip_suffix('?')) {
        (Some(name), _) => (name, true, false),
        (None, Some(name)) => (name, false, true),
        (None, None) => (marked, false, false),
    };
    let plain = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_');
    if name.is_empty() || !name.bytes().all(plain) {
        return Err("a name holds letters, digits, - and _ only");
    }
    let place = match place {
        "query" => Place::Query,
        "form" => Place::Form,
        "header" => Place::Header,
        _ => return Err("WHERE is query, form or header"),
    };
    let value_type =
        ValueType::parse(value_type).ok_or("TYPE is bool, int, duration, time, list, map, json or string")?;
    let (name, secrecy) = (name.to_owned(), Secrecy::Plain);
    Ok(ParameterSpec { name, place, value_type, required, ignored, v2_only, secrecy })
}

/// Reads `NAME`, `NAME~`, `NAME.*` and `NAME.*~`, separated by commas, into the specs' secrecy.
pub(super) fn label_secrets(specs: &mut [ParameterSpec], column: &str) -> Result<(), RowFault> {
    for item in column.split(',').filter(|_| !column.is_empty()) {
        let fault = |reason| RowFault::Secret { text: item.to_owned(), reason };
        let (name, scanned) = item.strip_suffix('~').map_or((item, false), |name| (name, true));
        let (name, inner) = name.strip_suffix(".*").map_or((name, false), |name| (name, true));
        let spec = specs
            .iter_mut()
            .find(|spec| spec.name == name)
            .ok_or_else(|| fault("the row has no such parameter"))?;
        if inner && spec.value_type != ValueType::Map {
            return Err(fault("only a map has inner values"));
        }
        spec.secrecy = match (scanned, inner) {
            (true, _) => Secrecy::Scanned,
            (false, true) => Secrecy::SecretValues,
            (false, false) => Secrecy::Secret,
        };
    }
    Ok(())
}
