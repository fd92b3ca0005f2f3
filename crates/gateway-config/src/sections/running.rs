//! How the program runs: limits, its own log, and which environment keys of apps are plain.

use std::net::Ipv6Addr;
use std::path::PathBuf;
use std::time::Duration;

use gateway_types::Rate;

use crate::config::{Limits, Log, LogFormat, Probe, ProbedPorts, Secrets};
use crate::fault::FaultKind;
use crate::keys::{self, Key};
use crate::resolver::Resolver;

pub(crate) fn limits(resolver: &mut Resolver<'_>) -> Option<Limits> {
    let head_size_bytes = resolver.integer(&keys::HEAD_SIZE_BYTES, 8192, 1 << 20);
    let form_size_bytes = resolver.integer(&keys::FORM_SIZE_BYTES, 65_536, 64 << 20);
    let seconds = Duration::from_secs;
    let head_timeout = resolver.duration(&keys::HEAD_TIMEOUT, seconds(1), seconds(120));
    let rack_connect_timeout = resolver.duration(&keys::RACK_CONNECT_TIMEOUT, seconds(1), seconds(120));
    let sentinel_interval = resolver.duration(&keys::SENTINEL_INTERVAL, seconds(0), seconds(3600));
    let drain_timeout = resolver.duration(&keys::DRAIN_TIMEOUT, seconds(0), seconds(3600));
    let drain_notice = resolver.duration(&keys::DRAIN_NOTICE, seconds(0), seconds(600));
    let hand_over_timeout = resolver.duration(&keys::HAND_OVER_TIMEOUT, seconds(0), seconds(24 * 3600));
    let known_callers_timeout =
        resolver.duration(&keys::KNOWN_CALLERS_TIMEOUT, seconds(60), seconds(24 * 3600));
    let handshake_timeout = resolver.duration(&keys::HANDSHAKE_TIMEOUT, seconds(1), seconds(120));
    let handshakes = resolver.integer(&keys::HANDSHAKES, 8, 1 << 20);
    let connections = resolver.integer(&keys::CONNECTIONS, 16, 1 << 20);
    let body_timeout = resolver.duration(&keys::BODY_TIMEOUT, seconds(1), seconds(3600));
    let body_bytes_per_second = resolver.integer(&keys::BODY_BYTES_PER_SECOND, 0, 1 << 30);
    let send_timeout = resolver.duration(&keys::SEND_TIMEOUT, seconds(1), seconds(24 * 3600));
    let idle_timeout = resolver.duration(&keys::IDLE_TIMEOUT, seconds(1), seconds(3600));
    let connections_per_address = resolver.integer(&keys::CONNECTIONS_PER_ADDRESS, 1, 1 << 20);
    let http2_streams = resolver.integer(&keys::HTTP2_STREAMS, 1, 10_000);
    let second = seconds(1);
    let address = rate(resolver, second, &keys::ADDRESS_REQUESTS_PER_SECOND, &keys::ADDRESS_REQUEST_BURST);
    let sign_in = rate(resolver, seconds(60), &keys::SIGN_INS_PER_MINUTE, &keys::SIGN_IN_BURST);
    let caller = rate(resolver, second, &keys::REQUESTS_PER_SECOND, &keys::REQUEST_BURST);
    let reveal = rate(resolver, second, &keys::REVEALS_PER_SECOND, &keys::REVEAL_BURST);
    let change = rate(resolver, second, &keys::CHANGES_PER_SECOND, &keys::CHANGE_BURST);
    let execute = rate(resolver, second, &keys::EXECUTES_PER_SECOND, &keys::EXECUTE_BURST);
    let concurrent_requests = resolver.integer(&keys::CONCURRENT_REQUESTS, 1, 100_000);
    let address_concurrent_requests = resolver.integer(&keys::ADDRESS_CONCURRENT_REQUESTS, 1, 1_000_000);
    let sockets = resolver.integer(&keys::SOCKETS, 1, 100_000);
    Some(Limits {
        head_size_bytes: head_size_bytes?,
        form_size_bytes: form_size_bytes?,
        head_timeout: head_timeout?,
        rack_connect_timeout: rack_connect_timeout?,
        sentinel_interval: sentinel_interval?,
        drain_timeout: drain_timeout?,
        drain_notice: drain_notice?,
        hand_over_timeout: hand_over_timeout?,
        known_callers_timeout: known_callers_timeout?,
        body_timeout: body_timeout?,
        body_bytes_per_second: body_bytes_per_second?,
        send_timeout: send_timeout?,
        idle_timeout: idle_timeout?,
        handshake_timeout: handshake_timeout?,
        handshakes: handshakes?,
        connections: connections?,
        connections_per_address: connections_per_address?,
        http2_streams: http2_streams?,
        address: address?,
        sign_in: sign_in?,
        caller: caller?,
        reveal: reveal?,
        change: change?,
        execute: execute?,
        concurrent_requests: concurrent_requests?,
        address_concurrent_requests: address_concurrent_requests?,
        sockets: sockets?,
    })
}

/// A rate of two keys: how many in each `period`, and how many at once.
fn rate(resolver: &mut Resolver<'_>, period: Duration, count: &Key, burst: &Key) -> Option<Rate> {
    let count = resolver.integer(count, 1, 100_000);
    let burst = resolver.integer(burst, 1, 100_000);
    Some(Rate { count: count?, period, burst: burst? })
}

pub(crate) fn probe(resolver: &mut Resolver<'_>) -> Option<Probe> {
    let interval = resolver.duration(&keys::ZONE_PROBE_INTERVAL, Duration::ZERO, Duration::from_secs(3600));
    let manifest = resolver.optional(&keys::ZONE_PROBE_MANIFEST, |text| Ok(PathBuf::from(text)));
    let hosts = resolver.many(&keys::ZONE_PROBE_HOSTS, host);
    let (interval, manifest, hosts) = (interval?, manifest?, hosts?);
    let (given, missing) = match (manifest, hosts.is_empty()) {
        (Some(manifest), false) => {
            return Some(Probe { interval, ports: Some(ProbedPorts { manifest, hosts }) });
        }
        (None, true) => return Some(Probe { interval, ports: None }),
        (Some(_), true) => (&keys::ZONE_PROBE_MANIFEST, &keys::ZONE_PROBE_HOSTS),
        (None, false) => (&keys::ZONE_PROBE_HOSTS, &keys::ZONE_PROBE_MANIFEST),
    };
    let origin = resolver.origin(given);
    resolver.fault(given, origin, FaultKind::Incomplete { other: missing.label() });
    None
}

/// A name or an address, without a port.
fn host(text: &str) -> Result<String, FaultKind> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
    let is_name = (1..=253).contains(&text.len()) && text.bytes().all(is_plain);
    if is_name || text.parse::<Ipv6Addr>().is_ok() {
        return Ok(text.to_owned());
    }
    let expected = "a name or an address of a machine, without a port";
    Err(FaultKind::Malformed { value: text.to_owned(), expected })
}

pub(crate) fn log(resolver: &mut Resolver<'_>) -> Option<Log> {
    let format = resolver.one(&keys::LOG_FORMAT, |text| match text {
        "json" => Ok(LogFormat::Json),
        "text" => Ok(LogFormat::Text),
        _ => Err(FaultKind::Malformed { value: text.to_owned(), expected: "a log format: json or text" }),
    });
    let filter = resolver.one(&keys::LOG_FILTER, |text| Ok(without_handshakes(text)));
    Some(Log { format: format?, filter: filter? })
}

/// The filter without the TLS library's warnings, one for each broken handshake: whoever scans the internet must not fill
/// the log. A filter that names the library has them.
fn without_handshakes(text: &str) -> String {
    if text.contains("rustls") { text.to_owned() } else { format!("rustls=error,{text}") }
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
pub(crate) fn is_env_pattern(text: &str) -> bool {
    let name = text.strip_prefix('*').or_else(|| text.strip_suffix('*')).unwrap_or(text);
    let long_enough = name.len() >= 2 || (!name.is_empty() && name == text);
    long_enough && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
