//! How many requests were decided, by day, action and verdict. The log is counted in pieces, each entry once, so that a chart over all of
//! it reads a small table and never the log.

use std::sync::Arc;

use gateway_types::{Decision, Timestamp};
use sqlx::Row;
use sqlx::any::AnyRow;

use crate::audit::{column, from_column, read_head, to_column};
use crate::audit_retention::AuditRetention;
use crate::error::StoreError;
use crate::events::MOST_SCANNED;
use crate::statement::Statement;
use crate::store::Core;

/// The most entries that are counted in one transaction.
pub const MOST_COUNTED: u64 = 10_000;

/// Microseconds of a day.
const DAY: i64 = 86_400_000_000;

/// How many requests had one verdict, of one action on one day.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditCount {
    /// The day, as its first moment.
    pub day: Timestamp,
    /// What was asked.
    pub action: String,
    /// Whether it was allowed.
    pub decision: Decision,
    /// How often.
    pub number: u64,
}

/// What was counted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AuditCounts {
    /// By day and action.
    pub counts: Vec<AuditCount>,
    /// From which entry on.
    pub from: u64,
    /// Up to which entry, which is not counted itself.
    pub to: u64,
}

/// The counts of the log.
#[derive(Clone, Debug)]
pub struct AuditTallies {
    pub(crate) core: Arc<Core>,
}

impl AuditTallies {
    /// Counts the next piece of the log; whether there is more.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn tend(&self) -> Result<bool, StoreError> {
        let size = read_head(&self.core.database).await?.head.size;
        let mut tx = self.core.database.begin().await?;
        // Written before it is read, so that two instances count one after the other.
        let row = sqlx::query("UPDATE audit_counted SET next = next WHERE id = 1 RETURNING next")
            .fetch_one(tx.connection())
            .await?;
        let next = from_column(row.try_get(0)?)?;
        let end = size.min(next.saturating_add(MOST_COUNTED));
        if next >= end {
            tx.rollback().await?;
            return Ok(false);
        }
        let mut statement =
            Statement::new("INSERT INTO audit_counts (day, action, decision, number) SELECT ");
        statement.sql("time / 86400000000, action, decision, count(*) FROM audit_leaves WHERE idx >= ");
        statement.number(to_column(next)?).sql(" AND idx < ").number(to_column(end)?);
        statement.sql(
            " AND decision IS NOT NULL GROUP BY time / 86400000000, action, decision \
             ON CONFLICT (day, action, decision) DO UPDATE SET number = audit_counts.number + excluded.number",
        );
        statement.query().execute(tx.connection()).await?;
        let mut moved = Statement::new("UPDATE audit_counted SET next = ");
        moved.number(to_column(end)?).sql(" WHERE id = 1");
        moved.query().execute(tx.connection()).await?;
        tx.commit().await?;
        Ok(end < size)
    }

    /// Everything that was counted of these days, whole days.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn of_all(
        &self,
        since: Option<Timestamp>,
        until: Option<Timestamp>,
    ) -> Result<AuditCounts, StoreError> {
        let mut statement =
            Statement::new("SELECT day, action, decision, number FROM audit_counts WHERE 1 = 1");
        if let Some(since) = since {
            statement.sql(" AND day >= ").number(since.micros().div_euclid(DAY));
        }
        if let Some(until) = until {
            statement.sql(" AND day * 86400000000 < ").number(until.micros());
        }
        let pool = self.core.database.pool();
        let rows = statement.query().fetch_all(pool).await?;
        let row = sqlx::query("SELECT next FROM audit_counted WHERE id = 1").fetch_one(pool).await?;
        let counts = rows.iter().map(count).collect::<Result<_, _>>()?;
        Ok(AuditCounts { counts, from: 0, to: from_column(row.try_get(0)?)? })
    }

    /// The same of one app or one actor, or of both together: counted now, among the newest [`MOST_SCANNED`] entries
    /// of the app, or else of the actor.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub async fn of_some(&self, app: Option<&str>, actor: Option<&str>) -> Result<AuditCounts, StoreError> {
        let size = read_head(&self.core.database).await?.head.size;
        let mut reach = Statement::new("SELECT idx FROM audit_leaves WHERE ");
        match (app, actor) {
            (Some(app), _) => reach.sql("app = ").text(&column(app)),
            (None, Some(actor)) => reach.sql("actor = ").text(&column(actor)),
            (None, None) => reach.sql("1 = 1"),
        };
        reach.sql(" ORDER BY idx DESC LIMIT 1 OFFSET ").number(to_column(MOST_SCANNED)?);
        let beyond = reach.query().fetch_optional(self.core.database.pool()).await?;
        let beyond = beyond.map(|row| from_column(row.try_get(0)?)).transpose()?;
        let kept = AuditRetention { core: Arc::clone(&self.core) }.first_kept().await?;
        let from = beyond.map_or(kept, |index| index.saturating_add(1).max(kept));
        let mut statement =
            Statement::new("SELECT time / 86400000000 AS day, action, decision, count(*) AS number ");
        statement.sql("FROM audit_leaves WHERE idx >= ").number(to_column(from)?);
        statement.sql(" AND idx < ").number(to_column(size)?).sql(" AND decision IS NOT NULL");
        if let Some(app) = app {
            statement.sql(" AND app = ").text(&column(app));
        }
        if let Some(actor) = actor {
            statement.sql(" AND actor = ").text(&column(actor));
        }
        statement.sql(" GROUP BY time / 86400000000, action, decision");
        let rows = statement.query().fetch_all(self.core.database.pool()).await?;
        let counts = rows.iter().map(count).collect::<Result<_, _>>()?;
        Ok(AuditCounts { counts, from, to: size })
    }
}

fn count(row: &AnyRow) -> Result<AuditCount, StoreError> {
    Ok(AuditCount {
        day: Timestamp::from_micros(row.try_get::<i64, _>("day")?.saturating_mul(DAY)),
        action: row.try_get("action")?,
        decision: match row.try_get::<String, _>("decision")?.as_str() {
            "allow" => Decision::Allow,
            "refuse" => Decision::Refuse,
            _ => return Err(StoreError::Corrupt { what: "verdict of the audit log" }),
        },
        number: from_column(row.try_get("number")?)?,
    })
}
