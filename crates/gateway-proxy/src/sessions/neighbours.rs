//! Processes of one gateway on one machine, such as one that drains beside its successor: a session that one of them holds
//! goes on over a connection that another one accepted. Each has a Unix socket in the data directory.
//!
//! Said over it: the length of a claim (two bytes), the claim as JSON, one byte of an answer, and after a yes the bytes of
//! the client's connection.
//!
//! # Security
//! The socket is its owner's alone, and so is whoever asks there: the same user on the same machine, who could read the
//! process's memory anyhow. The token is checked by the holder all the same.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use gateway_types::{RecordingId, Secret};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::resuming::{Attachment, Claim, Unclaimed, new_token};
use crate::plane::DataPlane;

/// How the name of each process's socket begins, and ends.
const PREFIX: &str = "sessions-";
const SUFFIX: &str = ".sock";

/// How long the other process may take for a word.
const PATIENCE: Duration = Duration::from_secs(5);

/// The longest claim, in bytes.
const MOST_CLAIM_BYTES: usize = 4096;

const YES: u8 = b'y';
const NOT_HERE: u8 = b'n';
const NOT_THEIRS: u8 = b't';
const GAP: u8 = b'g';

/// The processes beside this one.
#[derive(Default)]
pub(crate) struct Neighbours(OnceLock<PathBuf>);

/// The socket at which other processes ask this one. Dropped, its file is removed.
#[derive(Debug)]
pub struct NeighbourSocket {
    listener: UnixListener,
    path: PathBuf,
    owner: u32,
}

impl Drop for NeighbourSocket {
    fn drop(&mut self) {
        // One that stays is removed by the next who finds nobody behind it.
        let _gone = std::fs::remove_file(&self.path);
    }
}

#[derive(Serialize, Deserialize)]
struct SaidClaim {
    session: String,
    token: String,
    credential: String,
    received: u64,
}

impl Neighbours {
    /// Asks the other processes for a session.
    pub(crate) async fn claim(&self, claim: &Claim) -> Result<UnixStream, Unclaimed> {
        let Some(own) = self.0.get() else { return Err(Unclaimed::NotHere) };
        for path in others(own) {
            let asked = timeout(PATIENCE, ask(&path, claim)).await;
            match asked {
                Ok(Ok(Err(Unclaimed::NotHere))) => {}
                Ok(Ok(answer)) => return answer,
                Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    // Its process is gone without a farewell.
                    let _gone = std::fs::remove_file(&path);
                }
                Ok(Err(error)) => {
                    tracing::debug!(path = %path.display(), error = &error as &dyn std::error::Error, "a process beside this one does not answer");
                }
                Err(_slow) => {
                    tracing::debug!(path = %path.display(), "a process beside this one does not answer in time")
                }
            }
        }
        Err(Unclaimed::NotHere)
    }
}

/// The sockets beside `own`.
fn others(own: &Path) -> Vec<PathBuf> {
    let entries = own.parent().and_then(|directory| std::fs::read_dir(directory).ok());
    let is_one = |path: &PathBuf| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.starts_with(PREFIX) && name.ends_with(SUFFIX) && path != own
    };
    entries.into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path())).filter(is_one).collect()
}

async fn ask(path: &Path, claim: &Claim) -> io::Result<Result<UnixStream, Unclaimed>> {
    let mut stream = UnixStream::connect(path).await?;
    let said = SaidClaim {
        session: claim.id.to_string(),
        token: claim.token.expose().clone(),
        credential: claim.credential.clone(),
        received: claim.received,
    };
    let said = serde_json::to_vec(&said)?;
    let length = u16::try_from(said.len()).map_err(|_long| io::ErrorKind::InvalidInput)?;
    stream.write_all(&length.to_be_bytes()).await?;
    stream.write_all(&said).await?;
    Ok(match stream.read_u8().await? {
        YES => Ok(stream),
        NOT_HERE => Err(Unclaimed::NotHere),
        GAP => Err(Unclaimed::Gap),
        _ => Err(Unclaimed::NotTheirs),
    })
}

impl DataPlane {
    /// Opens the socket at which other processes of this gateway ask for sessions, in the data directory.
    ///
    /// # Errors
    /// When the directory cannot be written, or its path is too long for a Unix socket (107 bytes).
    pub fn open_neighbour_socket(&self, data_dir: &Path) -> io::Result<NeighbourSocket> {
        let mut random = [0u8; 8];
        self.parts.entropy.fill(&mut random);
        let name = format!("{PREFIX}{}{SUFFIX}", data_encoding::HEXLOWER.encode(&random));
        let path = data_dir.join(&name);
        // Under a name that nobody looks for, until its mode is set.
        let new = data_dir.join(format!("{name}.new"));
        let listener = UnixListener::bind(&new)?;
        std::fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        std::fs::rename(&new, &path)?;
        let owner = std::fs::metadata(&path)?.uid();
        // Only the first one is looked for by this process, and there is one.
        let _first = self.sessions.neighbours.0.set(path.clone());
        Ok(NeighbourSocket { listener, path, owner })
    }

    /// Serves other processes of this gateway until dropped.
    pub async fn serve_neighbours(self: Arc<Self>, socket: NeighbourSocket) {
        loop {
            match socket.listener.accept().await {
                Ok((stream, _)) => {
                    let plane = Arc::clone(&self);
                    let owner = socket.owner;
                    self.sockets.spawn(async move {
                        if let Err(error) =
                            timeout(PATIENCE, plane.answer_neighbour(stream, owner)).await.unwrap_or(Ok(()))
                        {
                            tracing::debug!(
                                error = &error as &dyn std::error::Error,
                                "a process beside this one asked in vain"
                            );
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(
                        error = &error as &dyn std::error::Error,
                        "processes beside this one cannot ask"
                    );
                    tokio::time::sleep(PATIENCE).await;
                }
            }
        }
    }

    async fn answer_neighbour(&self, mut stream: UnixStream, owner: u32) -> io::Result<()> {
        let caller = stream.peer_cred()?.uid();
        if caller != 0 && caller != owner {
            tracing::warn!(uid = caller, "somebody else than the owner asked for a session");
            return Ok(());
        }
        let length = usize::from(stream.read_u16().await?);
        if length > MOST_CLAIM_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
        let mut said = vec![0; length];
        stream.read_exact(&mut said).await?;
        let SaidClaim { session, token, credential, received } = serde_json::from_slice(&said)?;
        let id = session.parse::<RecordingId>().map_err(|_bad| io::ErrorKind::InvalidData)?;
        let claim = Claim { id, token: Secret::new(token), credential, received };
        let next = new_token(self);
        match self.sessions.resumables.claim(&claim, &next) {
            Ok(attach) => {
                stream.write_u8(YES).await?;
                let attachment =
                    Attachment { socket: Box::pin(stream), peer_has: received, token: next, place: None };
                // A session that ended just now closes the connection; the client asks again and is told.
                let _over = attach.send(attachment).await;
                Ok(())
            }
            Err(Unclaimed::NotHere) => stream.write_u8(NOT_HERE).await,
            Err(Unclaimed::NotTheirs) => stream.write_u8(NOT_THEIRS).await,
            Err(Unclaimed::Gap) => stream.write_u8(GAP).await,
        }
    }
}
