//! The canonical form of an e-mail address: the form in which people are compared, stored and listed.

use crate::host::canonical_host;

/// Why a text is no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("is not an e-mail address with exactly one @, such as admin@example.com")]
pub struct EmailFault;

/// The canonical form: surrounding blanks removed, ASCII letters in lower case.
///
/// # Errors
/// [`EmailFault`] unless there is exactly one `@` with something on both sides, a domain of host-name
/// characters, and nothing but visible ASCII.
///
/// # Security
/// Characters outside ASCII are refused, not folded: two addresses that look alike must never be one
/// person. Dots and `+tags` are kept, because only the mail provider knows what they mean.
pub fn canonical_email(text: &str) -> Result<String, EmailFault> {
    let address = text.trim().to_ascii_lowercase();
    let (local, domain) = address.split_once('@').ok_or(EmailFault)?;
    let local_is_plain = !local.is_empty()
        && local.len() <= 64
        && local.chars().all(|c| {
            c.is_ascii_graphic()
                && !matches!(c, '"' | '(' | ')' | ',' | ':' | ';' | '<' | '>' | '[' | ']' | '\\')
        });
    if local_is_plain && canonical_host(domain).is_some() { Ok(address) } else { Err(EmailFault) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(canonical_email(text).ok().as_deref(), expected, "{text:?}");
    }

    #[test]
    fn canonical_forms() {
        check(" Admin@Example.COM ", Some("admin@example.com"));
        check("a.b+c@example.com", Some("a.b+c@example.com"));
        check("admin", None);
        check("@example.com", None);
        check("admin@", None);
        check("a@b@example.com", None);
        check("a b@example.com", None);
        check("a@exa mple.com", None);
        check("a@.com", None);
        check("a@-x.com", None);
        check("a@example.com,b@example.com", None);
        check("аdmin@example.com", None); // Cyrillic а
        check("admin@exämple.com", None);
        check("<a@example.com>", None);
    }
}
