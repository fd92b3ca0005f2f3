//! What vantage points last saw, for whichever instance hears of them next, and what the gateway tried at services of its
//! zone. What it means is not known here.

use std::net::IpAddr;
use std::sync::Arc;

use gateway_types::Timestamp;
use sqlx::Row as _;
use sqlx::any::AnyRow;

use crate::error::StoreError;
use crate::row::{moment, storable};
use crate::store::Core;

/// A place from which it is looked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VantagePoint {
    /// Its name.
    pub name: String,
    /// Whose it is: nobody else reports in its name.
    pub reporter: String,
    /// How whoever reports is called for people.
    pub reporter_name: String,
    /// When it last reported.
    pub reported: Timestamp,
    /// How often it was written.
    pub revision: i64,
    /// What it saw, as JSON.
    pub seen: String,
}

/// Connections without an identity that the gateway itself tried at a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZoneKnock {
    /// The service.
    pub service: String,
    /// From which address.
    pub source: IpAddr,
    /// How many of which nobody has told yet.
    pub tries: u64,
    /// When it last did.
    pub at: Timestamp,
}

/// Vantage points in the database.
#[derive(Clone, Debug)]
pub struct VantagePoints {
    pub(crate) core: Arc<Core>,
}

impl VantagePoints {
    /// All of them, by name.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn list(&self) -> Result<Vec<VantagePoint>, StoreError> {
        let rows = sqlx::query("SELECT * FROM vantage_points ORDER BY name")
            .fetch_all(self.core.database.pool())
            .await?;
        rows.iter().map(point).collect()
    }

    /// The one of this name.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn one(&self, name: &str) -> Result<Option<VantagePoint>, StoreError> {
        let row = sqlx::query("SELECT * FROM vantage_points WHERE name = $1")
            .bind(name.to_owned())
            .fetch_optional(self.core.database.pool())
            .await?;
        row.as_ref().map(point).transpose()
    }

    /// Keeps what was seen, as one revision more than what was read; a revision of 0 is a new point.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when somebody else wrote it meanwhile.
    pub async fn keep(&self, point: &VantagePoint) -> Result<(), StoreError> {
        for (field, text) in [
            ("the name of a vantage point", &point.name),
            ("who reports", &point.reporter),
            ("who reports", &point.reporter_name),
            ("what was seen", &point.seen),
        ] {
            storable(field, text)?;
        }
        let sql = match point.revision {
            0 => {
                "INSERT INTO vantage_points (name, reporter, reporter_name, reported, seen, revision) \
                 VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (name) DO NOTHING"
            }
            _ => {
                "UPDATE vantage_points SET reporter = $2, reporter_name = $3, reported = $4, seen = $5, \
                 revision = $6 WHERE name = $1 AND revision = $6 - 1"
            }
        };
        let kept = sqlx::query(sql)
            .bind(point.name.clone())
            .bind(point.reporter.clone())
            .bind(point.reporter_name.clone())
            .bind(point.reported.micros())
            .bind(point.seen.clone())
            .bind(point.revision.saturating_add(1))
            .execute(self.core.database.pool())
            .await?;
        if kept.rows_affected() == 0 { Err(StoreError::Conflict) } else { Ok(()) }
    }

    /// Forgets one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub async fn remove(&self, name: &str) -> Result<(), StoreError> {
        let removed = sqlx::query("DELETE FROM vantage_points WHERE name = $1")
            .bind(name.to_owned())
            .execute(self.core.database.pool())
            .await?;
        if removed.rows_affected() == 0 { Err(StoreError::NotFound) } else { Ok(()) }
    }

    /// Notes what the gateway is about to try at a service. What it tried there before and nobody has told of yet still counts, when
    /// it was after `since`, from the same address, and less than ten times as much.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn note_knock(&self, knock: &ZoneKnock, since: Timestamp) -> Result<(), StoreError> {
        storable("the name of a service", &knock.service)?;
        sqlx::query(
            "INSERT INTO zone_knocks (service, source, tries, at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (service) DO UPDATE SET tries = CASE WHEN zone_knocks.source = excluded.source \
             AND zone_knocks.at >= $5 AND zone_knocks.tries < 10 * excluded.tries \
             THEN zone_knocks.tries + excluded.tries ELSE excluded.tries END, \
             source = excluded.source, at = excluded.at",
        )
        .bind(knock.service.clone())
        .bind(knock.source.to_string())
        .bind(i64::try_from(knock.tries).unwrap_or(i64::MAX))
        .bind(knock.at.micros())
        .bind(since.micros())
        .execute(self.core.database.pool())
        .await?;
        Ok(())
    }

    /// Takes so many tries at a service away, since they were told of. Whether there were as many.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn spend_knocks(&self, service: &str, tries: u64) -> Result<bool, StoreError> {
        let spent =
            sqlx::query("UPDATE zone_knocks SET tries = tries - $2 WHERE service = $1 AND tries >= $2")
                .bind(service.to_owned())
                .bind(i64::try_from(tries).unwrap_or(i64::MAX))
                .execute(self.core.database.pool())
                .await?;
        Ok(spent.rows_affected() > 0)
    }

    /// What the gateway last tried at a service.
    ///
    /// # Errors
    /// When the database cannot be read, or holds what cannot be used.
    pub async fn knock(&self, service: &str) -> Result<Option<ZoneKnock>, StoreError> {
        let row = sqlx::query("SELECT * FROM zone_knocks WHERE service = $1")
            .bind(service.to_owned())
            .fetch_optional(self.core.database.pool())
            .await?;
        let Some(row) = row else { return Ok(None) };
        let corrupt = || StoreError::Corrupt { what: "try at a service of the zone" };
        let source: String = row.try_get("source")?;
        let tries: i64 = row.try_get("tries")?;
        Ok(Some(ZoneKnock {
            service: row.try_get("service")?,
            source: source.parse().map_err(|_bad| corrupt())?,
            tries: u64::try_from(tries).map_err(|_negative| corrupt())?,
            at: moment(&row, "at")?,
        }))
    }
}

fn point(row: &AnyRow) -> Result<VantagePoint, StoreError> {
    Ok(VantagePoint {
        name: row.try_get("name")?,
        reporter: row.try_get("reporter")?,
        reporter_name: row.try_get("reporter_name")?,
        reported: moment(row, "reported")?,
        revision: row.try_get("revision")?,
        seen: row.try_get("seen")?,
    })
}
