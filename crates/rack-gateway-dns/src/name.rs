//! Names of the DNS as values: checked once, in one spelling.

use std::fmt;

/// The longest name, in bytes as text (RFC 1035, section 2.3.4: 255 as sent).
const LONGEST: usize = 253;

/// The longest label, in bytes.
const LONGEST_LABEL: usize = 63;

/// Why a text is no name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameFault {
    /// It has no label, or an empty one.
    #[error("a name has labels, with one dot between two of them")]
    EmptyLabel,
    /// It is too long.
    #[error("a name has at most {LONGEST} characters and a label at most {LONGEST_LABEL}")]
    TooLong,
    /// It has a character that names do not have.
    #[error(
        "a label has the letters a to z, digits, hyphens inside and an underscore in front; other alphabets are written in Punycode (xn--)"
    )]
    Character,
    /// A star that is not the whole first label.
    #[error("a star stands alone in the first label")]
    Star,
    /// What is no host's name where one is wanted.
    #[error("this must be the full name of a host: at least two labels, no star, no underscore")]
    NoHost,
}

/// An absolute name, in lower case and without its last dot. Not the root.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DnsName(String);

impl DnsName {
    /// Reads a name. It is absolute also without its last dot, so that one text means one name.
    ///
    /// # Errors
    /// [`NameFault`].
    pub fn parse(text: &str) -> Result<Self, NameFault> {
        let name = text.strip_suffix('.').unwrap_or(text).to_ascii_lowercase();
        if name.len() > LONGEST {
            return Err(NameFault::TooLong);
        }
        for (index, label) in name.split('.').enumerate() {
            if !(index == 0 && label == "*") {
                check_label(label)?;
            }
        }
        if name == "*" { Err(NameFault::Star) } else { Ok(Self(name)) }
    }

    /// Reads the full name of a host, as records point to.
    ///
    /// # Errors
    /// [`NameFault`].
    pub fn parse_host(text: &str) -> Result<Self, NameFault> {
        let name = Self::parse(text)?;
        if name.is_host() && !name.has_star() && name.0.contains('.') {
            Ok(name)
        } else {
            Err(NameFault::NoHost)
        }
    }

    /// The name, without its last dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is `zone` or lies below it.
    pub fn is_within(&self, zone: &DnsName) -> bool {
        self == zone || self.is_below(zone)
    }

    /// Whether this lies below `other` and is another name.
    pub fn is_below(&self, other: &DnsName) -> bool {
        self.0.strip_suffix(other.as_str()).is_some_and(|rest| rest.ends_with('.'))
    }

    /// Whether no label has an underscore: servers take addresses and mail for such names only.
    pub fn is_host(&self) -> bool {
        !self.0.contains('_')
    }

    /// Whether it stands for all names that are not there.
    pub fn has_star(&self) -> bool {
        self.0.starts_with('*')
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn check_label(label: &str) -> Result<(), NameFault> {
    if label.is_empty() {
        return Err(NameFault::EmptyLabel);
    }
    if label.len() > LONGEST_LABEL {
        return Err(NameFault::TooLong);
    }
    if label.contains('*') {
        return Err(NameFault::Star);
    }
    let rest = label.strip_prefix('_').unwrap_or(label);
    let is_plain =
        rest.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    let is_good = is_plain && !rest.is_empty() && !rest.starts_with('-') && !rest.ends_with('-');
    if is_good { Ok(()) } else { Err(NameFault::Character) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_one_spelling_and_no_surprise() {
        let check = |text: &str, expected: Result<&str, NameFault>| {
            assert_eq!(
                DnsName::parse(text).as_ref().map(DnsName::as_str),
                expected.as_ref().copied(),
                "{text:?}"
            );
        };
        check("WWW.Corp.Test.", Ok("www.corp.test"));
        check("_ldap._tcp.corp.test", Ok("_ldap._tcp.corp.test"));
        check("*.corp.test", Ok("*.corp.test"));
        check("10.2.0.192.in-addr.arpa", Ok("10.2.0.192.in-addr.arpa"));
        check("xn--bcher-kva.test", Ok("xn--bcher-kva.test"));
        check("", Err(NameFault::EmptyLabel));
        check(".", Err(NameFault::EmptyLabel));
        check("a..b", Err(NameFault::EmptyLabel));
        check("a.b..", Err(NameFault::EmptyLabel));
        check(".a", Err(NameFault::EmptyLabel));
        check("*", Err(NameFault::Star));
        check("a.*.b", Err(NameFault::Star));
        check("a*.b", Err(NameFault::Star));
        for bad in [
            "a b.c",
            "a\nb.c",
            "a;b.c",
            "a\"b.c",
            "a\\b.c",
            "a\0.c",
            "$include.c",
            "a/b.c",
            "a_b.c",
            "-a.c",
            "a-.c",
            "_.c",
            "bücher.test",
            "a(b.c",
            "@",
        ] {
            check(bad, Err(NameFault::Character));
        }
        check(&"a".repeat(64), Err(NameFault::TooLong));
        check(&["a"; 130].join("."), Err(NameFault::TooLong));
        assert!(DnsName::parse_host("mail").is_err() && DnsName::parse_host("_a.b").is_err());
        assert!(DnsName::parse_host("*.b.c").is_err() && DnsName::parse_host("a.b").is_ok());
    }

    #[test]
    fn a_zone_ends_at_a_dot() {
        let check = |name: &str, zone: &str, expected: bool| {
            let (name, zone) = (DnsName::parse(name).unwrap(), DnsName::parse(zone).unwrap());
            assert_eq!(name.is_within(&zone), expected, "{name} in {zone}");
        };
        check("corp.test", "corp.test", true);
        check("a.b.corp.test", "corp.test", true);
        check("notcorp.test", "corp.test", false);
        check("test", "corp.test", false);
    }
}
