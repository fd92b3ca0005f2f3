//! Handles: what people and programs see instead of a secret value.
//!
//! A handle says nothing about its value but whether two values of one scope and key are equal. This
//! module makes and recognises handles; what one stands for is found by whoever has the values.

use std::fmt;

use aws_lc_rs::{hkdf, hmac};
use data_encoding::BASE32_NOPAD;
use gateway_types::Secret;
use memchr::memmem;

use crate::spelling::spellings;

/// What every handle begins with.
pub const HANDLE_PREFIX: &str = "rgw-hidden-";

/// How many base32 characters follow the prefix: 80 bits, too many to meet a collision by chance.
const DIGEST_CHARACTERS: usize = 16;
const DIGEST_BYTES: usize = DIGEST_CHARACTERS * 5 / 8;

/// What the prefix looks like inside base64, for each of the three ways it can be aligned.
const PREFIX_IN_BASE64: [&str; 3] = ["cmd3LWhpZGRlbi", "Jndy1oaWRkZW4t", "yZ3ctaGlkZGVuL"];

/// The key from which the keys of all scopes are derived.
pub struct HandleKeyring {
    master: hkdf::Prk,
}

impl HandleKeyring {
    /// Takes the gateway's master secret, of at least 32 random bytes.
    pub fn new(master: &Secret<Vec<u8>>) -> Self {
        // The salt is empty, which RFC 5869 section 3.1 allows where the input is uniformly random.
        Self { master: hkdf::Salt::new(hkdf::HKDF_SHA256, &[]).extract(master.expose()) }
    }

    /// The key of a scope: an app's name, or `rack`.
    ///
    /// Source: RFC 5869 (HKDF-SHA256) with the info `rack-gateway/handles/v1/` and the scope.
    pub fn scope(&self, scope: &str) -> HandleKey {
        let info = [b"rack-gateway/handles/v1/".as_slice(), scope.as_bytes()];
        match self.master.expand(&info, hkdf::HKDF_SHA256.hmac_algorithm()) {
            Ok(derived) => HandleKey { key: hmac::Key::from(derived) },
            // Only an output longer than 255 digests fails, and this one is one digest long. Any other
            // key would make handles that can be computed by anybody, so stopping is the safe answer.
            Err(_) => std::process::abort(),
        }
    }
}

impl fmt::Debug for HandleKeyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandleKeyring(…)")
    }
}

/// Makes the handles of one scope.
#[derive(Clone)]
pub struct HandleKey {
    key: hmac::Key,
}

impl HandleKey {
    /// The handle of a value under a key. The same arguments always give the same handle.
    ///
    /// It holds only `[a-z0-9-]`, so it needs no escaping in a URL, a shell, JSON or a printf format.
    pub fn handle(&self, key: &str, value: &str) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        for part in [key, value] {
            // The lengths keep ("ab", "c") and ("a", "bc") apart.
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let tag = context.sign();
        let digest = tag.as_ref().get(..DIGEST_BYTES).unwrap_or_default();
        let mut handle = String::with_capacity(HANDLE_PREFIX.len() + DIGEST_CHARACTERS);
        handle.push_str(HANDLE_PREFIX);
        BASE32_NOPAD.encode_append(digest, &mut handle);
        handle.make_ascii_lowercase();
        handle
    }
}

impl fmt::Debug for HandleKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HandleKey(…)")
    }
}

/// Whether the whole text is one handle, spelt exactly as handles are made.
pub fn is_handle(text: &str) -> bool {
    text.strip_prefix(HANDLE_PREFIX).is_some_and(|digest| {
        digest.len() == DIGEST_CHARACTERS
            && digest.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'))
    })
}

/// Whether a handle, or something that looks like one, is anywhere in the text: also in capitals, behind
/// percent or backslash escapes, or inside base64.
///
/// # Security
/// Whoever writes such a text to the rack would replace a secret by its placeholder, so anything that
/// looks like a handle counts, whatever follows the prefix.
pub fn contains_handle(text: &str) -> bool {
    PREFIX_IN_BASE64.iter().any(|prefix| text.contains(prefix))
        || spellings(text).any(|spelling| memmem::find(&spelling, HANDLE_PREFIX.as_bytes()).is_some())
}

#[cfg(test)]
mod tests {
    use data_encoding::BASE64;
    use proptest::prelude::*;

    use super::*;

    fn key(scope: &str) -> HandleKey {
        HandleKeyring::new(&Secret::new(vec![7; 32])).scope(scope)
    }

    #[test]
    fn handles_are_what_they_have_always_been() {
        // Computed apart with Python's hmac and hashlib; a change breaks every handle in people's hands.
        assert_eq!(key("myapp").handle("DATABASE_PASSWORD", "s3cr3t-myapp"), "rgw-hidden-p2lswtlnyptjtcfh");
    }

    #[test]
    fn handles_depend_on_scope_key_and_value() {
        let handle = key("a").handle("KEY", "value");
        assert_eq!(handle, key("a").handle("KEY", "value"));
        assert_ne!(handle, key("b").handle("KEY", "value"));
        assert_ne!(handle, key("a").handle("KEZ", "value"));
        assert_ne!(handle, key("a").handle("KEYv", "alue"));
    }

    #[test]
    fn only_exact_handles_are_handles() {
        let good = "rgw-hidden-abcdefghijklmn27";
        assert!(is_handle(good));
        for bad in [
            "",
            "rgw-hidden-",
            "rgw-hidden-abcdefghijklmn2",
            "rgw-hidden-abcdefghijklmn272",
            "rgw-hidden-abcdefghijklmn28",
            "rgw-hidden-ABCDEFGHIJKLMN27",
            "RGW-hidden-abcdefghijklmn27",
            " rgw-hidden-abcdefghijklmn27",
            "rgw-hidden-abcdefghijklmn27\n",
        ] {
            assert!(!is_handle(bad), "{bad:?}");
        }
    }

    #[test]
    fn handles_are_found_in_other_spellings() {
        for text in [
            "rgw-hidden-abcdefghijklmn27",
            "x rgw-hidden-abcdefghijklmn27",
            "RGW-HIDDEN-ABCDEFGHIJKLMN27",
            "postgres://u:rgw%2Dhidden%2dabcdefghijklmn27@h/d",
            "rgw%252Dhidden%252dabcdefghijklmn27",
            "%72%67%77-hidden-abcdefghijklmn27",
            r"rgw\u002dhidden\u002Dabcdefghijklmn27",
            r"rgw\x2dhidden-abcdefghijklmn27",
            "rgw-hidden-",
        ] {
            assert!(contains_handle(text), "{text:?}");
        }
        for text in ["", "rgw", "rgw-hidde", "hidden", "100%", "rgw_hidden_x", r"\u"] {
            assert!(!contains_handle(text), "{text:?}");
        }
    }

    #[test]
    fn handles_are_found_inside_base64() {
        for before in ["", "a", "ab", "abc", "pässword="] {
            for after in ["", "x", "xy"] {
                let text =
                    BASE64.encode(format!("{before}{HANDLE_PREFIX}abcdefghijklmn27{after}").as_bytes());
                assert!(contains_handle(&text), "{before:?} {after:?}");
            }
        }
    }

    proptest! {
        #[test]
        fn handles_are_safe_everywhere(scope in ".*", key_name in ".*", value in ".*") {
            let handle = key(&scope).handle(&key_name, &value);
            prop_assert!(is_handle(&handle) && contains_handle(&handle));
            prop_assert!(handle.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'));
        }

        #[test]
        fn looking_for_handles_never_fails(text in any::<String>()) {
            let _ = contains_handle(&text);
        }
    }
}
