//! Cookies: none of the gateway's own goes up or comes back, in whatever spelling; what passes is read again as
//! itself, and is for no other host or path.
#![no_main]

use gateway_services::headers::{cookies_up, is_own_cookie};
use gateway_services::set_cookie;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(up) = cookies_up(text.split('\n')) {
        for cookie in up.split(';') {
            assert!(!would_be_own(cookie), "{up:?} holds a cookie of the gateway");
        }
        assert_eq!(cookies_up([up.as_str()].into_iter()).as_deref(), Some(up.as_str()));
    }
    for (host, prefix) in [("app.example", ""), ("app.example", "/grafana")] {
        let Some(passed) = set_cookie(text, host, prefix) else { continue };
        let pair = passed.split(';').next().unwrap_or_default();
        assert!(!would_be_own(pair), "{passed:?} is a cookie of the gateway");
        let is_domain = |part: &str| part.split('=').next().is_some_and(|key| key.trim().eq_ignore_ascii_case("domain"));
        assert!(!passed.split(';').skip(1).any(is_domain), "{passed:?} is for other hosts too");
        let again = set_cookie(&passed, host, prefix);
        assert_eq!(again.as_deref(), Some(passed.as_str()), "what passed once passes again, as it is");
    }
});

/// A browser sends a cookie without a name as its value alone, which must not look like one of the gateway either.
fn would_be_own(pair: &str) -> bool {
    let (name, value) = pair.split_once('=').unwrap_or(("", pair));
    is_own_cookie(if name.trim().is_empty() { value } else { name })
}
