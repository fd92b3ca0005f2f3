//! A PROXY header of version 2: whatever is read has the length that its beginning announced, and says one thing.
#![no_main]

use gateway_framing::proxy_header::{length, parse, Told, FIXED_BYTES};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some(fixed) = data.first_chunk::<FIXED_BYTES>() else {
        assert!(parse(data).is_err(), "a header without its fixed part");
        return;
    };
    let Ok(announced) = length(fixed) else {
        assert!(parse(data).is_err(), "a header whose beginning is refused");
        return;
    };
    assert!((FIXED_BYTES..=FIXED_BYTES + usize::from(u16::MAX)).contains(&announced));
    let Some(whole) = data.get(..announced) else { return };
    if let Ok(Told::Client(address)) = parse(whole) {
        assert_eq!(address.ip().to_canonical(), address.ip(), "an IPv4 address in IPv6 clothes");
        assert!(parse(&whole[..announced - 1]).is_err(), "a header that was cut off");
    }
});
