//! Sessions in the rack: which there are, on whichever instance, and the sealed pieces of what was recorded of them.
//! What a session is, who may see one and what becomes of a gap is not known here.
//!
//! Each recording has a key of its own, which is sealed like every other long-lived secret. So exchanging
//! `APP_SECRET_KEY` touches one row of each recording and none of its pieces.

mod company;
mod listing;

use std::sync::Arc;

use gateway_recording::{Chunk, Digest};
use gateway_types::{RecordingId, RequestId, Secret, Timestamp, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::storable;
use crate::sealing::{PieceSealer, Sealer};
use crate::statement::Statement;
use crate::store::Core;

pub use company::{Companion, Part};
pub use listing::{RecordedSession, RecordingFilter, SecondPerson, SessionState, StopOrder};

/// What the keys of recordings are sealed with.
pub(crate) const SEALING_KEY: &str = "recording-sealing/v1";

/// How many chunks are read at once at most: 2 MiB or so.
pub const CHUNKS_AT_ONCE: u32 = 32;

/// A session that begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewRecording {
    /// Its id.
    pub id: RecordingId,
    /// The request that it began with.
    pub request_id: RequestId,
    /// The operation.
    pub action: String,
    /// Which app, when it is in one.
    pub app: Option<String>,
    /// What it is in: a process, a resource, an instance.
    pub target: String,
    /// The command, masked.
    pub command: Option<String>,
    /// Which person.
    pub user: Option<UserId>,
    /// The shown name of whoever it is of.
    pub actor: String,
    /// From where.
    pub source_ip: String,
    /// The name of how it is recorded.
    pub mode: &'static str,
    /// It begins only when a second person is there.
    pub wants_second: bool,
}

/// The sessions of this gateway.
#[derive(Clone, Debug)]
pub struct Recordings {
    pub(crate) core: Arc<Core>,
    pub(crate) sealer: Arc<Sealer>,
}

/// A recording that is being written.
#[derive(Debug)]
pub struct OpenRecording {
    core: Arc<Core>,
    id: RecordingId,
    sealer: PieceSealer,
    plain_bytes: i64,
}

fn owner(id: &str) -> String {
    format!("recording:{id}")
}

pub(crate) fn owner_of(row: &AnyRow) -> Result<String, StoreError> {
    Ok(owner(&row.try_get::<String, _>("id")?))
}

fn column(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_large| StoreError::OutOfRange { field: "a number of a recording" })
}

impl Recordings {
    /// Notes that a session begins, here.
    ///
    /// # Errors
    /// [`StoreError::NotStorable`], or when the database cannot be written.
    pub async fn begin(&self, new: NewRecording) -> Result<OpenRecording, StoreError> {
        for (field, text) in [
            ("the target", new.target.as_str()),
            ("the app", new.app.as_deref().unwrap_or_default()),
            ("the command", new.command.as_deref().unwrap_or_default()),
            ("the name", &new.actor),
        ] {
            storable(field, text)?;
        }
        let mut key = vec![0u8; PieceSealer::KEY_BYTES];
        self.core.entropy.fill(&mut key);
        let key = Secret::new(key);
        let sealed = self.sealer.seal(&key, &owner(&new.id.to_string()), &*self.core.entropy)?;
        let run = self.core.run_id.get().map_or("", String::as_str);
        let mut insert = Statement::new(
            "INSERT INTO recordings (id, run_id, request_id, action, app, target, command, user_id, actor, \
             source_ip, mode, state, began, chunks, plain_bytes, lost_bytes, digest, beat, second, key_id, sealed) VALUES (",
        );
        insert.text(&new.id.to_string()).sql(", ").text(run).sql(", ").text(&new.request_id.to_string());
        insert.sql(", ").text(&new.action).sql(", ").optional_text(new.app.as_deref());
        insert.sql(", ").text(&new.target).sql(", ").optional_text(new.command.as_deref());
        insert.sql(", ").optional_text(new.user.map(|user| user.to_string()).as_deref());
        insert.sql(", ").text(&new.actor).sql(", ").text(&new.source_ip).sql(", ").text(new.mode);
        insert.sql(", 'live', ").number(self.core.clock.now().micros()).sql(", 0, 0, 0, '', ");
        insert.sql(self.core.database.now_sql()).sql(", ");
        insert.optional_text(new.wants_second.then_some("waits")).sql(", ");
        insert.text(self.sealer.key_id()).sql(", ").text(&sealed).sql(")");
        let _turn = self.core.database.write_turn().await;
        insert.query().execute(self.core.database.pool()).await?;
        let sealer = PieceSealer::new(&key)?;
        Ok(OpenRecording { core: Arc::clone(&self.core), id: new.id, sealer, plain_bytes: 0 })
    }

    /// Pieces of a recording, from `from` on, at most [`CHUNKS_AT_ONCE`]. They are not verified.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Corrupt`] for a piece that does not open.
    pub async fn chunks(&self, id: RecordingId, from: u64) -> Result<Vec<Chunk>, StoreError> {
        let pool = self.core.database.pool();
        let row = sqlx::query("SELECT id, key_id, sealed FROM recordings WHERE id = $1")
            .bind(id.to_string())
            .fetch_optional(pool)
            .await?
            .ok_or(StoreError::NotFound)?;
        let (key_id, sealed): (String, String) = (row.try_get("key_id")?, row.try_get("sealed")?);
        let sealer = PieceSealer::new(&self.sealer.open(&sealed, &key_id, &owner_of(&row)?)?)?;
        let rows = sqlx::query(
            "SELECT sequence, is_last, digest, bytes FROM recording_chunks WHERE recording_id = $1 AND sequence >= $2 \
             ORDER BY sequence LIMIT $3",
        )
        .bind(id.to_string())
        .bind(column(from)?)
        .bind(i64::from(CHUNKS_AT_ONCE))
        .fetch_all(pool)
        .await?;
        rows.iter().map(|row| chunk(&sealer, id, row)).collect()
    }
}

fn piece_owner(id: RecordingId, sequence: u64) -> String {
    format!("recording:{id}:{sequence}")
}

fn chunk(sealer: &PieceSealer, id: RecordingId, row: &AnyRow) -> Result<Chunk, StoreError> {
    let corrupt = || StoreError::Corrupt { what: "piece of a recording" };
    let sequence = u64::try_from(row.try_get::<i64, _>("sequence")?).map_err(|_negative| corrupt())?;
    let packed = sealer.open(&row.try_get::<Vec<u8>, _>("bytes")?, &piece_owner(id, sequence))?;
    Ok(Chunk {
        sequence,
        is_last: row.try_get::<i64, _>("is_last")? != 0,
        plain: Chunk::unpack(&packed).map_err(|_damaged| corrupt())?,
        digest: Digest::parse(&row.try_get::<String, _>("digest")?).ok_or_else(corrupt)?,
    })
}

/// How a session ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionEnd<'a> {
    /// In one sentence.
    pub ending: &'a str,
    /// How many bytes of it are not in the recording.
    pub lost_bytes: u64,
}

impl OpenRecording {
    /// The id.
    pub const fn id(&self) -> RecordingId {
        self.id
    }

    /// Keeps a piece, sealed. May be called again with a piece whose fate is not known: it is kept once.
    ///
    /// # Errors
    /// When it could not be kept.
    pub async fn add(&mut self, chunk: &Chunk, lost_bytes: u64) -> Result<(), StoreError> {
        let packed = chunk.pack().map_err(|_full| StoreError::Crypto { doing: "packing" })?;
        let sealed = self.sealer.seal(packed, &piece_owner(self.id, chunk.sequence), &*self.core.entropy)?;
        let sequence = column(chunk.sequence)?;
        let plain_bytes = self.plain_bytes.saturating_add(column(chunk.plain.len() as u64)?);
        let mut tx = self.core.database.begin().await?;
        let mut insert = Statement::new(
            "INSERT INTO recording_chunks (recording_id, sequence, is_last, digest, bytes) VALUES (",
        );
        insert.text(&self.id.to_string()).sql(", ").number(sequence).sql(", ");
        insert.number(i64::from(chunk.is_last)).sql(", ").text(&chunk.digest.to_string()).sql(", ");
        insert.bytes(sealed).sql(") ON CONFLICT (recording_id, sequence) DO NOTHING");
        insert.query().execute(tx.connection()).await?;
        let mut update = Statement::new("UPDATE recordings SET chunks = ");
        update.number(sequence.saturating_add(1)).sql(", plain_bytes = ").number(plain_bytes);
        update.sql(", lost_bytes = ").number(column(lost_bytes)?).sql(", digest = ");
        update.text(&chunk.digest.to_string()).sql(", beat = ").sql(self.core.database.now_sql());
        update.sql(" WHERE id = ").text(&self.id.to_string());
        update.query().execute(tx.connection()).await?;
        tx.commit().await?;
        self.plain_bytes = plain_bytes;
        Ok(())
    }

    /// Notes that the session is over.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn end(&self, end: SessionEnd<'_>) -> Result<(), StoreError> {
        let ending = end.ending.replace('\0', "");
        let now: Timestamp = self.core.clock.now();
        let _turn = self.core.database.write_turn().await;
        sqlx::query(
            "UPDATE recordings SET state = 'ended', ended = $1, ending = $2, lost_bytes = $3 WHERE id = $4",
        )
        .bind(now.micros())
        .bind(ending)
        .bind(column(end.lost_bytes)?)
        .bind(self.id.to_string())
        .execute(self.core.database.pool())
        .await?;
        Ok(())
    }
}
