//! A handshake that begins with an old version of TLS, written by hand: no library offers one any more.

/// TLS 1.0 and 1.1 on the wire.
pub(super) const OLD_VERSIONS: [(u8, &str); 2] = [(1, "TLS 1.0"), (2, "TLS 1.1")];

/// A ClientHello that offers at most version 3.`minor` (RFC 4346, section 7.4.1.2).
pub(super) fn client_hello(minor: u8, server_name: &str) -> Vec<u8> {
    let mut body = vec![3, minor];
    body.extend([0x5a; 32]);
    body.push(0);
    // ECDHE and RSA with AES-CBC, which every server of that age has.
    let ciphers: [[u8; 2]; 6] =
        [[0xc0, 0x0a], [0xc0, 0x14], [0xc0, 0x09], [0xc0, 0x13], [0x00, 0x35], [0x00, 0x2f]];
    sized(&mut body, &ciphers.concat());
    body.extend([1, 0]);
    let mut extensions = Vec::new();
    if !server_name.is_empty() && server_name.parse::<std::net::IpAddr>().is_err() {
        let mut name = vec![0];
        sized(&mut name, server_name.as_bytes());
        let mut list = Vec::new();
        sized(&mut list, &name);
        extension(&mut extensions, 0, &list);
    }
    extension(&mut extensions, 10, &[0, 4, 0, 23, 0, 24]);
    extension(&mut extensions, 11, &[1, 0]);
    sized(&mut body, &extensions);
    let mut handshake = vec![1, 0];
    sized(&mut handshake, &body);
    let mut record = vec![22, 3, 1];
    sized(&mut record, &handshake);
    record
}

fn extension(into: &mut Vec<u8>, number: u16, data: &[u8]) {
    into.extend(number.to_be_bytes());
    sized(into, data);
}

fn sized(into: &mut Vec<u8>, data: &[u8]) {
    into.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
    into.extend(data);
}

/// Whether the answer agrees to a version below 1.2: a ServerHello that names it.
pub(super) fn agrees_to_old(answer: &[u8]) -> bool {
    matches!(answer, [22, 3, _, _, _, 2, _, _, _, 3, minor, ..] if *minor < 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_add_up() {
        let hello = client_hello(1, "gateway.example.com");
        let record = usize::from(u16::from_be_bytes([hello[3], hello[4]]));
        assert_eq!(hello.len(), record + 5);
        assert_eq!(usize::from(u16::from_be_bytes([hello[7], hello[8]])), record - 4);
        assert!(client_hello(2, "192.0.2.1").len() < hello.len(), "addresses are no server names");
    }

    #[test]
    fn only_a_server_hello_agrees() {
        assert!(agrees_to_old(&[22, 3, 1, 0, 50, 2, 0, 0, 46, 3, 1, 0]));
        assert!(!agrees_to_old(&[22, 3, 3, 0, 50, 2, 0, 0, 46, 3, 3, 0]));
        assert!(!agrees_to_old(&[21, 3, 1, 0, 2, 2, 70]));
        assert!(!agrees_to_old(b"HTTP/1.1 400 Bad Request"));
    }
}
