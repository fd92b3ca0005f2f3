//! How requests go to a service and what is done with its replies: times, checks, identity, header rules, and what
//! clients of an old version are told.

use std::collections::BTreeMap;
use std::time::Duration;

use gateway_types::Timestamp;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::credential::{Credential, credential};
use crate::fault::Faults;
use crate::headers;
use crate::path::CanonicalPath;
use crate::raw::{RawHost, RawIdentity, RawService, RawVersion};

/// How long connecting may take when the declaration does not say.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// How often health is checked when the declaration does not say.
const CHECK_INTERVAL: Duration = Duration::from_secs(10);

/// The longest time that may be declared.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Active health checks.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Health {
    /// The path that is asked for.
    pub path: String,
    /// How often.
    pub interval: Duration,
}

/// What clients of a version are told.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VersionNotice {
    /// `Deprecation` (RFC 9745): `@` and seconds since 1970.
    pub deprecation: Option<String>,
    /// `Sunset` (RFC 8594): an HTTP date.
    pub sunset: Option<String>,
}

/// How requests go to a service and what is done with its replies.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Way {
    /// How long connecting may take, a TLS handshake included.
    pub connect_limit: Duration,
    /// How long a reply may keep waiting while nothing goes up.
    pub reply_limit: Option<Duration>,
    /// Active health checks.
    pub health: Option<Health>,
    /// What upstreams are told in `Host`.
    pub host: RawHost,
    /// How the service is told who calls.
    pub identity: RawIdentity,
    /// What the gateway signs in with.
    pub credential: Credential,
    /// Headers that are taken away from replies, in lower case.
    pub remove: Vec<String>,
    /// Headers that are set on replies, names in lower case.
    pub set: Vec<(String, String)>,
    /// What clients are told, by version.
    pub notices: BTreeMap<String, VersionNotice>,
}

/// The checked way of a declaration.
pub(crate) fn way(raw: &RawService, faults: &mut Faults) -> Way {
    let connect = raw.connect_timeout.as_deref();
    Way {
        connect_limit: duration(connect, "connect_timeout", faults).unwrap_or(CONNECT_LIMIT),
        reply_limit: duration(raw.reply_timeout.as_deref(), "reply_timeout", faults),
        health: health(raw, faults),
        host: raw.host,
        identity: raw.identity,
        credential: credential(raw, faults),
        remove: removed(raw, faults),
        set: set(raw, faults),
        notices: raw
            .versions
            .iter()
            .enumerate()
            .map(|(index, version)| (version.name.clone(), notice(version, index, faults)))
            .collect(),
    }
}

/// `500ms`, `5s`, `2m` or `1h`, more than nothing.
fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let millis = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => None,
    }?;
    Some(Duration::from_millis(millis)).filter(|found| !found.is_zero() && *found <= LONGEST)
}

fn duration(text: Option<&str>, field: &str, faults: &mut Faults) -> Option<Duration> {
    let text = text?;
    let parsed = parse_duration(text);
    if parsed.is_none() {
        faults.malformed(field, text, "a time such as `500ms`, `5s` or `2m`, at most 24h");
    }
    parsed
}

fn health(raw: &RawService, faults: &mut Faults) -> Option<Health> {
    let declared = raw.health.as_ref()?;
    let is_path = CanonicalPath::parse(&declared.path).is_ok_and(|path| path.to_string() == declared.path);
    if !is_path {
        faults.malformed("health.path", &declared.path, "a path such as `/healthz`");
    }
    let interval =
        duration(declared.interval.as_deref(), "health.interval", faults).unwrap_or(CHECK_INTERVAL);
    if interval < Duration::from_millis(100) {
        faults.conflict("health.interval", "health is checked at most ten times a second");
    }
    Some(Health { path: declared.path.clone(), interval })
}

fn is_header(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn removed(raw: &RawService, faults: &mut Faults) -> Vec<String> {
    for (index, name) in raw.response_headers.remove.iter().enumerate() {
        if !is_header(name) {
            faults.malformed(format!("response_headers.remove[{index}]"), name, "the name of a header");
        }
    }
    raw.response_headers.remove.iter().map(|name| name.to_ascii_lowercase()).collect()
}

/// What may be set: anything that a service could say itself, but for what decides framing, cookies and addresses.
fn set(raw: &RawService, faults: &mut Faults) -> Vec<(String, String)> {
    const NEVER: [&str; 3] = ["set-cookie", "location", "content-location"];
    let mut set = Vec::new();
    for (name, value) in &raw.response_headers.set {
        let lower = name.to_ascii_lowercase();
        let field = format!("response_headers.set.{name}");
        if !is_header(name) || !headers::comes_back(&lower) || NEVER.contains(&lower.as_str()) {
            faults.malformed(field, name, "the name of a header that a service may send");
        } else if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte) || byte == b'\t') {
            faults.malformed(field, value, "a header value: visible characters of ASCII");
        } else {
            set.push((lower, value.clone()));
        }
    }
    set
}

fn notice(version: &RawVersion, index: usize, faults: &mut Faults) -> VersionNotice {
    let mut day = |text: Option<&String>, field: &str| {
        let text = text?;
        let parsed = Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z"));
        if parsed.is_none() {
            faults.malformed(format!("version[{index}].{field}"), text, "a day such as `2026-01-31`");
        }
        parsed.map(|moment| moment.micros().div_euclid(1_000_000))
    };
    let deprecated = day(version.deprecated.as_ref(), "deprecated");
    let sunset = day(version.sunset.as_ref(), "sunset");
    if let Some((deprecated, sunset)) = deprecated.zip(sunset)
        && sunset < deprecated
    {
        // Source: RFC 9745, section 4.
        faults.conflict(format!("version[{index}].sunset"), "a version cannot end before it is deprecated");
    }
    VersionNotice {
        deprecation: deprecated.map(|seconds| format!("@{seconds}")),
        sunset: sunset.and_then(http_date),
    }
}

/// Source: RFC 9110, section 5.6.7.
fn http_date(seconds: i64) -> Option<String> {
    let moment = OffsetDateTime::from_unix_timestamp(seconds).ok()?.format(&Rfc2822).ok()?;
    Some(moment.replace("+0000", "GMT"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RawHeaderRules, RawHealth, RawUpstream, Service};

    fn raw() -> RawService {
        RawService {
            name: "shop".to_owned(),
            hosts: vec!["shop.example.com".to_owned()],
            upstreams: vec![RawUpstream { url: "http://10.0.0.1".to_owned(), weight: None, version: None }],
            ..RawService::default()
        }
    }

    fn fields(raw: RawService) -> Vec<String> {
        Service::check(raw).err().unwrap_or_default().into_iter().map(|fault| fault.field).collect()
    }

    #[test]
    fn durations() {
        let check = |text: &str, expected: Option<u64>| {
            assert_eq!(
                parse_duration(text).map(|found| found.as_millis()),
                expected.map(u128::from),
                "{text}"
            );
        };
        check("500ms", Some(500));
        check("5s", Some(5000));
        check("2m", Some(120_000));
        check("1h", Some(3_600_000));
        for text in ["", "5", "0s", "-1s", "5 s", "1.5s", "25h", "99999999999999999999s", "s", "5d"] {
            check(text, None);
        }
    }

    #[test]
    fn an_old_version_says_so() {
        let mut raw = raw();
        raw.versions = vec![RawVersion {
            name: "v1".to_owned(),
            deprecated: Some("2026-01-31".to_owned()),
            sunset: Some("2027-01-31".to_owned()),
        }];
        let way = Service::check(raw.clone()).unwrap().way;
        let notice = way.notices.get("v1").unwrap();
        assert_eq!(notice.deprecation.as_deref(), Some("@1769817600"));
        assert_eq!(notice.sunset.as_deref(), Some("Sun, 31 Jan 2027 00:00:00 GMT"));
        raw.versions[0].deprecated = Some("2028-01-31".to_owned());
        assert_eq!(fields(raw.clone()), ["version[0].sunset"]);
        raw.versions[0].deprecated = Some("31.1.2028".to_owned());
        assert_eq!(fields(raw), ["version[0].deprecated"]);
    }

    #[test]
    fn every_fault_is_said() {
        let mut raw = raw();
        raw.connect_timeout = Some("soon".to_owned());
        raw.reply_timeout = Some("0s".to_owned());
        raw.health = Some(RawHealth { path: "healthz".to_owned(), interval: Some("1ms".to_owned()) });
        raw.response_headers = RawHeaderRules {
            remove: vec!["Server Name".to_owned()],
            set: [("Set-Cookie", "a=1"), ("X-Ok", "a\r\nb"), ("Transfer-Encoding", "x"), ("X-Fine", "1")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
        };
        assert_eq!(
            fields(raw),
            [
                "connect_timeout",
                "reply_timeout",
                "health.path",
                "health.interval",
                "response_headers.remove[0]",
                "response_headers.set.Set-Cookie",
                "response_headers.set.Transfer-Encoding",
                "response_headers.set.X-Ok",
            ]
        );
    }
}
