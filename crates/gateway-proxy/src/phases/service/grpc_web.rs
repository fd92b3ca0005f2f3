//! gRPC-Web to gRPC: what browsers can send becomes what a gRPC server takes, and back. Messages pass as they are;
//! only the content type, the base64 of the text form and the place of the trailers differ.
//!
//! It must not know what a message means, nor which service it is for.
//!
//! Source: `doc/PROTOCOL-WEB.md` of the gRPC project.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut as _, Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, TE};
use http::{HeaderMap, HeaderValue, Method};
use http_body::{Body, Frame};

use crate::body::BodyError;
use crate::services::body::{BodyFault, Upload};

/// The flag of the frame that holds the trailers.
const TRAILERS: u8 = 0x80;

/// How messages are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Coding {
    Binary,
    /// In base64, for clients that cannot read bytes.
    Text,
}

/// A call that came as gRPC-Web.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct GrpcWeb {
    request: Coding,
    reply: Coding,
    /// `+proto`, or nothing.
    format: String,
}

/// `application/grpc-web`, `application/grpc-web-text+proto`, … as coding and format.
fn parse(value: &HeaderValue) -> Option<(Coding, String)> {
    let media = value.to_str().ok()?.split(';').next()?.trim().to_ascii_lowercase();
    let rest = media.strip_prefix("application/grpc-web")?;
    let (coding, format) = match rest.strip_prefix("-text") {
        Some(format) => (Coding::Text, format),
        None => (Coding::Binary, rest),
    };
    let is_format = format.is_empty()
        || format.strip_prefix('+').is_some_and(|name| {
            (1..=32).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric())
        });
    is_format.then(|| (coding, format.to_owned()))
}

impl GrpcWeb {
    /// The call, if it is one.
    pub(crate) fn of(method: &Method, headers: &HeaderMap) -> Option<Self> {
        let (request, format) = headers.get(CONTENT_TYPE).and_then(parse)?;
        let reply = headers.get(ACCEPT).and_then(parse).map_or(request, |(coding, _)| coding);
        (method == Method::POST).then_some(Self { request, reply, format })
    }

    /// Turns the headers of the request into those of gRPC.
    pub(crate) fn translate_request(&self, headers: &mut HeaderMap) {
        for name in [CONTENT_LENGTH, ACCEPT, HeaderName::from_static("x-grpc-web")] {
            headers.remove(name);
        }
        headers.insert(TE, HeaderValue::from_static("trailers"));
        if let Ok(value) = HeaderValue::try_from(format!("application/grpc{}", self.format)) {
            headers.insert(CONTENT_TYPE, value);
        }
    }

    /// Whether the body of the request is text.
    pub(crate) fn has_text(&self) -> bool {
        self.request == Coding::Text
    }

    /// Turns the headers of a reply into those of gRPC-Web; `false` when the reply is no gRPC, and passes as it is.
    pub(crate) fn translate_reply(&self, headers: &mut HeaderMap) -> bool {
        let is_grpc =
            headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"));
        let text = if self.reply == Coding::Text { "-text" } else { "" };
        match HeaderValue::try_from(format!("application/grpc-web{text}{}", self.format)) {
            Ok(value) if is_grpc => {
                headers.remove(CONTENT_LENGTH);
                headers.insert(CONTENT_TYPE, value);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// A frame of a gRPC reply as gRPC-Web: trailers become the last frame of the body.
    pub(crate) fn frame(&self, frame: Frame<Bytes>) -> Frame<Bytes> {
        match frame.into_data() {
            Ok(data) => Frame::data(self.written(data)),
            Err(frame) => match frame.into_trailers() {
                Ok(trailers) => Frame::data(self.written(trailers_frame(&trailers))),
                Err(frame) => frame,
            },
        }
    }

    fn written(&self, bytes: Bytes) -> Bytes {
        match self.reply {
            Coding::Binary => bytes,
            Coding::Text => STANDARD.encode(bytes).into(),
        }
    }
}

/// Base64 as it comes becomes bytes. Each piece that the client wrote may have padding of its own.
#[derive(Debug)]
pub struct TextDecoder<B> {
    body: B,
    /// Where it is noted that the text is none.
    upload: Arc<Upload>,
    /// Fewer than four characters that wait for the rest of their group.
    rest: BytesMut,
}

/// The text is no base64.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct NotBase64;

impl<B> TextDecoder<B> {
    /// Decodes this body.
    pub(crate) fn new(body: B, upload: Arc<Upload>) -> Self {
        Self { body, upload, rest: BytesMut::new() }
    }

    fn fail(&self) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        self.upload.failed(BodyFault::Broken);
        Poll::Ready(Some(Err(BodyError::NotBase64)))
    }

    fn decode(&mut self, text: &[u8]) -> Result<Vec<u8>, NotBase64> {
        self.rest.extend_from_slice(text);
        let whole = self.rest.len() / 4 * 4;
        let ready = self.rest.split_to(whole);
        let mut out = Vec::with_capacity(whole / 4 * 3);
        let mut begin = 0;
        for (index, group) in ready.chunks_exact(4).enumerate() {
            let end = (index + 1) * 4;
            // Padding ends a piece; what follows is a text of its own.
            if group.contains(&b'=') || end == whole {
                let piece = ready.get(begin..end).unwrap_or_default();
                STANDARD.decode_vec(piece, &mut out).map_err(|_| NotBase64)?;
                begin = end;
            }
        }
        Ok(out)
    }
}

impl<B> Body for TextDecoder<B>
where
    B: Body<Data = Bytes, Error = BodyError> + Unpin,
{
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            let frame = match std::task::ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if this.rest.is_empty() => return Poll::Ready(None),
                None => {
                    this.rest.clear();
                    return this.fail();
                }
            };
            // A client of gRPC-Web has no trailers.
            let Ok(text) = frame.into_data() else { continue };
            match this.decode(&text) {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Poll::Ready(Some(Ok(Frame::data(bytes.into())))),
                Err(NotBase64) => return this.fail(),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }
}

/// Trailers as a frame of the body.
fn trailers_frame(trailers: &HeaderMap) -> Bytes {
    let mut block = BytesMut::new();
    for (name, value) in trailers {
        block.put_slice(name.as_str().as_bytes());
        block.put_slice(b": ");
        block.put_slice(value.as_bytes());
        block.put_slice(b"\r\n");
    }
    let mut frame = BytesMut::with_capacity(5 + block.len());
    frame.put_u8(TRAILERS);
    frame.put_u32(u32::try_from(block.len()).unwrap_or(u32::MAX));
    frame.unsplit(block);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_are_known() {
        let check = |content_type: &str, accept: Option<&str>, expected: Option<(Coding, Coding, &str)>| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap());
            if let Some(accept) = accept {
                headers.insert(ACCEPT, HeaderValue::from_str(accept).unwrap());
            }
            let found = GrpcWeb::of(&Method::POST, &headers);
            let found = found.as_ref().map(|call| (call.request, call.reply, call.format.as_str()));
            assert_eq!(found, expected, "{content_type} {accept:?}");
            assert_eq!(GrpcWeb::of(&Method::GET, &headers), None);
        };
        let (binary, text) = (Coding::Binary, Coding::Text);
        check("application/grpc-web", None, Some((binary, binary, "")));
        check("application/grpc-web+proto", None, Some((binary, binary, "+proto")));
        check("Application/gRPC-Web-Text+proto; charset=utf-8", None, Some((text, text, "+proto")));
        check(
            "application/grpc-web+proto",
            Some("application/grpc-web-text"),
            Some((binary, text, "+proto")),
        );
        check("application/grpc-web+proto", Some("*/*"), Some((binary, binary, "+proto")));
        check("application/grpc", None, None);
        check("application/grpc-webx", None, None);
        check("application/grpc-web+", None, None);
        check("application/grpc-web+a\tb", None, None);
    }

    #[test]
    fn base64_may_be_cut_and_padded_anywhere() {
        let check = |pieces: &[&str], expected: Result<&[u8], NotBase64>| {
            let mut decoder = TextDecoder::new((), Upload::new(Arc::default()));
            let mut out = Vec::new();
            let decoded = pieces.iter().try_for_each(|piece| {
                out.extend(decoder.decode(piece.as_bytes())?);
                Ok(())
            });
            let whole = decoded.and_then(|()| if decoder.rest.is_empty() { Ok(out) } else { Err(NotBase64) });
            assert_eq!(whole.as_deref().map_err(|fault| *fault), expected, "{pieces:?}");
        };
        check(&["AAAAAAA="], Ok(&[0; 5]));
        check(&["A", "AA", "AAAA="], Ok(&[0; 5]));
        check(&["aGk=aGk="], Ok(b"hihi"));
        check(&["aGk=", "aA==aGkh"], Ok(b"hihhi!"));
        check(&[], Ok(b""));
        check(&["aGk"], Err(NotBase64));
        check(&["a=k="], Err(NotBase64));
        check(&["aG k"], Err(NotBase64));
        check(&["===="], Err(NotBase64));
        check(&["a-_="], Err(NotBase64));
    }

    #[test]
    fn trailers_become_the_last_frame() {
        for (content_type, data, last) in [
            ("application/grpc-web", &b"x"[..], &b"\x80\0\0\0\x10grpc-status: 0\r\n"[..]),
            ("application/grpc-web-text", b"eA==", b"gAAAABBncnBjLXN0YXR1czogMA0K"),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
            let call = GrpcWeb::of(&Method::POST, &headers).unwrap();
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            let frames = [Frame::data(Bytes::from_static(b"x")), Frame::trailers(trailers)];
            let written = frames.map(|frame| call.frame(frame).into_data().unwrap());
            assert_eq!((&written[0][..], &written[1][..]), (data, last), "{content_type}");
        }
    }
}
