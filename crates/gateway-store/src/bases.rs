//! Which releases were last served to a credential for an app: what an environment that it posts
//! whole was based on, since the client does not say (DESIGN 6.1). What is done with a base is not known here.

use std::sync::Arc;
use std::time::Duration;

use gateway_types::{EventId, Timestamp};
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AssertSqlSafe, Row};

use crate::error::StoreError;
use crate::row::storable;
use crate::store::Core;

/// How long a base is remembered. Somebody may leave an editor open over lunch.
pub const BASE_LIFETIME: Duration = Duration::from_secs(24 * 3600);

/// How long after a list of one release a read of that release counts as of the newest. The client
/// sends both within milliseconds; a roll-back reads a release without the list before it.
pub const LIST_LIFETIME: Duration = Duration::from_secs(10);

/// How many bases of one credential and app are told.
const MOST_BASES: i64 = 32;

/// How many reads of one credential and app are remembered. A base that is forgotten although its
/// write is still to come is somebody's change undone, so there is room for many clients at once.
const MOST_READS: i64 = 512;

/// A release that was served, perhaps several times.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServedBase {
    credential: String,
    app: String,
    /// The release.
    pub release: String,
    /// It was served as the newest one, as before a change; otherwise it was asked for by its id, as
    /// before a roll-back.
    pub newest: bool,
}

/// The remembered bases.
#[derive(Clone, Debug)]
pub struct Bases {
    pub(crate) core: Arc<Core>,
}

impl Bases {
    /// Notes that a list of one release named `release` as the newest.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn listed(
        &self,
        credential: &str,
        app: &str,
        release: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        self.insert(credential, app, "listed", release, false, now).await
    }

    /// Notes that `release` was read whole; right after a list that named it, it is the newest.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn read(
        &self,
        credential: &str,
        app: &str,
        release: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let newest = self.take_listed(credential, app, release, now).await?;
        self.insert(credential, app, "read", release, newest, now).await
    }

    /// The releases that were read, last read first; each once, however often it was read.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn served(&self, credential: &str, app: &str) -> Result<Vec<ServedBase>, StoreError> {
        if storable("the credential id", credential).and(storable("the app", app)).is_err() {
            return Ok(Vec::new());
        }
        let rows = sqlx::query(
            "SELECT release_id, newest FROM served_bases \
             WHERE credential_id = $1 AND app = $2 AND kind = 'read' AND served >= $3 \
             GROUP BY release_id, newest ORDER BY max(served) DESC, max(id) DESC LIMIT $4",
        )
        .bind(credential.to_owned())
        .bind(app.to_owned())
        .bind(before(self.core.clock.now(), BASE_LIFETIME))
        .bind(MOST_BASES)
        .fetch_all(self.core.database.pool())
        .await?;
        rows.iter().map(|row| base(row, credential, app)).collect()
    }

    /// Forgets the last read of a base, because a write was made of it. True if there was one: of
    /// several that ask at once, each is told so for a read of its own.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn consume(&self, base: &ServedBase) -> Result<bool, StoreError> {
        let wanted = Wanted {
            credential: &base.credential,
            app: &base.app,
            kind: "read",
            release: &base.release,
            newest: base.newest,
            since: 0,
            order: "served DESC, id DESC",
        };
        self.take_one(&wanted).await
    }

    async fn take_listed(
        &self,
        credential: &str,
        app: &str,
        release: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let since = before(now, LIST_LIFETIME);
        let order = "served, id";
        self.take_one(&Wanted { credential, app, kind: "listed", release, newest: false, since, order }).await
    }

    /// Deletes one row of those that are wanted; false when there is none.
    ///
    /// On PostgreSQL, two that ask at once may choose the same row, and the later one then deletes
    /// nothing though there are others: it asks again. Each such turn somebody else has taken a row, so
    /// the turns end with the rows.
    async fn take_one(&self, wanted: &Wanted<'_>) -> Result<bool, StoreError> {
        let _turn = self.core.database.write_turn().await;
        let matching = "WHERE credential_id = $1 AND app = $2 AND kind = $3 AND release_id = $4 \
             AND newest = $5 AND served >= $6";
        let delete = format!(
            "DELETE FROM served_bases WHERE id IN \
             (SELECT id FROM served_bases {matching} ORDER BY {} LIMIT 1)",
            wanted.order
        );
        let look = format!("SELECT id FROM served_bases {matching} LIMIT 1");
        loop {
            let deleted = wanted.bound(&delete).execute(self.core.database.pool()).await?;
            if deleted.rows_affected() == 1 {
                return Ok(true);
            }
            if wanted.bound(&look).fetch_optional(self.core.database.pool()).await?.is_none() {
                return Ok(false);
            }
        }
    }

    async fn insert(
        &self,
        credential: &str,
        app: &str,
        kind: &str,
        release: &str,
        newest: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        for (field, text) in [("the credential id", credential), ("the app", app), ("the release", release)] {
            storable(field, text)?;
        }
        let id = EventId::new(now, &*self.core.entropy).to_string();
        let _turn = self.core.database.write_turn().await;
        sqlx::query(
            "INSERT INTO served_bases (id, credential_id, app, kind, release_id, newest, served) \
             VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(id)
        .bind(credential.to_owned())
        .bind(app.to_owned())
        .bind(kind.to_owned())
        .bind(release.to_owned())
        .bind(i64::from(newest))
        .bind(now.micros())
        .execute(self.core.database.pool())
        .await?;
        self.prune(credential, app, now).await
    }

    /// Forgets what is too old, of whomever, and what this credential has so many newer ones of that
    /// it would never be told: one that lists or reads all day fills nothing.
    async fn prune(&self, credential: &str, app: &str, now: Timestamp) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM served_bases WHERE served < $1 OR (kind = 'listed' AND served < $2)")
            .bind(before(now, BASE_LIFETIME))
            .bind(before(now, LIST_LIFETIME))
            .execute(self.core.database.pool())
            .await?;
        sqlx::query(
            "DELETE FROM served_bases WHERE credential_id = $1 AND app = $2 AND id NOT IN \
             (SELECT id FROM served_bases WHERE credential_id = $1 AND app = $2 \
             ORDER BY served DESC, id DESC LIMIT $3)",
        )
        .bind(credential.to_owned())
        .bind(app.to_owned())
        .bind(MOST_READS)
        .execute(self.core.database.pool())
        .await?;
        Ok(())
    }
}

/// Which row is to be taken.
struct Wanted<'a> {
    credential: &'a str,
    app: &'a str,
    kind: &'static str,
    release: &'a str,
    newest: bool,
    since: i64,
    /// Which of several: a fixed text, never a caller's.
    order: &'static str,
}

impl Wanted<'_> {
    fn bound(&self, statement: &str) -> Query<'static, Any, AnyArguments> {
        // The statement is put together from fixed texts only.
        sqlx::query(AssertSqlSafe(statement.to_owned()))
            .bind(self.credential.to_owned())
            .bind(self.app.to_owned())
            .bind(self.kind.to_owned())
            .bind(self.release.to_owned())
            .bind(i64::from(self.newest))
            .bind(self.since)
    }
}

fn base(row: &AnyRow, credential: &str, app: &str) -> Result<ServedBase, StoreError> {
    Ok(ServedBase {
        credential: credential.to_owned(),
        app: app.to_owned(),
        release: row.try_get(0)?,
        newest: row.try_get::<i64, _>(1)? != 0,
    })
}

fn before(now: Timestamp, lifetime: Duration) -> i64 {
    now.micros().saturating_sub(i64::try_from(lifetime.as_micros()).unwrap_or(i64::MAX))
}
