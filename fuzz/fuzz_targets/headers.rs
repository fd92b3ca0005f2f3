//! Names of headers: no spelling of a name gets another answer than the name itself, and nothing that the gateway
//! says goes up, or comes back, in anybody else's words.
#![no_main]

use gateway_services::headers::{comes_back, goes_up, is_trailer, normalised};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    // A name is ASCII (RFC 9110, section 5.1); the HTTP library knows no other.
    let Some(name) = std::str::from_utf8(data).ok().filter(|name| name.is_ascii()) else { return };
    let plain = normalised(name);
    assert_eq!(normalised(&plain), plain);
    for spelling in [plain.to_uppercase(), plain.replace('-', "_"), plain.replace('-', "."), plain.clone()] {
        assert_eq!(goes_up(&spelling), goes_up(name), "{spelling:?} and {name:?} go up differently");
        assert_eq!(comes_back(&spelling), comes_back(name), "{spelling:?} and {name:?} come back differently");
    }
    if plain.starts_with("x-gateway-") || plain.starts_with("gateway-") || plain.starts_with("x-mfa-") {
        assert!(!goes_up(name) && !comes_back(name), "{name:?} is the gateway's own");
    }
    if matches!(plain.as_str(), "authorization" | "connection" | "transfer-encoding" | "host" | "cookie") {
        assert!(!goes_up(name), "{name:?} is the gateway's to say");
    }
    if is_trailer(name) {
        assert!(goes_up(name) && comes_back(name));
    }
});
