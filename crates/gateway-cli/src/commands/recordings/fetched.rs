//! A recording, fetched piece by piece and checked here: the gateway is not taken at its word.

use std::time::Duration;

use gateway_recording::{Chunk, Digest, Event, Verifier, events, header};
use gateway_types::wire::recordings::{RecordedSession, RecordingPiece};

use crate::failure::{Exit, Failure};
use crate::remote::Remote;

/// A recording, or the beginning of one.
#[derive(Debug)]
pub(super) struct Fetched {
    /// The session, as the last answer told it.
    pub(super) session: RecordedSession,
    pieces_read: Vec<RecordingPiece>,
    /// How many pieces follow each other as they should.
    pub(super) pieces: u64,
    /// The digest of the last of them.
    pub(super) digest: String,
    /// What is wrong.
    pub(super) fault: Option<String>,
    /// Where the audit log holds that digest.
    pub(super) logged_at: Option<u64>,
}

/// Fetches a recording until there is no more of it, or `most` bytes were read.
pub(super) async fn fetch(remote: &Remote, id: &str, most: u64) -> Result<Fetched, Failure> {
    let (mut pieces_read, mut from, mut fault, mut bytes) = (Vec::new(), 0, None::<String>, 0u64);
    let mut verifier = Verifier::new(id);
    loop {
        let part = remote.ask(async |client| client.recording(id, from).await).await?;
        fault = fault.or(part.fault);
        for piece in part.pieces {
            bytes = bytes.saturating_add(piece.cast.len() as u64);
            if let Err(found) = check(&mut verifier, &piece) {
                fault.get_or_insert(found);
            }
            pieces_read.push(piece);
        }
        match part.next.filter(|next| *next > from && bytes < most) {
            Some(next) => from = next,
            None => {
                let proved = verifier.end();
                return Ok(Fetched {
                    session: part.session,
                    pieces_read,
                    pieces: proved.chunks,
                    digest: proved.digest.to_string(),
                    fault,
                    logged_at: part.logged_at,
                });
            }
        }
    }
}

fn check(verifier: &mut Verifier, piece: &RecordingPiece) -> Result<(), String> {
    let digest =
        Digest::parse(&piece.digest).ok_or_else(|| format!("piece {} has no digest", piece.sequence))?;
    let plain = piece.cast.clone().into_bytes();
    let chunk = Chunk { sequence: piece.sequence, is_last: piece.last, plain, digest };
    verifier.take(&chunk).map_err(|fault| fault.to_string())
}

impl Fetched {
    /// All lines.
    pub(super) fn cast(&self) -> Vec<u8> {
        self.pieces_read.iter().flat_map(|piece| piece.cast.bytes()).collect()
    }

    /// How many bytes those are.
    pub(super) fn cast_bytes(&self) -> u64 {
        self.pieces_read.iter().map(|piece| piece.cast.len() as u64).sum()
    }

    /// The events.
    pub(super) fn events(&self) -> Result<Vec<Event>, Failure> {
        let cast = self.cast();
        let unreadable = |error: gateway_recording::CastError| Failure::new(Exit::Failed, error);
        let (_, rest) = header(&cast).map_err(unreadable)?;
        events(rest, Duration::ZERO).map_err(unreadable)
    }
}
