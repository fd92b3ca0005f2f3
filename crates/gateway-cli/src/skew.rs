//! Whether this program and a gateway are of one age. It is told where somebody looks at a gateway as such, at the
//! sign-in and by `rack`, and not with every command.

use gateway_client::text::one_line;

use crate::output::remark;

/// Tells when they are not.
pub(crate) fn tell(gateway: Option<&str>) {
    if let Some(text) = told(env!("CARGO_PKG_VERSION"), gateway) {
        remark(&text);
    }
}

/// Only the last part may differ: it changes nothing that is asked or answered.
fn told(own: &str, gateway: Option<&str>) -> Option<String> {
    let gateway = gateway?;
    let age = |version: &str| -> Option<(u64, u64)> {
        let mut parts = version.split('.').map(|part| part.parse().ok());
        Some((parts.next()??, parts.next()??))
    };
    let (ours, theirs) = (age(own)?, age(gateway)?);
    let behind = match ours.cmp(&theirs) {
        std::cmp::Ordering::Equal => return None,
        std::cmp::Ordering::Less => "this program",
        std::cmp::Ordering::Greater => "the gateway",
    };
    Some(format!("note: this program is {own}, the gateway {}; update {behind}", one_line(gateway)))
}

#[cfg(test)]
mod tests {
    use super::told;

    #[test]
    fn only_what_may_matter_is_told() {
        let check = |gateway: Option<&str>, end: Option<&str>| {
            let told = told("1.2.3", gateway);
            assert_eq!(told.as_deref().map(|text| text.rsplit("; ").next().unwrap()), end, "{gateway:?}");
        };
        check(Some("1.2.9"), None);
        check(None, None);
        check(Some("next"), None);
        check(Some("1.3.0"), Some("update this program"));
        check(Some("2.0.0"), Some("update this program"));
        check(Some("1.1.9"), Some("update the gateway"));
    }
}
