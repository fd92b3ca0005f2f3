//! How the program runs: limits, its own log, and which environment keys of apps are plain.

use std::time::Duration;

use crate::config::{Limits, Log, LogFormat, Secrets};
use crate::fault::FaultKind;
use crate::keys;
use crate::resolver::Resolver;

pub(crate) fn limits(resolver: &mut Resolver<'_>) -> Option<Limits> {
    let head_size_bytes = resolver.integer(&keys::HEAD_SIZE_BYTES, 8192, 1 << 20);
    let form_size_bytes = resolver.integer(&keys::FORM_SIZE_BYTES, 65_536, 64 << 20);
    let seconds = Duration::from_secs;
    let head_timeout = resolver.duration(&keys::HEAD_TIMEOUT, seconds(1), seconds(120));
    let rack_connect_timeout = resolver.duration(&keys::RACK_CONNECT_TIMEOUT, seconds(1), seconds(120));
    let drain_timeout = resolver.duration(&keys::DRAIN_TIMEOUT, seconds(0), seconds(3600));
    let connections = resolver.integer(&keys::CONNECTIONS, 16, 1 << 20);
    let requests_per_second = resolver.integer(&keys::REQUESTS_PER_SECOND, 1, 100_000);
    let request_burst = resolver.integer(&keys::REQUEST_BURST, 1, 100_000);
    Some(Limits {
        head_size_bytes: head_size_bytes?,
        form_size_bytes: form_size_bytes?,
        head_timeout: head_timeout?,
        rack_connect_timeout: rack_connect_timeout?,
        drain_timeout: drain_timeout?,
        connections: connections?,
        requests_per_second: requests_per_second?,
        request_burst: request_burst?,
    })
}

pub(crate) fn log(resolver: &mut Resolver<'_>) -> Option<Log> {
    let format = resolver.one(&keys::LOG_FORMAT, |text| match text {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err(FaultKind::Malformed { value: text.to_owned(), expected: "a log format: json or text" }),
    });
    let filter = resolver.one(&keys::LOG_FILTER, |text| Ok(text.to_owned()));
    Some(Log { format: format?, filter: filter? })
}

pub(crate) fn secrets(resolver: &mut Resolver<'_>) -> Option<Secrets> {
    let plain_env_keys = resolver.many(&keys::PLAIN_ENV_KEYS, |text| {
        if is_env_pattern(text) {
            return Ok(text.to_owned());
        }
        let expected = "the name of an environment key, such as PORT or *_ENABLED (one * at the start or the end, with at least two other characters)";
        Err(FaultKind::Malformed { value: text.to_owned(), expected })
    });
    Some(Secrets { plain_env_keys: plain_env_keys? })
}

/// A pattern of nothing but `*`, or nearly so, would show every secret.
fn is_env_pattern(text: &str) -> bool {
    let name = text.strip_prefix('*').or_else(|| text.strip_suffix('*')).unwrap_or(text);
    let long_enough = name.len() >= 2 || (!name.is_empty() && name == text);
    long_enough && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
