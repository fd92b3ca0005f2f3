//! Where Slack was told of approvals, and which of its requests were taken. What the messages say is not known here.

use std::sync::Arc;

use gateway_types::{ApprovalId, Timestamp};
use sqlx::Row;

use crate::error::StoreError;
use crate::row::storable;
use crate::secrets::sha256_hex;
use crate::store::Core;

/// The first message about an approval.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SlackMessage {
    /// The id of the channel that it is in.
    pub channel: String,
    /// Its id in that channel.
    pub ts: String,
    /// The state that its thread told last.
    pub replied: String,
    /// The state that it tells itself.
    pub shown: String,
}

/// What is known of Slack.
#[derive(Clone, Debug)]
pub struct SlackMessages {
    pub(crate) core: Arc<Core>,
}

impl SlackMessages {
    /// The first message about an approval; `None` while there is none.
    ///
    /// # Errors
    /// Only when the database cannot be read.
    pub async fn of_approval(&self, approval: ApprovalId) -> Result<Option<SlackMessage>, StoreError> {
        let row =
            sqlx::query("SELECT channel, ts, replied, shown FROM slack_messages WHERE approval_id = $1")
                .bind(approval.to_string())
                .fetch_optional(self.core.database.pool())
                .await?;
        let Some(row) = row else { return Ok(None) };
        Ok(Some(SlackMessage {
            channel: row.try_get("channel")?,
            ts: row.try_get("ts")?,
            replied: row.try_get("replied")?,
            shown: row.try_get("shown")?,
        }))
    }

    /// Keeps where the message about an approval is and what it tells, in the place of what was kept before.
    ///
    /// # Errors
    /// [`StoreError::NotStorable`], or when the database cannot be written.
    pub async fn keep(&self, approval: ApprovalId, message: &SlackMessage) -> Result<(), StoreError> {
        for (field, text) in [
            ("the channel", &message.channel),
            ("the message's id", &message.ts),
            ("the state", &message.replied),
            ("the state", &message.shown),
        ] {
            storable(field, text)?;
        }
        let _turn = self.core.database.write_turn().await;
        sqlx::query(
            "INSERT INTO slack_messages (approval_id, channel, ts, replied, shown) VALUES ($1, $2, $3, $4, $5) \
             ON CONFLICT (approval_id) DO UPDATE SET channel = excluded.channel, ts = excluded.ts, \
             replied = excluded.replied, shown = excluded.shown",
        )
        .bind(approval.to_string())
        .bind(message.channel.clone())
        .bind(message.ts.clone())
        .bind(message.replied.clone())
        .bind(message.shown.clone())
        .execute(self.core.database.pool())
        .await?;
        Ok(())
    }

    /// Takes a request of Slack's by its signature, which is good until `expires`; says whether this is the first time.
    /// Of any number of instances one takes it.
    ///
    /// # Errors
    /// Only when the database cannot be written.
    pub async fn take_request(&self, signature: &str, expires: Timestamp) -> Result<bool, StoreError> {
        let now = self.core.clock.now();
        let _turn = self.core.database.write_turn().await;
        sqlx::query("DELETE FROM slack_requests WHERE expires < $1")
            .bind(now.micros())
            .execute(self.core.database.pool())
            .await?;
        let done = sqlx::query(
            "INSERT INTO slack_requests (digest, expires) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING",
        )
        .bind(sha256_hex(signature.as_bytes()))
        .bind(expires.micros())
        .execute(self.core.database.pool())
        .await?;
        Ok(done.rows_affected() > 0)
    }
}
