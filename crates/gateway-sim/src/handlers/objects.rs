//! The object store of an app. Objects over 8 MiB keep only length and digest; the keys `tmp/zeros-N.bin` and
//! `tmp/noise-N.bin` hold N bytes that were never stored, for tests of large downloads.

use data_encoding::HEXLOWER;
use serde_json::json;

use super::{Answer, app_of};
use crate::call::Call;
use crate::options::{Flavour, random_bytes};
use crate::refusal::Refusal;
use crate::reply::{Body, Filler, Reply};
use crate::state::State;
use crate::upload::Upload;

/// The cleaned key of a call.
fn key_of(call: &Call) -> Result<String, Refusal> {
    let key = call.var("key");
    if key.split('/').any(|segment| segment == "..") {
        return Err(Refusal::InvalidObjectKey);
    }
    let segments: Vec<&str> = key.split('/').filter(|segment| !matches!(*segment, "" | ".")).collect();
    Ok(segments.join("/"))
}

/// The length and kind of a magic key.
fn filler(key: &str) -> Option<(u64, Filler)> {
    let name = key.strip_prefix("tmp/")?.strip_suffix(".bin")?;
    let (kind, length) = name.split_once('-')?;
    let filler = match kind {
        "zeros" => Filler::Zeros,
        "noise" => Filler::Noise,
        _ => return None,
    };
    Some((length.parse().ok()?, filler))
}

pub(crate) fn list(call: &Call, state: &mut State) -> Answer {
    if state.flavour == Flavour::V3 {
        return Err(Refusal::Unimplemented);
    }
    let prefix = call.query("prefix").unwrap_or_default();
    let app = app_of(call, state)?;
    let keys: Vec<&String> = app.objects.keys().filter(|key| key.starts_with(prefix)).collect();
    Ok(Reply::json(&keys))
}

pub(crate) fn store(call: &Call, state: &mut State) -> Answer {
    let app = app_of(call, state)?;
    let mut key = key_of(call)?;
    if key.is_empty() {
        key = format!("tmp/{}", HEXLOWER.encode(&random_bytes::<15>()));
    }
    // A body labelled as a form was eaten by the form parser before the handler could read it.
    let content_type = call.header("content-type").unwrap_or_default();
    let eaten = content_type.starts_with("application/x-www-form-urlencoded");
    let object = if eaten { Upload::whole(b"") } else { call.body.clone() };
    let url = format!("object://{}/{key}", app.name);
    app.objects.insert(key, object);
    Ok(Reply::json(&json!({"Url": url})))
}

pub(crate) fn exists(call: &Call, state: &mut State) -> Answer {
    let key = key_of(call)?;
    let there = app_of(call, state)?.objects.contains_key(&key) || filler(&key).is_some();
    Ok(Reply::text(200, there.to_string()))
}

pub(crate) fn fetch(call: &Call, state: &mut State) -> Answer {
    let key = key_of(call)?;
    let app = app_of(call, state)?;
    let body = match (app.objects.get(&key), filler(&key)) {
        (Some(Upload { bytes: Some(bytes), .. }), _) => Body::Bytes(bytes.clone()),
        (Some(large), _) => Body::Filler(large.length, Filler::Zeros),
        (None, Some((length, kind))) => Body::Filler(length, kind),
        (None, None) => return Err(Refusal::ObjectNotFound(key)),
    };
    Ok(Reply::stream(body, Some("application/octet-stream")))
}

pub(crate) fn delete(call: &Call, state: &mut State) -> Answer {
    let key = key_of(call)?;
    app_of(call, state)?.objects.remove(&key).ok_or(Refusal::ObjectNotFound(key))?;
    Ok(Reply::ok())
}
