//! Who is at a session besides the person whose it is: watching, or as the second person without whom it does not go
//! on. Whoever is there gives signs of life; the instance that holds the session looks at them.

use gateway_types::{RecordingId, UserId};
use sqlx::Row;
use sqlx::any::AnyRow;

use super::Recordings;
use crate::error::StoreError;
use crate::row::{parsed, storable};
use crate::statement::Statement;

/// How old a sign of life may be, in microseconds by the database's clock.
const STALE_MICROS: i64 = 10_000_000;

/// What somebody is at a session for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// To watch.
    Watch,
    /// As its second person.
    Second,
}

/// Somebody who is at a session of this instance now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Companion {
    /// Which session.
    pub recording: RecordingId,
    /// Who, as an id.
    pub who: String,
    /// Who, as a name to show.
    pub name: String,
    /// What for.
    pub part: Part,
}

impl Recordings {
    /// Somebody joins a session that wants a second person.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] when it is over or wants none.
    pub async fn join(&self, id: RecordingId, user: UserId, name: &str) -> Result<(), StoreError> {
        storable("the name", name)?;
        let now = self.core.database.now_sql();
        let mut tx = self.core.database.begin().await?;
        let mut insert = Statement::new(
            "INSERT INTO session_company (recording_id, who, name, part, since, beat) SELECT id, ",
        );
        insert.text(&user.to_string()).sql(", ").text(name).sql(", 'second', ");
        insert.number(self.core.clock.now().micros()).sql(", ").sql(now);
        insert.sql(" FROM recordings WHERE state = 'live' AND second IS NOT NULL AND id = ");
        insert.text(&id.to_string());
        insert.sql(" ON CONFLICT (recording_id, who) DO UPDATE SET part = 'second', beat = ").sql(now);
        let joined = insert.query().execute(tx.connection()).await?.rows_affected();
        tx.commit().await?;
        if joined == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }

    /// Somebody is still there: to watch, unless they joined.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn attend(&self, id: RecordingId, who: &str, name: &str) -> Result<(), StoreError> {
        storable("the name", name)?;
        let now = self.core.database.now_sql();
        let mut insert = Statement::new(
            "INSERT INTO session_company (recording_id, who, name, part, since, beat) VALUES (",
        );
        insert.text(&id.to_string()).sql(", ").text(who).sql(", ").text(name).sql(", 'watch', ");
        insert.number(self.core.clock.now().micros()).sql(", ").sql(now);
        insert.sql(") ON CONFLICT (recording_id, who) DO UPDATE SET beat = ").sql(now);
        let _turn = self.core.database.write_turn().await;
        insert.query().execute(self.core.database.pool()).await?;
        Ok(())
    }

    /// Everybody who is at a session of this instance now.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn company(&self) -> Result<Vec<Companion>, StoreError> {
        let mut select = Statement::new(
            "SELECT c.recording_id AS recording_id, c.who AS who, c.name AS name, c.part AS part \
             FROM session_company c JOIN recordings r ON r.id = c.recording_id WHERE r.state = 'live' AND r.run_id = ",
        );
        select.text(self.run()).sql(" AND c.beat > ").sql(self.core.database.now_sql());
        select.sql(" - ").number(STALE_MICROS).sql(" ORDER BY c.since, c.who");
        let rows = select.query().fetch_all(self.core.database.pool()).await?;
        rows.iter().map(companion).collect()
    }

    /// The second person of a session is there.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub async fn accompanied(&self, id: RecordingId) -> Result<(), StoreError> {
        let _turn = self.core.database.write_turn().await;
        sqlx::query("UPDATE recordings SET second = 'there' WHERE id = $1")
            .bind(id.to_string())
            .execute(self.core.database.pool())
            .await?;
        Ok(())
    }
}

fn companion(row: &AnyRow) -> Result<Companion, StoreError> {
    let part = match row.try_get::<String, _>("part")?.as_str() {
        "watch" => Part::Watch,
        "second" => Part::Second,
        _ => return Err(StoreError::Corrupt { what: "company of a session" }),
    };
    Ok(Companion {
        recording: parsed(row, "recording_id", "id of a recording")?,
        who: row.try_get("who")?,
        name: row.try_get("name")?,
        part,
    })
}
