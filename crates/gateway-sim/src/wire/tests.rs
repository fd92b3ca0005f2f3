use super::frame::{Frame, PING};
use super::*;

async fn answer_body(bytes: &[u8]) -> io::Result<(Head, Vec<u8>)> {
    let mut wire = Wire::new(bytes);
    let head = wire.head(HeadKind::Answer).await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut body = Vec::new();
    wire.body(head.length(Length::UntilClose)?, |piece| body.extend_from_slice(piece)).await?;
    Ok((head, body))
}

#[tokio::test]
async fn bodies_of_all_three_kinds_are_read() {
    let cases: [(&[u8], &[u8]); 4] = [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcX", b"abc"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;x=y\r\nc\r\n0\r\n\r\n", b"abc"),
        (b"HTTP/1.1 200 OK\r\n\r\nabc", b"abc"),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", b""),
    ];
    for (bytes, body) in cases {
        assert_eq!(answer_body(bytes).await.unwrap().1, body);
    }
}

#[tokio::test]
async fn short_and_senseless_bodies_are_errors() {
    let cases: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nabc",
    ];
    for bytes in cases {
        assert!(answer_body(bytes).await.is_err());
    }
}

#[tokio::test]
async fn heads_keep_order_case_and_target() {
    let bytes: &[u8] = b"\r\nGET /a%2Fb?x=%00& HTTP/1.1\r\nB: 1\r\na: 2\r\nb: 3\r\n\r\n";
    let head = Wire::new(bytes).head(HeadKind::Request).await.unwrap().unwrap();
    assert_eq!(head.second, "/a%2Fb?x=%00&");
    let names: Vec<&str> = head.headers.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["B", "a", "b"]);
    assert_eq!(head.header("b"), Some("1"), "the first one counts");
}

#[tokio::test]
async fn frames_of_every_length_round_trip() {
    for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
        for masked in [false, true] {
            let frame =
                Frame { opcode: PING, fin: length % 2 == 0, masked, reserved: 0, payload: vec![7; length] };
            let bytes = frame.encode([1, 2, 3, 4]);
            let mut wire = Wire::new(bytes.as_slice());
            assert_eq!(wire.frame().await.unwrap(), Some(frame));
            assert_eq!(wire.frame().await.unwrap(), None);
        }
    }
}
