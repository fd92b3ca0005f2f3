//! Who is told what took how long in a request.

use std::path::PathBuf;

use crate::config::Traces;
use crate::fault::FaultKind;
use crate::keys::{self, Key};
use crate::resolver::Resolver;
use crate::sinks::{header, web_address};

/// The share of all requests, in millionths.
const WHOLE: f64 = 1_000_000.0;

pub(crate) fn traces(resolver: &mut Resolver<'_>) -> Option<Option<Traces>> {
    let url = resolver.optional(&keys::TRACES_ADDRESS, web_address);
    let per_million = resolver.one(&keys::TRACES_RATIO, millionths);
    let secret = resolver.secret(&keys::TRACES_HEADER);
    let ca_file = resolver.optional(&keys::TRACES_CA_FILE, |text| Ok(PathBuf::from(text)));
    let (url, per_million, secret, ca_file) = (url?, per_million?, secret?, ca_file?);
    let told = match secret.as_ref().map(header).transpose() {
        Ok(told) => told,
        Err(kind) => return fault(resolver, &keys::TRACES_HEADER, kind),
    };
    let Some(url) = url else {
        let given = [(told.is_some(), &keys::TRACES_HEADER), (ca_file.is_some(), &keys::TRACES_CA_FILE)];
        return match given.into_iter().find(|(is_given, _)| *is_given) {
            None => Some(None),
            Some((_, key)) => {
                let other = keys::TRACES_ADDRESS.label();
                fault(resolver, key, FaultKind::Incomplete { other })
            }
        };
    };
    Some(Some(Traces { url, per_million, header: told, ca_file }))
}

fn fault<T>(resolver: &mut Resolver<'_>, key: &Key, kind: FaultKind) -> Option<T> {
    let origin = resolver.origin(key);
    resolver.fault(key, origin, kind);
    None
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of 0 to 1 becomes one of 0 to a million"
)]
fn millionths(text: &str) -> Result<u32, FaultKind> {
    let share: Option<f64> = text.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    let share = share.ok_or_else(|| FaultKind::Malformed {
        value: text.to_owned(),
        expected: "a share of 0 to 1, such as 0.05",
    })?;
    Ok((share * WHOLE).round() as u32)
}
