use proptest::prelude::*;

use super::*;

/// A header with this byte of version and command, this of the family, and this rest.
fn header(version_and_command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = SIGNATURE.to_vec();
    bytes.extend([version_and_command, family]);
    bytes.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

const V4: [u8; 12] = [192, 0, 2, 9, 10, 0, 0, 1, 0x04, 0xd2, 0x01, 0xbb];

fn v4_and(extensions: &[u8]) -> Vec<u8> {
    header(0x21, 0x11, &[V4.as_slice(), extensions].concat())
}

fn v6(source: &str) -> Vec<u8> {
    let source: std::net::Ipv6Addr = source.parse().unwrap();
    header(0x21, 0x21, &[&source.octets()[..], &[0; 16], &[0x04, 0xd2, 0x01, 0xbb]].concat())
}

fn read(bytes: &[u8]) -> Result<Told, ProxyFault> {
    let Some(fixed) = bytes.first_chunk::<FIXED_BYTES>() else { return Err(ProxyFault::NoHeader) };
    let length = length(fixed)?;
    parse(bytes.get(..length).ok_or(ProxyFault::Malformed)?)
}

fn check(bytes: &[u8], expected: &str) {
    let told = match read(bytes) {
        Ok(Told::Local) => "local".to_owned(),
        Ok(Told::Client(address)) => address.to_string(),
        Err(fault) => format!("{fault:?}"),
    };
    assert_eq!(told, expected, "{bytes:02x?}");
}

/// The header with a fitting checksum as its last extension.
fn with_checksum(before: &[u8]) -> Vec<u8> {
    let mut bytes = v4_and(&[before, &[CRC32C, 0, 4, 0, 0, 0, 0]].concat());
    let place = bytes.len() - 4;
    let crc = crc32c_without(&bytes, place).to_be_bytes();
    bytes[place..].copy_from_slice(&crc);
    bytes
}

#[test]
fn c10_who_a_front_may_tell() {
    check(&v4_and(&[]), "192.0.2.9:1234");
    check(&v6("2001:db8::1"), "[2001:db8::1]:1234");
    check(&v6("::ffff:192.0.2.9"), "192.0.2.9:1234");
    check(&header(0x20, 0x00, &[]), "local");
    check(&header(0x20, 0x11, &V4), "local");
    check(&header(0x20, 0x31, &[0; 216]), "local");
}

#[test]
fn c10_what_is_no_header() {
    check(b"PROXY TCP4 192.0.2.9 10.0.0.1 1234 443\r\n", "Version1");
    check(b"PROXY UNKNOWN\r\n", "NoHeader");
    check(b"PROXY UNKNOWN\r\n\r\n", "Version1");
    check(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", "NoHeader");
    check(&[0x16; 64], "NoHeader");
    check(&header(0x11, 0x11, &V4), "Malformed");
    check(&header(0x31, 0x11, &V4), "Malformed");
    check(&header(0x22, 0x11, &V4), "Malformed");
    check(&header(0x2f, 0x11, &V4), "Malformed");
    check(&header(0x21, 0x41, &V4), "Malformed");
    check(&header(0x21, 0x13, &V4), "Malformed");
    check(&header(0x21, 0x11, &V4[..11]), "Malformed");
    check(&header(0x21, 0x21, &[0; 35]), "Malformed");
    let mut bent = v4_and(&[]);
    bent[4] = 1;
    check(&bent, "NoHeader");
}

#[test]
fn c10_only_tcp_clients_with_an_address() {
    check(&header(0x21, 0x00, &[]), "NotTcp");
    check(&header(0x21, 0x01, &[]), "NotTcp");
    check(&header(0x21, 0x31, &[b'a'; 216]), "NotTcp");
    check(&header(0x21, 0x12, &V4), "NotTcp");
    check(&header(0x21, 0x10, &V4), "NotTcp");
    check(&header(0x21, 0x22, &[1; 36]), "NotTcp");
    check(&v6("::"), "Address");
    check(&v6("ff02::1"), "Address");
    check(&v6("::ffff:0.0.0.0"), "Address");
    check(&header(0x21, 0x11, &[0; 12]), "Address");
}

#[test]
fn c10_extensions_end_with_the_header_and_checksums_fit() {
    check(&v4_and(&[0x04, 0, 0]), "192.0.2.9:1234");
    check(&v4_and(&[0xEA, 0, 3, 1, 2, 3, 0x04, 0, 1, 0]), "192.0.2.9:1234");
    check(&v4_and(&[0x04]), "Overrun");
    check(&v4_and(&[0x04, 0]), "Overrun");
    check(&v4_and(&[0x04, 0, 1]), "Overrun");
    check(&v4_and(&[0x04, 0xff, 0xff, 1]), "Overrun");
    check(&v4_and(&[0x04, 0, 0, 0x04]), "Overrun");

    check(&with_checksum(&[]), "192.0.2.9:1234");
    check(&with_checksum(&[0x02, 0, 3, b'a', b'.', b'b']), "192.0.2.9:1234");
    let mut wrong = with_checksum(&[]);
    wrong[20] ^= 1;
    check(&wrong, "Checksum");
    check(&v4_and(&[CRC32C, 0, 3, 1, 2, 3]), "Checksum");
    check(&v4_and(&[CRC32C, 0, 4, 1, 2, 3, 4]), "Checksum");
    check(&v4_and(&[CRC32C, 0, 4, 0, 0, 0, 0, CRC32C, 0, 4, 0, 0, 0, 0]), "Checksum");
}

#[test]
fn the_checksum_is_crc32c() {
    // RFC 3720, appendix B.4: the check value of the digits.
    assert_eq!(crc32c_without(b"123456789", 9), 0xE306_9283);
    assert_eq!(crc32c_without(&[0; 32], 32), 0x8A91_36AA);
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _any_answer = read(&bytes);
        let _any_answer = parse(&bytes);
        let mut framed = v4_and(&[]);
        framed.extend(&bytes);
        let _any_answer = parse(&framed);
        let _any_answer = read(&header(0x21, 0x11, &bytes));
    }

    #[test]
    fn what_ppp_writes_is_read(a in any::<[u8; 4]>(), port in any::<u16>(), note in proptest::collection::vec(any::<u8>(), 0..500)) {
        let source = SocketAddr::from((a, port));
        prop_assume!(!source.ip().is_unspecified() && !source.ip().is_multicast());
        let bytes = ppp::v2::Builder::with_addresses(
            ppp::v2::Version::Two | ppp::v2::Command::Proxy,
            ppp::v2::Protocol::Stream,
            (source, SocketAddr::from(([10, 0, 0, 1], 443))),
        )
        .write_tlv(ppp::v2::Type::NoOp, &note)
        .unwrap()
        .build()
        .unwrap();
        prop_assert_eq!(read(&bytes), Ok(Told::Client(source)));
    }
}
