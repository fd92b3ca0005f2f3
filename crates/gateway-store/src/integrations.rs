//! Credentials with which other services are asked and told, given while the gateway runs, and how the last look at
//! each service ended. What a credential looks like is not known here.

use std::fmt;
use std::sync::Arc;

use gateway_types::{Secret, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{moment, storable};
use crate::sealing::Sealer;
use crate::store::Core;

/// What the credentials are sealed for.
pub(crate) const SEALING_KEY: &str = "integration-sealing/v1";

/// The credentials for one service.
#[derive(Clone)]
pub struct Integration {
    /// Which service.
    pub kind: String,
    /// The credentials, as they were given to [`Integrations::set`]; `None` when they do not open.
    pub credentials: Option<Secret<Vec<u8>>>,
    /// What a change is compared against. Never given out twice, also not after a removal.
    pub version: i64,
    /// Who wrote it, as a display name.
    pub updated_by: String,
    /// When.
    pub updated: Timestamp,
}

impl fmt::Debug for Integration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Integration")
            .field("kind", &self.kind)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// How the last look at a service ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct IntegrationTest {
    /// Which service.
    pub kind: String,
    /// Whether it let the gateway in.
    pub good: bool,
    /// What it said, for people; without secrets.
    pub said: String,
    /// Who looked, as a display name.
    pub tested_by: String,
    /// When.
    pub tested: Timestamp,
}

/// The credentials for other services.
#[derive(Clone, Debug)]
pub struct Integrations {
    pub(crate) core: Arc<Core>,
    pub(crate) sealer: Arc<Sealer>,
}

impl Integrations {
    /// All of them, by kind. One that does not open is there without its credentials.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self) -> Result<Vec<Integration>, StoreError> {
        let rows = sqlx::query(
            "SELECT kind, sealed, key_id, version, updated_by, updated FROM integrations ORDER BY kind",
        )
        .fetch_all(self.core.database.pool())
        .await?;
        rows.iter().map(|row| self.integration(row)).collect()
    }

    /// Keeps credentials, if there are those of `expected_version`; `None` = if there are none.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when they have another version, are there, or are gone.
    pub async fn set(
        &self,
        kind: &str,
        credentials: &Secret<Vec<u8>>,
        expected_version: Option<i64>,
        updated_by: &str,
    ) -> Result<Integration, StoreError> {
        storable("the kind", kind)?;
        storable("the actor", updated_by)?;
        let sealed = self.sealer.seal(credentials, &owner(kind), &*self.core.entropy)?;
        let now = self.core.clock.now();
        let (mut tx, version) = self.core.database.begin_change().await?;
        let statement = match expected_version {
            None => sqlx::query(
                "INSERT INTO integrations (kind, sealed, key_id, version, updated_by, updated) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (kind) DO NOTHING",
            ),
            Some(_) => sqlx::query(
                "UPDATE integrations SET sealed = $2, key_id = $3, version = $4, updated_by = $5, updated = $6 \
                 WHERE kind = $1 AND version = $7",
            ),
        };
        let statement = statement
            .bind(kind.to_owned())
            .bind(sealed)
            .bind(self.sealer.key_id().to_owned())
            .bind(version)
            .bind(updated_by.to_owned())
            .bind(now.micros());
        let statement = match expected_version {
            None => statement,
            Some(expected) => statement.bind(expected),
        };
        let changed = statement.execute(tx.connection()).await?.rows_affected() > 0;
        self.core.changes.commit_if(tx, version, changed).await?;
        Ok(Integration {
            kind: kind.to_owned(),
            credentials: Some(credentials.clone()),
            version,
            updated_by: updated_by.to_owned(),
            updated: now,
        })
    }

    /// Forgets credentials, if they still have `expected_version`.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when they have another version or are gone.
    pub async fn remove(&self, kind: &str, expected_version: i64) -> Result<(), StoreError> {
        storable("the kind", kind)?;
        let (mut tx, version) = self.core.database.begin_change().await?;
        let removed = sqlx::query("DELETE FROM integrations WHERE kind = $1 AND version = $2")
            .bind(kind.to_owned())
            .bind(expected_version)
            .execute(tx.connection())
            .await?;
        self.core.changes.commit_if(tx, version, removed.rows_affected() > 0).await
    }

    /// How the last look at each service ended, by kind.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn tests(&self) -> Result<Vec<IntegrationTest>, StoreError> {
        let rows =
            sqlx::query("SELECT kind, good, said, tested_by, tested FROM integration_tests ORDER BY kind")
                .fetch_all(self.core.database.pool())
                .await?;
        let read = |row: &AnyRow| {
            Ok(IntegrationTest {
                kind: row.try_get("kind")?,
                good: row.try_get::<i64, _>("good")? != 0,
                said: row.try_get("said")?,
                tested_by: row.try_get("tested_by")?,
                tested: moment(row, "tested")?,
            })
        };
        rows.iter().map(read).collect()
    }

    /// Keeps how a look at a service ended, in the place of the one before.
    ///
    /// # Errors
    /// [`StoreError::NotStorable`], or when the database cannot be written.
    pub async fn keep_test(&self, test: &IntegrationTest) -> Result<(), StoreError> {
        for (field, text) in
            [("the kind", &test.kind), ("what was said", &test.said), ("the actor", &test.tested_by)]
        {
            storable(field, text)?;
        }
        let _turn = self.core.database.write_turn().await;
        sqlx::query(
            "INSERT INTO integration_tests (kind, good, said, tested_by, tested) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (kind) DO UPDATE SET good = excluded.good, said = excluded.said, \
             tested_by = excluded.tested_by, tested = excluded.tested",
        )
        .bind(test.kind.clone())
        .bind(i64::from(test.good))
        .bind(test.said.clone())
        .bind(test.tested_by.clone())
        .bind(test.tested.micros())
        .execute(self.core.database.pool())
        .await?;
        Ok(())
    }

    fn integration(&self, row: &AnyRow) -> Result<Integration, StoreError> {
        let kind: String = row.try_get("kind")?;
        let (sealed, key_id): (String, String) = (row.try_get("sealed")?, row.try_get("key_id")?);
        let credentials = self.sealer.open(&sealed, &key_id, &owner(&kind)).ok();
        Ok(Integration {
            kind,
            credentials,
            version: row.try_get("version")?,
            updated_by: row.try_get("updated_by")?,
            updated: moment(row, "updated")?,
        })
    }
}

fn owner(kind: &str) -> String {
    format!("integration:{kind}")
}

/// The same of a whole row.
pub(crate) fn owner_of(row: &AnyRow) -> Result<String, StoreError> {
    Ok(owner(&row.try_get::<String, _>("kind")?))
}
