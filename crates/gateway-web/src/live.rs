//! Pages that keep up: the same address, asked for with `Accept: text/event-stream`, tells whenever the page would be
//! another one. Server-sent events as in the HTML standard, section 9.2.
//!
//! # Security
//! An event holds a mark and nothing of the page: the browser asks for the page again, and that is decided as every page
//! is. The data plane ends the stream when the caller may no longer have the page.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use gateway_app::control::{OwnReply, OwnRequest};
use gateway_types::{Layer, Principal, Problem, ProblemKind};
use http::header::{ACCEPT, CACHE_CONTROL, HeaderName};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// The media type of events.
const EVENTS: &str = "text/event-stream";

/// How often it is looked whether the page is another one.
const INTERVAL: Duration = Duration::from_secs(1);

/// After so many looks without a change a comment is sent, so that proxies do not take the stream for dead and a browser
/// that is gone is noticed.
const QUIET_LOOKS: u32 = 15;

/// How long a browser may take for an event. One that does not read is let go.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most streams of one caller, and of all of them. A browser has one for each tab.
const MOST_OF_ONE: usize = 6;
const MOST: usize = 200;

/// Who follows pages at the moment, and how many of them.
#[derive(Debug, Default)]
pub(crate) struct Followers {
    open: Mutex<BTreeMap<String, usize>>,
}

/// One of the places; given back when dropped.
#[derive(Debug)]
struct Seat {
    followers: Arc<Followers>,
    who: String,
}

impl Followers {
    /// A place for one more stream; `None` = there is none.
    fn seat(self: &Arc<Self>, who: String) -> Option<Seat> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = open.values().sum();
        let own = open.entry(who.clone()).or_default();
        let is_free = *own < MOST_OF_ONE && total < MOST;
        if is_free {
            *own += 1;
        } else if *own == 0 {
            open.remove(&who);
        }
        is_free.then(|| Seat { followers: self.clone(), who })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.followers.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.who);
            }
        }
    }
}

/// Whether the page is to be followed.
pub(crate) fn is_asked(request: &OwnRequest) -> bool {
    let accept = request.head.headers.get(ACCEPT);
    accept.and_then(|value| value.to_str().ok()).is_some_and(|value| value == EVENTS)
}

/// A reply that tells the mark now, and each time it is another one. When it cannot be asked for, the stream ends and
/// the browser comes back.
///
/// # Errors
/// Too many streams are open.
pub(crate) fn reply<F, Marked>(
    followers: &Arc<Followers>,
    request: &OwnRequest,
    mark: F,
) -> Result<OwnReply, Problem>
where
    F: Fn() -> Marked + Send + 'static,
    Marked: Future<Output = Option<String>> + Send,
{
    let seat = followers.seat(who(&request.caller.principal)).ok_or_else(|| {
        let detail = "Too many pages are followed; close some, or load this one again when you need it.";
        Problem::new(ProblemKind::TooManyRequests, Layer::Network, detail)
    })?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        // Held as long as somebody may listen.
        let _seat = seat;
        tokio::select! {
            () = tell(&sender, mark) => {}
            () = sender.closed() => {}
        }
    });
    let reply = OwnReply::new(200, EVENTS, "retry: 5000\n\n")
        .with_header(CACHE_CONTROL, "no-store")
        // nginx keeps what it passes on until it has enough of it, unless told not to.
        .with_header(HeaderName::from_static("x-accel-buffering"), "no");
    Ok(reply.followed_by(receiver))
}

async fn tell<F, Marked>(sender: &mpsc::Sender<Bytes>, mark: F)
where
    F: Fn() -> Marked,
    Marked: Future<Output = Option<String>>,
{
    let mut told: Option<String> = None;
    let mut quiet = 0;
    while let Some(now) = mark().await {
        let text = if told.as_ref() != Some(&now) {
            let text = format!("event: changed\ndata: {now}\n\n");
            told = Some(now);
            quiet = 0;
            Some(text)
        } else if quiet >= QUIET_LOOKS {
            quiet = 0;
            Some(":\n\n".to_owned())
        } else {
            quiet += 1;
            None
        };
        if let Some(text) = text {
            match timeout(PATIENCE, sender.send(Bytes::from(text))).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return,
            }
        }
        sleep(INTERVAL).await;
    }
}

fn who(principal: &Principal) -> String {
    match principal {
        Principal::User { id, .. } => id.to_string(),
        Principal::ApiToken { id, .. } => id.to_string(),
        Principal::Workload { .. } | Principal::Anonymous | Principal::AccessToken { .. } => {
            principal.display_name()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_few_and_come_back() {
        let followers = Arc::new(Followers::default());
        let ann: Vec<Seat> = (0..MOST_OF_ONE).filter_map(|_| followers.seat("ann".to_owned())).collect();
        assert_eq!(ann.len(), MOST_OF_ONE);
        assert!(followers.seat("ann".to_owned()).is_none());
        let others: Vec<Seat> = (0..MOST).filter_map(|n| followers.seat(format!("bo{n}"))).collect();
        assert_eq!(others.len(), MOST - MOST_OF_ONE);
        assert!(followers.seat("cy".to_owned()).is_none());
        drop(ann);
        assert!(followers.seat("ann".to_owned()).is_some());
        drop(others);
        assert!(followers.open.lock().unwrap().is_empty());
    }
}
