//! What others said of a deploy, and what became of telling them: for people, never for a decision.

use gateway_types::{ApprovalId, Timestamp};
use sqlx::Row;

use super::Approvals;
use crate::error::StoreError;
use crate::row::{moment, storable};

/// Something that was found out, or told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What it is about: a demand, or something that was told.
    pub what: String,
    /// Whether it is as it should be.
    pub good: bool,
    /// What was found, for people.
    pub said: String,
    /// Where people see it.
    pub url: Option<String>,
}

/// A finding as it is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptFinding {
    /// Who found it out: `evidence`, or the service that was told.
    pub source: String,
    /// What.
    pub finding: Finding,
    /// When.
    pub found: Timestamp,
}

impl Approvals {
    /// Keeps what `source` found of an approval now, in the place of what it found before.
    ///
    /// # Errors
    /// [`StoreError::NotStorable`], or when the database cannot be written.
    pub async fn keep_findings(
        &self,
        approval: ApprovalId,
        source: &str,
        findings: &[Finding],
    ) -> Result<(), StoreError> {
        for finding in findings {
            storable("what was found", &finding.said)?;
            storable("what was looked at", &finding.what)?;
        }
        let now = self.core.clock.now();
        let mut tx = self.core.database.begin().await?;
        sqlx::query("DELETE FROM approval_findings WHERE approval_id = $1 AND source = $2")
            .bind(approval.to_string())
            .bind(source.to_owned())
            .execute(tx.connection())
            .await?;
        for (finding, position) in findings.iter().zip(0_i64..) {
            sqlx::query(
                "INSERT INTO approval_findings (approval_id, source, position, what, good, said, url, found) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            )
            .bind(approval.to_string())
            .bind(source.to_owned())
            .bind(position)
            .bind(finding.what.clone())
            .bind(i64::from(finding.good))
            .bind(finding.said.clone())
            .bind(finding.url.clone())
            .bind(now.micros())
            .execute(tx.connection())
            .await?;
        }
        tx.commit().await
    }

    /// What was found of an approval, by source.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn findings(&self, approval: ApprovalId) -> Result<Vec<KeptFinding>, StoreError> {
        let rows = sqlx::query(
            "SELECT source, what, good, said, url, found FROM approval_findings WHERE approval_id = $1 \
             ORDER BY source, position",
        )
        .bind(approval.to_string())
        .fetch_all(self.core.database.pool())
        .await?;
        let read = |row: &sqlx::any::AnyRow| {
            Ok(KeptFinding {
                source: row.try_get("source")?,
                finding: Finding {
                    what: row.try_get("what")?,
                    good: row.try_get::<i64, _>("good")? != 0,
                    said: row.try_get("said")?,
                    url: row.try_get("url")?,
                },
                found: moment(row, "found")?,
            })
        };
        rows.iter().map(read).collect()
    }
}
