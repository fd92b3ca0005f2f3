//! Bodies on their way to and from services: counted, bounded, without trailers that must not pass, and without the
//! credential that the gateway holds.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use gateway_services::headers;
use gateway_types::Secret;
use http::HeaderMap;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::body::{BodyError, ClientBody, RequestBody};

/// What was wrong with a client's body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum BodyFault {
    /// It is malformed or ended early.
    Broken,
    /// It did not come in time.
    TooSlow {
        /// The longest pause.
        limit: Duration,
    },
    /// It is larger than this.
    TooLarge {
        /// The limit, in bytes.
        limit_bytes: u64,
    },
}

impl BodyFault {
    fn of(error: &BodyError) -> Self {
        match error {
            BodyError::TooSlow { limit } => BodyFault::TooSlow { limit: *limit },
            BodyError::TooLarge { limit_bytes } => BodyFault::TooLarge { limit_bytes: *limit_bytes as u64 },
            BodyError::Broken(_)
            | BodyError::Trailers
            | BodyError::NotBase64
            | BodyError::Revoked { .. }
            | BodyError::Credential => BodyFault::Broken,
        }
    }
}

/// What is known of a client's body while it goes up. HTTP/2 tells whoever sent a request only that its stream was
/// reset, so what was wrong with the body is noted here.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Bytes that were passed on.
    pub(crate) counter: Arc<AtomicU64>,
    fault: Mutex<Option<BodyFault>>,
}

impl Upload {
    /// `counter` counts what is passed on.
    pub(crate) fn new(counter: Arc<AtomicU64>) -> Arc<Self> {
        Arc::new(Self { counter, fault: Mutex::default() })
    }

    /// What was wrong with the body, if anything was.
    pub(crate) fn fault(&self) -> Option<BodyFault> {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what was wrong with it.
    pub(crate) fn failed(&self, fault: BodyFault) {
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
    }
}

/// A client's body on its way to a service.
pub struct ServiceRequestBody {
    body: ClientBody,
    upload: Arc<Upload>,
    limit_bytes: Option<u64>,
    passed: u64,
}

impl ServiceRequestBody {
    /// A body of more than `limit_bytes` fails.
    pub(crate) fn new(body: ClientBody, upload: Arc<Upload>, limit_bytes: Option<u64>) -> Self {
        Self { body, upload, limit_bytes, passed: 0 }
    }
}

impl Body for ServiceRequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(context)) else {
            return Poll::Ready(None);
        };
        let frame = frame.inspect_err(|error| this.upload.failed(BodyFault::of(error)))?;
        Poll::Ready(Some(match frame.into_data() {
            Ok(data) => {
                this.passed += data.len() as u64;
                this.upload.counter.fetch_add(data.len() as u64, Ordering::Relaxed);
                match this.limit_bytes {
                    Some(limit_bytes) if this.passed > limit_bytes => {
                        this.upload.failed(BodyFault::TooLarge { limit_bytes });
                        Err(BodyError::TooLarge {
                            limit_bytes: usize::try_from(limit_bytes).unwrap_or(usize::MAX),
                        })
                    }
                    Some(_) | None => Ok(Frame::data(data)),
                }
            }
            Err(other) => Ok(without_refused_trailers(other)),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

fn without_refused_trailers(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => {
            let passed = trailers.iter().filter(|(name, _)| headers::is_trailer(name.as_str()));
            let passed: HeaderMap = passed.map(|(name, value)| (name.clone(), value.clone())).collect();
            Frame::trailers(passed)
        }
        Err(frame) => frame,
    }
}

/// A body that more than one try may need. What one try did not touch, the next one can have.
pub(crate) struct Lender {
    slot: Arc<Mutex<Option<RequestBody>>>,
    is_empty: bool,
    hint: SizeHint,
}

impl Lender {
    pub(crate) fn new(body: RequestBody) -> Self {
        let (is_empty, hint) = (body.is_end_stream(), body.size_hint());
        Self { slot: Arc::new(Mutex::new(Some(body))), is_empty, hint }
    }

    /// The body for one try.
    pub(crate) fn lend(&self) -> RequestBody {
        if self.is_empty {
            return RequestBody::Empty;
        }
        RequestBody::Lent(Lent { slot: Arc::clone(&self.slot), taken: None, hint: self.hint })
    }

    /// Whether another try would send the same bytes.
    pub(crate) fn is_whole(&self) -> bool {
        self.is_empty || self.slot.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// A body that is lent to one try. It is taken when it is read for the first time.
pub struct Lent {
    slot: Arc<Mutex<Option<RequestBody>>>,
    taken: Option<Box<RequestBody>>,
    hint: SizeHint,
}

impl Body for Lent {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        if this.taken.is_none() {
            this.taken = this.slot.lock().unwrap_or_else(PoisonError::into_inner).take().map(Box::new);
        }
        match &mut this.taken {
            Some(body) => Pin::new(&mut **body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.taken.as_ref().is_some_and(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.taken.as_ref().map_or_else(|| self.hint, |body| body.size_hint())
    }
}

/// A service's body on its way to the client.
pub(crate) struct ServiceReplyBody {
    body: Incoming,
    scrubber: Scrubber,
    /// What comes before anything else.
    next: VecDeque<Frame<Bytes>>,
    has_ended: bool,
}

impl ServiceReplyBody {
    /// The body fails as soon as one of `needles` is in it.
    pub(crate) fn new(body: Incoming, needles: Vec<Secret<String>>) -> Self {
        Self { body, scrubber: Scrubber::new(needles), next: VecDeque::new(), has_ended: false }
    }
}

impl Body for ServiceReplyBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let this = self.get_mut();
        loop {
            if let Some(frame) = this.next.pop_front() {
                return Poll::Ready(Some(Ok(frame)));
            }
            if this.has_ended {
                return Poll::Ready(None);
            }
            match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => match this.scrubber.pass(data) {
                        Ok(data) if data.is_empty() => {}
                        Ok(data) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                        Err(found) => return Poll::Ready(Some(Err(found))),
                    },
                    Err(other) => {
                        let trailers = without_refused_trailers(other);
                        let repeats =
                            trailers.trailers_ref().is_some_and(|map| this.scrubber.is_in_headers(map));
                        if repeats {
                            return Poll::Ready(Some(Err(BodyError::Credential)));
                        }
                        this.release();
                        this.next.push_back(trailers);
                    }
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(BodyError::Broken(error)))),
                None => {
                    this.has_ended = true;
                    this.release();
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.next.is_empty() && self.scrubber.held.is_empty() && (self.has_ended || self.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        let held = self.scrubber.held.len() as u64;
        let inner = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(inner.lower() + held);
        if let Some(upper) = inner.upper() {
            hint.set_upper(upper + held);
        }
        hint
    }
}

impl ServiceReplyBody {
    /// Lets go of what was held back: nothing comes behind it that could make it a needle.
    fn release(&mut self) {
        let held = std::mem::take(&mut self.scrubber.held).freeze();
        if !held.is_empty() {
            self.next.push_back(Frame::data(held));
        }
    }
}

/// Looks for texts in a stream, also where it is cut in the middle of one.
pub(crate) struct Scrubber {
    needles: Vec<Secret<String>>,
    /// The end of what came so far, when it could be the beginning of a needle.
    held: BytesMut,
}

impl Scrubber {
    pub(crate) fn new(needles: Vec<Secret<String>>) -> Self {
        Self { needles, held: BytesMut::new() }
    }

    /// What of `data` can go on. What could be the beginning of a needle is held back for the next call.
    fn pass(&mut self, data: Bytes) -> Result<Bytes, BodyError> {
        if self.needles.is_empty() {
            return Ok(data);
        }
        let data = if self.held.is_empty() {
            data
        } else {
            let mut joined = std::mem::take(&mut self.held);
            joined.extend_from_slice(&data);
            joined.freeze()
        };
        if self.is_in(&data) {
            return Err(BodyError::Credential);
        }
        let kept = self.begun(&data);
        let (passed, held) = data.split_at(data.len() - kept);
        self.held = BytesMut::from(held);
        Ok(data.slice_ref(passed))
    }

    /// How many bytes at the end of `data` could be the beginning of one of the texts.
    pub(crate) fn begun(&self, data: &[u8]) -> usize {
        self.needles.iter().map(|needle| overlap(data, needle.expose().as_bytes())).max().unwrap_or(0)
    }

    /// Whether one of the texts is in `text`.
    pub(crate) fn is_in(&self, text: &[u8]) -> bool {
        self.needles.iter().any(|needle| memchr::memmem::find(text, needle.expose().as_bytes()).is_some())
    }

    /// Whether one of the texts is in a value.
    pub(crate) fn is_in_headers(&self, headers: &HeaderMap) -> bool {
        headers.values().any(|value| self.is_in(value.as_bytes()))
    }
}

/// How many bytes at the end of `data` are the beginning of `needle`, but not all of it.
fn overlap(data: &[u8], needle: &[u8]) -> usize {
    let longest = needle.len().saturating_sub(1).min(data.len());
    (1..=longest).rev().find(|count| data.get(data.len() - count..) == needle.get(..*count)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&str], expected: Option<&str>) {
        let mut scrubber =
            Scrubber::new(vec![Secret::new("hunter22".to_owned()), Secret::new("huntsman".to_owned())]);
        let mut passed = Vec::new();
        for piece in pieces {
            match scrubber.pass(Bytes::copy_from_slice(piece.as_bytes())) {
                Ok(data) => passed.extend_from_slice(&data),
                Err(_) => {
                    assert_eq!(expected, None, "{pieces:?}");
                    let passed = String::from_utf8_lossy(&passed);
                    assert!(!passed.contains("hunte") && !passed.contains("hunts"), "{pieces:?}: {passed}");
                    return;
                }
            }
        }
        passed.extend_from_slice(&scrubber.held);
        assert_eq!(Some(String::from_utf8(passed).unwrap().as_str()), expected, "{pieces:?}");
    }

    #[test]
    fn trailers_that_must_not_be_are_left_out() {
        let mut trailers = HeaderMap::new();
        for name in
            ["grpc-status", "x-checksum", "set-cookie", "authorization", "x-gateway-user", "content-length"]
        {
            trailers.insert(name, http::HeaderValue::from_static("1"));
        }
        let passed = without_refused_trailers(Frame::trailers(trailers)).into_trailers().unwrap();
        let mut names: Vec<&str> = passed.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["grpc-status", "x-checksum"]);
    }

    #[test]
    fn a_credential_is_found_wherever_the_stream_is_cut() {
        check(&["nothing here"], Some("nothing here"));
        check(&["a hunter22 b"], None);
        check(&["a hunt", "er22 b"], None);
        check(&["a ", "h", "u", "n", "t", "e", "r", "2", "2"], None);
        check(&["a hunt", "er2", "x"], Some("a hunter2x"));
        check(&["hunthunts", "man"], None);
        check(&["hunter2", ""], Some("hunter2"));
        check(&["", ""], Some(""));
        for cut in 1..8 {
            let text = "hunter22";
            check(&[&text[..cut], &text[cut..]], None);
        }
    }
}
