//! Addresses with a password in them, such as `postgres://app:PASSWORD@db:5432/app`.
//! It must not know what is put in the password's place.

use url::Url;

use crate::handle::is_handle;
use crate::spelling::spellings;

/// Query parameters whose name holds one of these may carry a second secret.
const SECRET_WORDS: [&str; 8] = ["pass", "pwd", "secret", "token", "key", "sig", "cred", "auth"];

/// The address with the password replaced by `replacement` of it, and every other byte as it is.
///
/// `None` when that would not be safe, so that the whole text must be hidden: it is no address, has no
/// password, readers may disagree where the password ends, or something else in it may be secret too.
pub(crate) fn replace_password(text: &str, replacement: impl FnOnce(&str) -> String) -> Option<String> {
    // The parser of browsers drops blanks and reads backslashes as slashes; other readers do not.
    if text.bytes().any(|byte| byte.is_ascii_control() || byte == b' ' || byte == b'\\') {
        return None;
    }
    let before = Url::parse(text).ok()?;
    let (scheme, rest) = text.split_once("://")?;
    if !scheme.eq_ignore_ascii_case(before.scheme()) || may_hold_more(&before) {
        return None;
    }
    let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let (userinfo, host) = authority.rsplit_once('@')?;
    let (user, password) = userinfo.split_once(':')?;
    // A second @ means that a password was written without escapes, and where it ends is a guess.
    if password.is_empty() || password.contains('@') || tail.contains('@') {
        return None;
    }
    if [user, host, tail].iter().any(|part| shares(part, password)) {
        return None;
    }
    let replaced = if is_handle(password) { password.to_owned() } else { replacement(password) };
    let text = format!("{scheme}://{user}:{replaced}@{host}{tail}");
    let after = Url::parse(&text).ok()?;
    (after.password() == Some(replaced.as_str()) && same_but_password(before, after)).then_some(text)
}

fn may_hold_more(address: &Url) -> bool {
    address.fragment().is_some()
        || address.query_pairs().any(|(name, _)| {
            let name = name.to_ascii_lowercase();
            SECRET_WORDS.iter().any(|word| name.contains(word))
        })
}

/// Whether the password stands in another part of the address too, in whatever spelling.
fn shares(part: &str, password: &str) -> bool {
    let passwords: Vec<Vec<u8>> = spellings(password).collect();
    spellings(part)
        .any(|part| passwords.iter().any(|password| memchr::memmem::find(&part, password).is_some()))
}

fn same_but_password(mut before: Url, mut after: Url) -> bool {
    before.set_password(None).is_ok() && after.set_password(None).is_ok() && before == after
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HANDLE: &str = "rgw-hidden-abcdefghijklmn27";

    fn check(text: &str, expected: Option<&str>) {
        let replaced = replace_password(text, |_| HANDLE.to_owned());
        assert_eq!(replaced, expected.map(|text| text.replace('#', HANDLE)), "{text}");
    }

    #[test]
    fn only_the_password_changes() {
        check("postgres://app:dbpa55@db.local:5432/app", Some("postgres://app:#@db.local:5432/app"));
        check("postgres://app:p%40ss%2Fword@db/app", Some("postgres://app:#@db/app"));
        check("redis://:pa55word@cache:6379/0", Some("redis://:#@cache:6379/0"));
        check(
            "HTTPS://Convox:s3cret@API.Example.test/myapp?a=1",
            Some("HTTPS://Convox:#@API.Example.test/myapp?a=1"),
        );
        check("mysql://u:a:b@h", Some("mysql://u:#@h"));
        check("postgres://u:pw1234@[::1]:5432/x/../y", Some("postgres://u:#@[::1]:5432/x/../y"));
        check(&format!("redis://u:{HANDLE}@h"), Some("redis://u:#@h"));
    }

    #[test]
    fn what_is_not_clear_is_hidden_whole() {
        for text in [
            "",
            "no address",
            "app:dbpa55@db",
            "postgres://db.local/app",
            "postgres://app@db/app",
            "postgres://app:@db/app",
            "https://hooks.example.test/T/secret",
            "mysql:u:p@h",
            "postgres://u:p@ss@h/d",
            "postgres://u:a@b/c@h",
            "postgres://u:pw@h/d?sslpassword=x",
            "postgres://u:pw@h/d?Api_Key=x",
            "postgres://u:pw@h/d#frag",
            "postgres://same:same@h/d",
            "postgres://u:s%61me@h/same",
            "mongodb://u:pw@h1:1,h2:2/d",
            "http:\\\\u:pw@h/",
            " http://u:pw@h/",
            "http://u:p w@h/",
            "http://u:p\tw@h/",
            "http:////u:pw@h/",
            "jdbc:postgresql://u:pw@h/d",
        ] {
            check(text, None);
        }
    }

    proptest! {
        #[test]
        fn a_replaced_password_is_gone(
            user in "[a-z]{0,5}",
            password in "[A-Z0-9!$%&'()*+,;=:@/?#~._-]{6,12}",
            rest in "[a-z]{1,8}(:[0-9]{1,4})?(/[a-z0-9]{0,5})?",
        ) {
            let text = format!("postgres://{user}:{password}@{rest}");
            if let Some(replaced) = replace_password(&text, |_| HANDLE.to_owned()) {
                prop_assert!(!replaced.contains(&password), "{replaced}");
                prop_assert_eq!(replaced, format!("postgres://{user}:{HANDLE}@{rest}"));
            }
        }
    }
}
