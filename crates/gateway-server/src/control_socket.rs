//! The control socket: `DATA_DIR/control.sock`, a Unix socket for programs on the same machine. `rack-gateway drain`
//! asks there, and so does a new `serve` that takes the listeners over (SCM_RIGHTS, unix(7)).
//!
//! Who may: the owner of the gateway's process and root, by the mode of the socket and by whom the system says is at
//! the other end. Nothing that comes over it is believed beyond two words.

use std::fs::Permissions;
use std::io::{IoSlice, IoSliceMut, Result};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::stopping::Stop;

/// The socket's name in the data directory.
const NAME: &str = "control.sock";

/// Sockets that one message can carry (the kernel's SCM_MAX_FD is 253).
const MOST_LISTENERS: usize = 128;

/// How long the other end may take for a word.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long a process that takes over may take until it can serve.
const START_LIMIT: Duration = Duration::from_secs(300);

const DRAIN: &[u8; 9] = b"drain-now";
const TAKE_OVER: &[u8; 9] = b"take-over";
const READY: &[u8; 5] = b"ready";

/// Where the control socket of a gateway with this data directory is.
pub(crate) fn path_in(data_dir: &Path) -> PathBuf {
    data_dir.join(NAME)
}

/// Opens the control socket, in the place of one that another process had.
///
/// # Errors
/// When the directory cannot be written, or its path is too long for a Unix socket (107 bytes).
pub(crate) fn open(data_dir: &Path) -> Result<UnixListener> {
    // Under a name of its own first, so that nobody finds it before its mode is set, and nobody finds none.
    let new = data_dir.join(format!("{NAME}.{}", std::process::id()));
    if let Err(error) = std::fs::remove_file(&new)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let listener = UnixListener::bind(&new)?;
    std::fs::set_permissions(&new, Permissions::from_mode(0o600))?;
    std::fs::rename(&new, path_in(data_dir))?;
    Ok(listener)
}

/// What a gateway tells those who ask at its control socket.
#[derive(Debug)]
pub(crate) struct Door {
    /// Its listening sockets, until it closes them.
    listeners: Mutex<Vec<OwnedFd>>,
    /// Where it is told to stop.
    told: watch::Sender<Option<(Stop, u32)>>,
    /// A successor waits for the database's lock.
    has_file_lock: bool,
    /// Who owns this process.
    owner: u32,
}

impl Door {
    /// A door of the process that owns the socket at `path`.
    ///
    /// # Errors
    /// When the socket's file is gone.
    pub(crate) fn at(
        path: &Path,
        listeners: Vec<OwnedFd>,
        told: watch::Sender<Option<(Stop, u32)>>,
        has_file_lock: bool,
    ) -> Result<Self> {
        let owner = std::fs::metadata(path)?.uid();
        Ok(Self { listeners: Mutex::new(listeners), told, has_file_lock, owner })
    }

    /// Closes the listening sockets here too: whoever connects to one that nobody accepts from would wait for nothing.
    pub(crate) fn shut(&self) {
        self.listeners.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Further handles to the listening sockets; none once they are closed.
    fn handles(&self) -> Result<Vec<OwnedFd>> {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.iter().map(OwnedFd::try_clone).collect()
    }

    /// Serves one who asks. The connection stays open until the process ends, which is how the other end learns of it.
    pub(crate) async fn serve(&self, mut stream: UnixStream) -> Result<()> {
        let caller = stream.peer_cred()?.uid();
        if caller != 0 && caller != self.owner {
            tracing::warn!(uid = caller, "somebody else than the owner asked at the control socket");
            return Ok(());
        }
        let mut word = [0; 9];
        timeout(PATIENCE, stream.read_exact(&mut word)).await??;
        match &word {
            DRAIN => {
                self.tell(Stop::Drained, caller);
                stream.write_all(READY).await?;
            }
            TAKE_OVER => {
                send_sockets(&stream, &self.handles()?).await?;
                let mut word = [0; 5];
                timeout(START_LIMIT, stream.read_exact(&mut word)).await??;
                if &word == READY {
                    self.tell(Stop::HandedOver { is_waited_for: self.has_file_lock }, caller);
                }
            }
            _ => tracing::warn!(uid = caller, "an unknown word was said at the control socket"),
        }
        // Held until the other end goes, or this process does.
        stream.read_exact(&mut [0; 1]).await.map(drop)
    }

    fn tell(&self, stop: Stop, caller: u32) {
        // What was said first holds.
        self.told.send_if_modified(|told| {
            let is_first = told.is_none();
            if is_first {
                *told = Some((stop, caller));
            }
            is_first
        });
    }
}

/// The gateway that runs on this data directory.
#[derive(Debug)]
pub(crate) struct Predecessor {
    stream: UnixStream,
}

impl Predecessor {
    /// Finds it; `None` when there is none.
    ///
    /// # Errors
    /// When the socket cannot be used: another owner's, most likely.
    pub(crate) async fn find(data_dir: &Path) -> Result<Option<Self>> {
        match UnixStream::connect(path_in(data_dir)).await {
            Ok(stream) => Ok(Some(Self { stream })),
            Err(error) if is_nobody(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Takes its listening sockets; it goes on serving until [`Self::replace`].
    ///
    /// # Errors
    /// When it gives none in time.
    pub(crate) async fn listeners(&mut self) -> Result<Vec<OwnedFd>> {
        self.stream.write_all(TAKE_OVER).await?;
        timeout(PATIENCE, receive_sockets(&self.stream)).await?
    }

    /// Tells it that this process serves from now on.
    ///
    /// # Errors
    /// When it is gone.
    pub(crate) async fn replace(&mut self) -> Result<()> {
        self.stream.write_all(READY).await
    }
}

/// Whether an error says that nobody listens there.
fn is_nobody(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::ConnectionRefused)
}

/// A gateway on this machine that was told to drain.
#[derive(Debug)]
pub struct Draining {
    stream: UnixStream,
}

/// Tells the gateway on this data directory to drain; `None` when none runs there.
///
/// # Errors
/// When it does not take the order: it is another owner's, or hangs.
pub async fn drain(data_dir: &Path) -> Result<Option<Draining>> {
    let Some(Predecessor { mut stream }) = Predecessor::find(data_dir).await? else { return Ok(None) };
    stream.write_all(DRAIN).await?;
    let mut word = [0; 5];
    timeout(PATIENCE, stream.read_exact(&mut word)).await??;
    Ok(Some(Draining { stream }))
}

impl Draining {
    /// Waits until it has ended.
    pub async fn ended(mut self) {
        // Nothing more is said; any end of the connection is the end of the process.
        let _end = self.stream.read_exact(&mut [0; 1]).await;
    }
}

async fn send_sockets(stream: &UnixStream, sockets: &[OwnedFd]) -> Result<()> {
    let sockets: Vec<_> = sockets.iter().take(MOST_LISTENERS).map(|socket| socket.as_fd()).collect();
    stream
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_LISTENERS))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(&sockets));
            sendmsg(stream, &[IoSlice::new(b"+")], &mut control, SendFlags::NOSIGNAL)?;
            Ok(())
        })
        .await
}

async fn receive_sockets(stream: &UnixStream) -> Result<Vec<OwnedFd>> {
    stream
        .async_io(Interest::READABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_LISTENERS))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut byte = [0; 1];
            let flags = RecvFlags::CMSG_CLOEXEC;
            let received = recvmsg(stream, &mut [IoSliceMut::new(&mut byte)], &mut control, flags)?;
            let mut sockets = Vec::new();
            for message in control.drain() {
                if let RecvAncillaryMessage::ScmRights(rights) = message {
                    sockets.extend(rights);
                }
            }
            match (received.bytes, sockets.is_empty()) {
                (1, false) => Ok(sockets),
                _ => Err(std::io::ErrorKind::UnexpectedEof.into()),
            }
        })
        .await
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn door(directory: &Path) -> (Arc<Door>, watch::Receiver<Option<(Stop, u32)>>) {
        let listener = open(directory).unwrap();
        let (told, heard) = watch::channel(None);
        let public = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let door = Door::at(&path_in(directory), vec![public.into()], told, false).unwrap();
        let door = Arc::new(door);
        let serving = Arc::clone(&door);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let door = Arc::clone(&serving);
                tokio::spawn(async move { door.serve(stream).await });
            }
        });
        (door, heard)
    }

    #[tokio::test]
    async fn listeners_reach_another_process_and_it_says_when_it_serves() {
        let directory = tempfile::tempdir().unwrap();
        assert!(Predecessor::find(directory.path()).await.unwrap().is_none(), "nobody is there yet");
        let (door, mut heard) = door(directory.path());
        let mut predecessor = Predecessor::find(directory.path()).await.unwrap().unwrap();
        let sockets = predecessor.listeners().await.unwrap();
        let taken = std::net::TcpListener::from(sockets.into_iter().next().unwrap());
        let first = std::net::TcpListener::from(door.handles().unwrap().remove(0));
        assert_eq!(taken.local_addr().unwrap(), first.local_addr().unwrap(), "the very same socket");
        assert!(heard.borrow().is_none(), "it serves on until the other is ready");
        predecessor.replace().await.unwrap();
        let (stop, _) = heard.wait_for(Option::is_some).await.unwrap().unwrap();
        assert_eq!(stop, Stop::HandedOver { is_waited_for: false });
    }

    #[tokio::test]
    async fn drain_is_said_once() {
        let directory = tempfile::tempdir().unwrap();
        assert!(drain(directory.path()).await.unwrap().is_none());
        let (_door, heard) = door(directory.path());
        let mode = std::fs::metadata(path_in(directory.path())).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let _draining = drain(directory.path()).await.unwrap().unwrap();
        assert_eq!(heard.borrow().map(|(stop, _)| stop), Some(Stop::Drained));
        assert!(drain(directory.path()).await.unwrap().is_some(), "again, and nothing changes");
    }

    #[tokio::test]
    async fn nobody_takes_over_what_is_closed() {
        let directory = tempfile::tempdir().unwrap();
        let (door, _heard) = door(directory.path());
        let address = std::net::TcpListener::from(door.handles().unwrap().remove(0)).local_addr().unwrap();
        door.shut();
        let mut predecessor = Predecessor::find(directory.path()).await.unwrap().unwrap();
        assert!(predecessor.listeners().await.is_err());
        assert!(std::net::TcpStream::connect(address).is_err(), "and nobody waits for it");
    }

    /// A process that takes over and dies before it can serve leaves the first one as it was.
    #[tokio::test]
    async fn whoever_never_gets_ready_replaces_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let (_door, heard) = door(directory.path());
        let mut predecessor = Predecessor::find(directory.path()).await.unwrap().unwrap();
        let sockets = predecessor.listeners().await.unwrap();
        drop((predecessor, sockets));
        assert!(drain(directory.path()).await.unwrap().is_some(), "it still answers");
        assert_eq!(heard.borrow().map(|(stop, _)| stop), Some(Stop::Drained));
    }

    /// The file that a killed process left answers nobody and is replaced.
    #[tokio::test]
    async fn a_socket_that_was_left_behind_is_nobody() {
        let directory = tempfile::tempdir().unwrap();
        drop(open(directory.path()).unwrap());
        assert!(Predecessor::find(directory.path()).await.unwrap().is_none());
        drop(open(directory.path()).unwrap());
    }
}
