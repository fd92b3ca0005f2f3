//! Cookies that a service sets: what of them reaches the browser, and for which paths.

use crate::headers::is_own_cookie;

/// The cookie as it is passed on; `None` when it must not be. `host` is the host that the client used, without
/// port; `prefix` the service's path below it, empty for none.
///
/// The gateway's own names are dropped, and cookies for a wider or another domain. With a prefix the cookie is for
/// the prefix, since other services, and the gateway, may be on the same host.
///
/// Source: RFC 6265, sections 5.2 and 5.3; RFC 6265bis for cookies without a name.
pub fn set_cookie(value: &str, host: &str, prefix: &str) -> Option<String> {
    let mut parts = value.split(';');
    let pair = parts.next()?.trim();
    let (name, content) = pair.split_once('=').unwrap_or(("", pair));
    if is_own_cookie(name) || (name.trim().is_empty() && is_own_cookie(content)) {
        return None;
    }
    let mut kept = vec![pair.to_owned()];
    let mut has_path = false;
    let is_for_host = name.trim().to_ascii_lowercase().starts_with("__host-");
    for attribute in parts.map(str::trim).filter(|attribute| !attribute.is_empty()) {
        let (key, content) = attribute.split_once('=').unwrap_or((attribute, ""));
        let (key, content) = (key.trim(), content.trim());
        if key.eq_ignore_ascii_case("domain") {
            let domain = content.strip_prefix('.').unwrap_or(content);
            if !domain.is_empty() && !domain.eq_ignore_ascii_case(host) {
                return None;
            }
            // Of this very host: without the attribute it is for no other one.
        } else if key.eq_ignore_ascii_case("path") && !is_for_host && !prefix.is_empty() {
            has_path = true;
            kept.push(format!("Path={}", below(prefix, content)));
        } else {
            has_path |= key.eq_ignore_ascii_case("path");
            kept.push(attribute.to_owned());
        }
    }
    if !has_path && !prefix.is_empty() && !is_for_host {
        kept.push(format!("Path={prefix}"));
    }
    Some(kept.join("; "))
}

/// The path below the prefix, unless it is there already.
pub(crate) fn below(prefix: &str, path: &str) -> String {
    match path.strip_prefix(prefix) {
        Some(rest) if rest.is_empty() || rest.starts_with(['/', '?', '#']) => path.to_owned(),
        Some(_) | None if path == "/" || !path.starts_with('/') => prefix.to_owned(),
        Some(_) | None => format!("{prefix}{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: &str, prefix: &str, expected: Option<&str>) {
        assert_eq!(set_cookie(value, "wiki.example.com", prefix).as_deref(), expected, "{value} {prefix}");
    }

    #[test]
    fn b11_our_cookie_and_wider_domains_are_dropped() {
        check("sid=1; Path=/; HttpOnly", "", Some("sid=1; Path=/; HttpOnly"));
        check("__Host-rgw=evil; Path=/; Secure", "", None);
        check("__host-RGW-wiki=evil", "", None);
        check("=__Host-rgw=evil", "", None);
        check("__Host-rgw", "", None);
        check(" __Host-rgw =evil", "", None);
        check("sid=1; Domain=example.com", "", None);
        check("sid=1; domain=.wiki.example.com", "", Some("sid=1"));
        check("sid=1; Domain=wiki.example.com; Domain=example.com", "", None);
        check("sid=1; Domain=", "", Some("sid=1"));
        check("sid=1; Domain=other.example.com", "", None);
    }

    #[test]
    fn with_a_prefix_cookies_are_for_the_prefix() {
        check("sid=1; Path=/", "/grafana", Some("sid=1; Path=/grafana"));
        check("sid=1; path=/api", "/grafana", Some("sid=1; Path=/grafana/api"));
        check("sid=1; Path=/grafana/api", "/grafana", Some("sid=1; Path=/grafana/api"));
        check("sid=1; Path=/grafanax", "/grafana", Some("sid=1; Path=/grafana/grafanax"));
        check("sid=1", "/grafana", Some("sid=1; Path=/grafana"));
        check("sid=1; Path=", "/grafana", Some("sid=1; Path=/grafana"));
        check("__Host-a=1; Path=/; Secure", "/grafana", Some("__Host-a=1; Path=/; Secure"));
    }
}
