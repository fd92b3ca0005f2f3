//! Which names have values that may be shown. Everything not named here is secret.

use std::sync::Arc;

use crate::error::PlainKeysError;

/// Names whose values are shown unless the configuration says otherwise: ports, modes, levels and sizes.
///
/// The second half are parameters of Convox racks and apps, which share the rule. A name that may carry
/// an address stays off the list, because addresses carry passwords.
const DEFAULT_PATTERNS: &[&str] = &[
    "PORT",
    "HOST",
    "TZ",
    "LANG",
    "LC_*",
    "NODE_ENV",
    "RAILS_ENV",
    "RACK_ENV",
    "APP_ENV",
    "GO_ENV",
    "MIX_ENV",
    "FLASK_ENV",
    "DJANGO_SETTINGS_MODULE",
    "ASPNETCORE_ENVIRONMENT",
    "ENVIRONMENT",
    "LOG_LEVEL",
    "LOGLEVEL",
    "RUST_LOG",
    "DEBUG",
    "VERBOSE",
    "*_ENABLED",
    "*_DISABLED",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "WEB_CONCURRENCY",
    "RAILS_MAX_THREADS",
    "RAILS_LOG_TO_STDOUT",
    "RAILS_SERVE_STATIC_FILES",
    "NODE_OPTIONS_MAX_OLD_SPACE_SIZE",
    "PYTHONUNBUFFERED",
    "PYTHONDONTWRITEBYTECODE",
    "Autoscale",
    "AvailabilityZones",
    "availability_zones",
    "BuildCpu",
    "BuildMemory",
    "BuildInstance",
    "build_node_type",
    "build_node_min_count",
    "cert_duration",
    "cidr",
    "gpu_tag_enable",
    "high_availability",
    "HighAvailability",
    "idle_timeout",
    "instance_type",
    "InstanceType",
    "InstanceCount",
    "Internal",
    "InternalOnly",
    "k8s_version",
    "LogRetention",
    "max_on_demand_count",
    "min_on_demand_count",
    "name",
    "node_capacity_type",
    "node_disk",
    "node_type",
    "Private",
    "proxy_protocol",
    "region",
    "release",
    "schedule_rack_scale_down",
    "schedule_rack_scale_up",
    "ssl_ciphers",
    "ssl_protocols",
    "SwapSize",
    "telemetry",
    "Tenancy",
    "Version",
    "VolumeSize",
    "vpc_id",
];

/// Names, by patterns: a name, or a name with `*` at its beginning, its end or both; without regard to case.
#[derive(Clone, Debug, Default)]
pub struct NamePatterns {
    patterns: Vec<Pattern>,
}

impl NamePatterns {
    /// Reads patterns.
    ///
    /// # Errors
    /// For a pattern that is empty, would match every name, has `*` inside, or holds a character other
    /// than printable ASCII without `=`.
    pub fn new(patterns: impl IntoIterator<Item = String>) -> Result<Self, PlainKeysError> {
        Ok(Self { patterns: patterns.into_iter().map(Pattern::parse).collect::<Result<_, _>>()? })
    }

    /// Whether some pattern is of this name.
    pub fn matches(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(name.as_bytes()))
    }

    /// Whether no name matches.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }
}

/// The names whose values may be shown, without regard to case.
#[derive(Clone, Debug)]
pub struct PlainKeys {
    patterns: Arc<[Pattern]>,
    /// Shown besides.
    more: NamePatterns,
    /// Never shown, whatever else says so.
    except: NamePatterns,
}

#[derive(Clone, Debug)]
struct Pattern {
    text: String,
    open_start: bool,
    open_end: bool,
}

impl PlainKeys {
    /// Reads patterns, as [`NamePatterns::new`] does.
    ///
    /// # Errors
    /// As [`NamePatterns::new`].
    pub fn new(patterns: impl IntoIterator<Item = String>) -> Result<Self, PlainKeysError> {
        let NamePatterns { patterns } = NamePatterns::new(patterns)?;
        Ok(Self { patterns: patterns.into(), more: NamePatterns::default(), except: NamePatterns::default() })
    }

    /// No name at all: everything is secret.
    pub fn none() -> Self {
        Self { patterns: Arc::new([]), more: NamePatterns::default(), except: NamePatterns::default() }
    }

    /// The same with names that are shown besides, and names that are never shown, whatever else says so.
    #[must_use]
    pub fn adjusted(&self, more: NamePatterns, except: NamePatterns) -> Self {
        Self { patterns: Arc::clone(&self.patterns), more, except }
    }

    /// Whether the value of this name may be shown.
    pub fn is_plain(&self, key: &str) -> bool {
        let named = |pattern: &Pattern| pattern.matches(key.as_bytes());
        !self.except.matches(key) && (self.more.matches(key) || self.patterns.iter().any(named))
    }
}

impl Default for PlainKeys {
    fn default() -> Self {
        let pattern = |text: &&str| Pattern::parse((*text).to_owned()).ok();
        let patterns = DEFAULT_PATTERNS.iter().filter_map(pattern).collect();
        Self { patterns, more: NamePatterns::default(), except: NamePatterns::default() }
    }
}

impl Pattern {
    fn parse(pattern: String) -> Result<Self, PlainKeysError> {
        if pattern.is_empty() {
            return Err(PlainKeysError::Empty);
        }
        if !pattern.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'=') {
            return Err(PlainKeysError::BadCharacter { pattern });
        }
        let after = pattern.strip_prefix('*');
        let rest = after.unwrap_or(&pattern);
        let before = rest.strip_suffix('*');
        let text = before.unwrap_or(rest);
        if text.is_empty() {
            return Err(PlainKeysError::MatchesAll { pattern });
        }
        if text.contains('*') {
            return Err(PlainKeysError::InnerAsterisk { pattern });
        }
        Ok(Self { text: text.to_owned(), open_start: after.is_some(), open_end: before.is_some() })
    }

    fn matches(&self, key: &[u8]) -> bool {
        let text = self.text.as_bytes();
        let Some(spare) = key.len().checked_sub(text.len()) else { return false };
        let is_text = |part: Option<&[u8]>| part.is_some_and(|part| part.eq_ignore_ascii_case(text));
        match (self.open_start, self.open_end) {
            (false, false) => key.eq_ignore_ascii_case(text),
            (true, false) => is_text(key.get(spare..)),
            (false, true) => is_text(key.get(..text.len())),
            (true, true) => key.windows(text.len()).any(|part| is_text(Some(part))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, plain: &[&str], secret: &[&str]) {
        let keys = PlainKeys::new([pattern.to_owned()]).unwrap();
        for key in plain {
            assert!(keys.is_plain(key), "{pattern} {key}");
        }
        for key in secret {
            assert!(!keys.is_plain(key), "{pattern} {key}");
        }
    }

    #[test]
    fn patterns_match() {
        check("PORT", &["PORT", "port", "Port"], &["", "XPORT", "PORTX", "PORT ", "P\u{d6}RT"]);
        check("*_ENABLED", &["A_ENABLED", "_ENABLED", "a_enabled"], &["ENABLED", "A_ENABLED_X", ""]);
        check("FEATURE_*", &["FEATURE_", "feature_x"], &["FEATURE", "XFEATURE_"]);
        check("*mid*", &["mid", "aMIDb", "amid", "midb"], &["mi", "m-id", ""]);
        check("*_D", &["É_D", "_d"], &["É"]);
    }

    #[test]
    fn names_are_added_and_taken_out() {
        let patterns =
            |names: &[&str]| NamePatterns::new(names.iter().map(|name| (*name).to_owned())).unwrap();
        let keys =
            PlainKeys::default().adjusted(patterns(&["MY_*", "FLAG"]), patterns(&["my_secret", "PORT"]));
        for plain in ["MY_KEY", "flag", "NODE_ENV"] {
            assert!(keys.is_plain(plain), "{plain}");
        }
        for secret in ["MY_SECRET", "PORT", "OTHER"] {
            assert!(!keys.is_plain(secret), "{secret}");
        }
        assert!(patterns(&[]).is_empty() && !patterns(&[]).matches("PORT"));
    }

    #[test]
    fn bad_patterns_are_refused() {
        let parse = |pattern: &str| PlainKeys::new([pattern.to_owned()]).unwrap_err();
        assert_eq!(parse(""), PlainKeysError::Empty);
        for all in ["*", "**"] {
            assert_eq!(parse(all), PlainKeysError::MatchesAll { pattern: all.to_owned() });
        }
        for inner in ["A*B", "***", "**A"] {
            assert_eq!(parse(inner), PlainKeysError::InnerAsterisk { pattern: inner.to_owned() });
        }
        for bad in ["A B", "A=", "Ä", "A\n"] {
            assert_eq!(parse(bad), PlainKeysError::BadCharacter { pattern: bad.to_owned() });
        }
    }

    #[test]
    fn the_defaults_are_all_readable_and_show_no_usual_secret() {
        let defaults = PlainKeys::default();
        assert_eq!(defaults.patterns.len(), DEFAULT_PATTERNS.len());
        for plain in ["PORT", "NODE_ENV", "RAILS_ENV", "RACK_ENV", "LOG_LEVEL", "CACHE_ENABLED", "TZ", "LANG"]
        {
            assert!(defaults.is_plain(plain), "{plain}");
        }
        for secret in [
            "DATABASE_URL",
            "PASSWORD",
            "SECRET_KEY_BASE",
            "HttpProxy",
            "Url",
            "docker_hub_password",
            "secret_key",
            "token",
            "access_id",
            "private_eks_pass",
            "webhook_signing_key",
            "syslog",
            "PLAIN",
            "USER",
            "",
        ] {
            assert!(!defaults.is_plain(secret), "{secret}");
        }
    }
}
