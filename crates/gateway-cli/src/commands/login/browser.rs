//! The person's browser, and what this machine is called.

use std::fs;

use gateway_client::GatewayAddress;
use gateway_client::text::steers;
use url::Url;

/// The longest name of a machine that is told.
const MOST_CHARACTERS: usize = 64;

/// Opens a page of this gateway before the person; `false` when there is no browser.
///
/// # Security
/// Only the gateway's own pages, https or on this machine: whatever a server sends cannot make a program
/// of this machine open something else (M1).
pub(crate) fn open_page(gateway: &GatewayAddress, page: &Url) -> bool {
    gateway.owns(page) && open::that_detached(page.as_str()).is_ok()
}

/// What this machine is called, for the person who looks at their sessions.
pub(super) fn this_device() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname")
        .or_else(|_| fs::read_to_string("/etc/hostname"))
        .unwrap_or_default();
    described(&name)
}

fn described(name: &str) -> String {
    let name: String = name.trim().chars().filter(|c| !steers(*c)).take(MOST_CHARACTERS).collect();
    let name = if name.is_empty() { "command line" } else { &name };
    format!("{name}, {}", std::env::consts::OS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m1_nothing_but_the_gateways_pages_is_opened() {
        let gateway: GatewayAddress = "https://g.example.com".parse().unwrap();
        for page in [
            "https://g.example.com.evil.org/",
            "http://g.example.com/",
            "https://g.example.com@evil.org/",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "x-apple-help://run",
        ] {
            assert!(!open_page(&gateway, &page.parse().unwrap()), "{page}");
        }
    }

    #[test]
    fn a_machine_has_a_short_and_harmless_name() {
        let os = std::env::consts::OS;
        assert_eq!(described("laptop\n"), format!("laptop, {os}"));
        assert_eq!(described(""), format!("command line, {os}"));
        assert_eq!(described("a\u{1b}[2Jb"), format!("a[2Jb, {os}"));
        assert!(described(&"x".repeat(500)).len() < 100);
    }
}
