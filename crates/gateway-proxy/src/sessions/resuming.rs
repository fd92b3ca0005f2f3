//! Sessions whose client may lose its connection and come back with another one. The session does not notice: it reads and
//! writes a [`Link`], and a keeper carries that over one connection after the other.
//!
//! # Security
//! A connection is taken over with a token that is good once, by the credential that began the session and nobody else.
//! Only its digest is kept. A token stays good until the client has said that it keeps the next one, so that a connection
//! that is lost in between costs nobody the session. What the caller may do is looked at while nobody is connected as at
//! any other time, and the end of it ends the session and what waits for the client.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use futures_util::FutureExt as _;
use futures_util::future::Shared;
use gateway_tunnel::{Carried, Link, LinkStream, Opening, Side, Welcome};
use gateway_types::{RecordingId, Secret};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};

use super::{About, Session};
use crate::connection::Place;
use crate::plane::DataPlane;
use crate::reply::ClientSocket;

/// How many sessions of one instance may wait for their client at one time. Each holds two windows of its link at most:
/// 50 MiB in all.
pub(super) const MOST_DETACHED: usize = 100;

/// How many of those may be one person's or machine's, so that nobody takes the places of all.
const MOST_DETACHED_OF_ONE: usize = 10;

/// How long the list of live sessions is waited for.
const SHOWING: Duration = Duration::from_secs(2);

/// How long a client has to take the reason of an end that the gateway decided.
const FAREWELL: Duration = Duration::from_secs(3);

const DETACH: &str = "gateway:session:detach";
const GIVE_UP: &str = "gateway:session:give_up";

/// A connection, in whatever form it came.
pub(crate) trait Duplex: AsyncRead + AsyncWrite + Send {}

impl<S: AsyncRead + AsyncWrite + Send> Duplex for S {}

/// A connection that a session goes on over.
pub(crate) struct Attachment {
    pub(crate) socket: Pin<Box<dyn Duplex>>,
    /// How many bytes of the session the client has received.
    pub(crate) peer_has: u64,
    /// The token of the next connection.
    pub(crate) token: Secret<String>,
    /// Held as long as the connection is open.
    pub(crate) place: Option<Place>,
}

/// Who wants to go on with which session.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) id: RecordingId,
    pub(crate) token: Secret<String>,
    /// The id of the credential that is shown.
    pub(crate) credential: String,
    /// How many bytes of the session the client has received.
    pub(crate) received: u64,
}

/// Why a session does not go on for whoever claims it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unclaimed {
    /// It is not held by this instance.
    NotHere,
    /// The token is not good, or not for this credential.
    NotTheirs,
    /// What the client lacks is no longer there.
    Gap,
}

/// The sessions of this instance that can go on over another connection.
#[derive(Default)]
pub(crate) struct Resumables {
    held: Mutex<HashMap<RecordingId, Held>>,
    /// How many wait, by whose they are.
    detached: Mutex<HashMap<String, usize>>,
}

struct Held {
    link: Arc<Link>,
    credential: String,
    token: [u8; 32],
    /// The token before, while it is not known that the client has the present one.
    before: Option<[u8; 32]>,
    attach: mpsc::Sender<Attachment>,
}

fn hashed(token: &str) -> [u8; 32] {
    let mut hashed = [0; 32];
    hashed.copy_from_slice(digest(&SHA256, token.as_bytes()).as_ref());
    hashed
}

impl Resumables {
    fn held(&self) -> MutexGuard<'_, HashMap<RecordingId, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where to hand the connection of whoever claims a session; `next` is the token of the one after it.
    pub(crate) fn claim(
        &self,
        claim: &Claim,
        next: &Secret<String>,
    ) -> Result<mpsc::Sender<Attachment>, Unclaimed> {
        let mut all = self.held();
        let held = all.get_mut(&claim.id).ok_or(Unclaimed::NotHere)?;
        let shown = hashed(claim.token.expose());
        if held.credential != claim.credential || (shown != held.token && held.before != Some(shown)) {
            return Err(Unclaimed::NotTheirs);
        }
        if !held.link.can_go_on_at(claim.received) {
            return Err(Unclaimed::Gap);
        }
        held.before = Some(shown);
        held.token = hashed(next.expose());
        Ok(held.attach.clone())
    }

    /// The client keeps the present token: the one before it is good no longer.
    fn kept(&self, id: RecordingId) {
        if let Some(held) = self.held().get_mut(&id) {
            held.before = None;
        }
    }

    fn detached(&self) -> MutexGuard<'_, HashMap<String, usize>> {
        self.detached.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place among those that wait, for whoever this is.
    fn place(&self, whose: &str) -> Result<DetachedPlace<'_>, NoPlace> {
        let mut detached = self.detached();
        if detached.values().sum::<usize>() >= MOST_DETACHED {
            return Err(NoPlace::Full);
        }
        let own = detached.entry(whose.to_owned()).or_default();
        if *own >= MOST_DETACHED_OF_ONE {
            return Err(NoPlace::TooManyOfOne);
        }
        *own += 1;
        Ok(DetachedPlace { among: self, whose: whose.to_owned() })
    }
}

/// Why a session cannot wait for its client.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
enum NoPlace {
    #[error("{MOST_DETACHED} sessions of this instance wait for their clients already")]
    Full,
    #[error("{MOST_DETACHED_OF_ONE} sessions of the same caller wait for their clients already")]
    TooManyOfOne,
}

/// A place among the sessions that wait for their client.
struct DetachedPlace<'a> {
    among: &'a Resumables,
    whose: String,
}

impl Drop for DetachedPlace<'_> {
    fn drop(&mut self) {
        let mut detached = self.among.detached();
        if let Some(own) = detached.get_mut(&self.whose) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                detached.remove(&self.whose);
            }
        }
    }
}

/// How a session ended that its keeper still has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Over {
    /// By itself: what it said last, its exit code, waits for the client.
    Told,
    /// The gateway ended it: nothing waits.
    Decided,
}

/// What the relay of a session tells its keeper.
#[derive(Debug)]
pub(crate) struct Holding(watch::Sender<Option<Over>>);

impl Holding {
    /// The session is over.
    pub(crate) fn ended(self, over: Over) {
        self.0.send_replace(Some(over));
    }
}

/// A token that nobody can guess.
pub(crate) fn new_token(plane: &DataPlane) -> Secret<String> {
    let mut random = [0u8; 32];
    plane.parts.entropy.fill(&mut random);
    Secret::new(HEXLOWER.encode(&random))
}

/// Keeps a session for its client, beginning with the connection behind `socket`; returns what the relay reads and writes.
/// `credential` is who may come back. Once `revoked` is ready the caller may no longer do what the session is: the relay ends
/// with that by itself, and what it left for the client is not handed over either.
pub(crate) fn keep(
    plane: &Arc<DataPlane>,
    session: &Session,
    credential: String,
    socket: ClientSocket,
    patience: Duration,
    revoked: impl Future<Output = ()> + Send + 'static,
) -> (LinkStream, Holding) {
    let (link, stream) = Link::new();
    let (attach, attachments) = mpsc::channel(1);
    let (tell, over) = watch::channel(None);
    let (id, token) = (session.id(), new_token(plane));
    let held =
        Held { link: Arc::clone(&link), credential, token: hashed(token.expose()), before: None, attach };
    plane.sessions.resumables.held().insert(id, held);
    let about = Arc::clone(&session.about);
    let revoked = (Box::pin(revoked) as Pin<Box<dyn Future<Output = ()> + Send>>).shared();
    let plane_of_keeper = Arc::clone(plane);
    let keeper = Keeper { plane: plane_of_keeper, about, id, link, patience, over, revoked, attachments };
    plane.sockets.spawn(keeper.run(socket, token));
    (stream, Holding(tell))
}

struct Keeper {
    plane: Arc<DataPlane>,
    about: Arc<About>,
    id: RecordingId,
    link: Arc<Link>,
    patience: Duration,
    over: watch::Receiver<Option<Over>>,
    revoked: Shared<Pin<Box<dyn Future<Output = ()> + Send>>>,
    attachments: mpsc::Receiver<Attachment>,
}

/// What became of a connection.
enum Left {
    /// The session is over, and its client knows.
    Finished,
    /// Its client is there with another one.
    Displaced(Attachment),
    /// It was lost.
    Away,
}

impl Keeper {
    async fn run(mut self, first: ClientSocket, token: Secret<String>) {
        let ClientSocket { upgrade, place, .. } = first;
        // Whoever left between the request and the 101 has no token to come back with.
        let mut next = upgrade.await.ok().map(|upgraded| Attachment {
            socket: Box::pin(TokioIo::new(upgraded)),
            peer_has: 0,
            token,
            place: Some(place),
        });
        while let Some(attachment) = next.take() {
            next = match self.attached(attachment).await {
                Left::Finished => None,
                Left::Displaced(other) => Some(other),
                Left::Away => self.away().await,
            };
        }
        self.plane.sessions.resumables.held().remove(&self.id);
        self.link.give_up();
    }

    async fn attached(&mut self, attachment: Attachment) -> Left {
        let Attachment { socket, peer_has, token, place: _place } = attachment;
        let welcome = Welcome {
            received: self.link.received(),
            patience_seconds: u32::try_from(self.patience.as_secs()).unwrap_or(u32::MAX),
            token: token.expose().clone(),
            session: self.id.to_string(),
        };
        let (tell, mut kept) = mpsc::channel(1);
        let link = Arc::clone(&self.link);
        let carrying = link.carry(socket, Side::Server, peer_has, Opening::Gateway(welcome, &tell));
        let (over, closing) = (decided(&self.over), self.plane.closing.clone());
        let (told, revoked, patience) = (told(&self.over), self.revoked.clone(), self.patience);
        let farewell = async {
            // A client that is there and does not take what was said last is waited for as one that is away.
            let unread = async {
                told.await;
                sleep(patience).await;
            };
            tokio::select! {
                () = over => {}
                () = revoked => {}
                () = unread => {}
                () = closing.cancelled() => {}
            }
            sleep(FAREWELL).await;
        };
        tokio::pin!(carrying, farewell);
        loop {
            tokio::select! {
                carried = &mut carrying => return match carried {
                    Carried::Finished | Carried::Over => Left::Finished,
                    // It said that it has no more, and is gone.
                    Carried::Lost if link.peer_has_ended() => Left::Finished,
                    Carried::Lost => Left::Away,
                    Carried::Broke(fault) => {
                        tracing::warn!(error = &fault as &dyn std::error::Error, "the client of a session broke its protocol");
                        Left::Finished
                    }
                },
                Some(()) = kept.recv() => self.plane.sessions.resumables.kept(self.id),
                Some(other) = self.attachments.recv() => return Left::Displaced(other),
                () = &mut farewell => return Left::Finished,
            }
        }
    }

    /// Waits for the client; its next connection, or nothing when it does not come or must not.
    async fn away(&mut self) -> Option<Attachment> {
        if *self.over.borrow() == Some(Over::Decided) {
            return None;
        }
        let plane = Arc::clone(&self.plane);
        let _place = match plane.sessions.resumables.place(&self.about.actor_name()) {
            Ok(place) => place,
            Err(none) => {
                self.note(GIVE_UP, &none.to_string());
                return None;
            }
        };
        self.note(DETACH, "the connection to its client was lost");
        self.show(true).await;
        let next = tokio::select! {
            next = self.attachments.recv() => next,
            () = sleep(self.patience) => {
                let reason = format!("its client did not come back within {} s", self.patience.as_secs());
                self.note(GIVE_UP, &reason);
                return None;
            }
            () = decided(&self.over) => return None,
            () = self.revoked.clone() => return None,
            () = plane.closing.cancelled() => return None,
        };
        self.show(false).await;
        next
    }

    /// Shows in the list of live sessions whether the client is there.
    async fn show(&self, is_away: bool) {
        let recordings = self.plane.parts.store.recordings();
        match timeout(SHOWING, recordings.set_detached(self.id, is_away)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "whether the client of a session is there is not shown"
            ),
            Err(_elapsed) => tracing::warn!("whether the client of a session is there is not shown in time"),
        }
    }

    fn note(&self, action: &str, reason: &str) {
        let mut event = self.about.event(&self.plane, action);
        event.reason = Some(reason.to_owned());
        self.plane.parts.store.audit().queue(event);
    }
}

/// Waits until the session ended by itself.
fn told(over: &watch::Receiver<Option<Over>>) -> impl Future<Output = ()> + use<> {
    let mut over = over.clone();
    async move {
        // Also when the relay is gone without a word about it.
        let _told = over.wait_for(|over| *over == Some(Over::Told)).await.is_ok();
    }
}

/// Waits until the gateway ended the session.
fn decided(over: &watch::Receiver<Option<Over>>) -> impl Future<Output = ()> + use<> {
    let mut over = over.clone();
    async move {
        if over.wait_for(|over| *over == Some(Over::Decided)).await.is_err() {
            // The relay is gone without a word about it: then it ended by itself.
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use gateway_types::{Clock as _, OsEntropy, SystemClock};

    use super::*;

    fn held(resumables: &Resumables, token: &str) -> (RecordingId, Arc<Link>, LinkStream) {
        let id = RecordingId::new(SystemClock.now(), &OsEntropy);
        let (link, stream) = Link::new();
        let (attach, _) = mpsc::channel(1);
        let credential = "mine".to_owned();
        let held = Held { link: Arc::clone(&link), credential, token: hashed(token), before: None, attach };
        resumables.held().insert(id, held);
        (id, link, stream)
    }

    #[test]
    fn a_token_is_good_once_for_one_credential() {
        let resumables = Resumables::default();
        let (id, link, _stream) = held(&resumables, "one");
        let claim = |token: &str, credential: &str, received: u64, next: &str| {
            let claim = Claim {
                id,
                token: Secret::new(token.to_owned()),
                credential: credential.to_owned(),
                received,
            };
            resumables.claim(&claim, &Secret::new(next.to_owned())).map(drop)
        };
        assert_eq!(claim("two", "mine", 0, "x"), Err(Unclaimed::NotTheirs), "a made-up token");
        assert_eq!(claim("one", "foreign", 0, "x"), Err(Unclaimed::NotTheirs), "another credential");
        assert_eq!(claim("one", "mine", 1, "x"), Err(Unclaimed::Gap), "more than was ever sent");
        assert_eq!(claim("one", "mine", 0, "two"), Ok(()));
        // It is not known yet that the client has the next one.
        assert_eq!(claim("one", "mine", 0, "three"), Ok(()));
        assert_eq!(claim("two", "mine", 0, "x"), Err(Unclaimed::NotTheirs), "one that never arrived");
        resumables.kept(id);
        assert_eq!(claim("one", "mine", 0, "x"), Err(Unclaimed::NotTheirs), "replayed");
        assert_eq!(claim("three", "mine", 0, "four"), Ok(()));
        link.give_up();
        assert_eq!(claim("four", "mine", 0, "x"), Err(Unclaimed::Gap), "what is over does not go on");
        resumables.held().remove(&id);
        assert_eq!(claim("four", "mine", 0, "x"), Err(Unclaimed::NotHere));
    }

    #[test]
    fn only_so_many_wait() {
        let resumables = Resumables::default();
        let own: Vec<_> = (0..MOST_DETACHED_OF_ONE).map(|_| resumables.place("ann").unwrap()).collect();
        assert_eq!(resumables.place("ann").err(), Some(NoPlace::TooManyOfOne));
        let others = MOST_DETACHED - MOST_DETACHED_OF_ONE;
        let places: Vec<_> = (0..others).map(|at| resumables.place(&format!("{at}")).unwrap()).collect();
        assert_eq!(resumables.place("one more").err(), Some(NoPlace::Full));
        drop((own, places));
        assert!(resumables.place("ann").is_ok());
        assert!(resumables.detached().is_empty(), "nobody is remembered who has none");
    }
}
