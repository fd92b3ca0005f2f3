//! Making a too large event fit: its largest parts become digests, the parts become blobs.

use std::cmp::Reverse;
use std::mem;

use serde_json::{Value, json};

use super::canonical::{Sorted, write};
use super::{EncodeError, Leaf, MAX_LEAF_BYTES, Nonce};
use crate::event::Event;
use crate::merkle::{Hash, digest, leaf_hash};
use crate::text;

/// The name that stands for all parameters when even their digests are too many.
const ALL_PARAMETERS: &str = "…";

/// A text shorter than this is not replaced: its mark would be about as long.
const SMALLEST_PART_BYTES: usize = 256;

/// A part of an event that may be large.
enum Part {
    Before,
    After,
    Reason,
    ActorName,
    ResourceId,
    Parameter(String),
}

/// The leaf of an event that is larger than a leaf may be.
///
/// The largest part goes first; when that is not enough, the parameters go as a whole.
pub(super) fn fit(event: &Event, nonce: &Nonce) -> Result<Leaf, EncodeError> {
    let leaf = without_largest(event, nonce)?;
    if leaf.bytes.len() <= MAX_LEAF_BYTES {
        return Ok(leaf);
    }
    let whole = canonical(&event.parameters)?;
    let mut fewer = event.clone();
    fewer.parameters = [(ALL_PARAMETERS.to_owned(), text::mark_of(&whole))].into();
    let mut leaf = without_largest(&fewer, nonce)?;
    if leaf.bytes.len() > MAX_LEAF_BYTES {
        return Err(EncodeError::TooLarge { bytes: leaf.bytes.len() });
    }
    leaf.blobs.push((digest(&whole), whole));
    Ok(leaf)
}

/// The leaf of the event with as many of its large parts replaced, largest first, as it takes to
/// fit; it may still be too large when that is all of them.
fn without_largest(event: &Event, nonce: &Nonce) -> Result<Leaf, EncodeError> {
    let mut slim = event.clone();
    let mut blobs = Vec::new();
    let mut excess = slim.encode(nonce)?.len().saturating_sub(MAX_LEAF_BYTES);
    for (bytes, part) in parts(event)? {
        if excess == 0 {
            break;
        }
        blobs.push(replace(&mut slim, &part)?);
        // What is put in its place is smaller than the smallest part.
        excess = excess.saturating_sub(bytes.saturating_sub(SMALLEST_PART_BYTES));
    }
    let bytes = slim.encode(nonce)?;
    Ok(Leaf { hash: leaf_hash(&bytes), bytes, blobs })
}

fn canonical<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::new();
    write(&mut bytes, value).map_err(|source| EncodeError::Json { source })?;
    Ok(bytes)
}

/// The parts worth replacing with their encoded sizes, largest first.
fn parts(event: &Event) -> Result<Vec<(usize, Part)>, EncodeError> {
    let mut parts = Vec::new();
    let bodies = [(event.before.as_ref(), Part::Before), (event.after.as_ref(), Part::After)];
    for (body, part) in bodies {
        if let Some(body) = body {
            parts.push((canonical(&Sorted(body))?.len(), part));
        }
    }
    if let Some(reason) = &event.reason {
        parts.push((canonical(reason)?.len(), Part::Reason));
    }
    parts.push((canonical(&event.actor.name)?.len(), Part::ActorName));
    parts.push((canonical(&event.resource.id)?.len(), Part::ResourceId));
    for (name, value) in &event.parameters {
        parts.push((canonical(value)?.len(), Part::Parameter(name.clone())));
    }
    parts.retain(|(bytes, _)| *bytes > SMALLEST_PART_BYTES);
    parts.sort_by_key(|(bytes, _)| Reverse(*bytes));
    Ok(parts)
}

/// Puts the digest of a part in its place and returns the part as a blob.
fn replace(event: &mut Event, part: &Part) -> Result<(Hash, Vec<u8>), EncodeError> {
    let mut nothing = String::new();
    match part {
        Part::Before => replace_body(&mut event.before),
        Part::After => replace_body(&mut event.after),
        Part::Reason => Ok(replace_text(event.reason.as_mut().unwrap_or(&mut nothing))),
        Part::ActorName => Ok(replace_text(&mut event.actor.name)),
        Part::ResourceId => Ok(replace_text(&mut event.resource.id)),
        Part::Parameter(name) => Ok(replace_text(event.parameters.get_mut(name).unwrap_or(&mut nothing))),
    }
}

fn replace_body(body: &mut Option<Value>) -> Result<(Hash, Vec<u8>), EncodeError> {
    let whole = canonical(&Sorted(&body.take().unwrap_or(Value::Null)))?;
    let hash = digest(&whole);
    *body = Some(json!({ "bytes": whole.len(), "sha256": hash.to_hex() }));
    Ok((hash, whole))
}

fn replace_text(text: &mut String) -> (Hash, Vec<u8>) {
    let whole = mem::take(text).into_bytes();
    *text = text::mark_of(&whole);
    (digest(&whole), whole)
}
