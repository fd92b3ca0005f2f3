//! Writes down when credentials were last used, off the request path and at most once a minute each.

use std::net::IpAddr;

use gateway_types::{Principal, Timestamp, WorkloadOrigin};
use tokio::sync::mpsc;

use crate::database::Database;
use crate::error::StoreError;

/// One use to be written down.
#[derive(Debug)]
pub(crate) struct Touch {
    what: Touched,
    from: Option<IpAddr>,
    at: Timestamp,
}

#[derive(Debug)]
enum Touched {
    Token(String),
    Session(String),
    Rule(String),
    Nothing,
}

impl Touch {
    pub(super) fn new(principal: &Principal, from: Option<IpAddr>, at: Timestamp) -> Touch {
        let what = match principal {
            Principal::ApiToken { id, .. } => Touched::Token(id.to_string()),
            Principal::User { session, .. } => Touched::Session(session.to_string()),
            Principal::Workload { name, origin, .. } => match origin {
                WorkloadOrigin::Exchange | WorkloadOrigin::Certificate => Touched::Rule(name.to_string()),
                // Each request of it is an event of its own.
                WorkloadOrigin::BreakGlass => Touched::Nothing,
            },
            Principal::Anonymous | Principal::AccessToken { .. } => Touched::Nothing,
        };
        Touch { what, from, at }
    }

    async fn write(self, database: &Database) -> Result<(), StoreError> {
        let _turn = database.write_turn().await;
        let (sql, id) = match self.what {
            Touched::Token(id) => (
                "UPDATE api_tokens SET last_used = $1, last_used_ip = COALESCE($2, last_used_ip) \
                 WHERE id = $3 AND (last_used IS NULL OR last_used < $1)",
                id,
            ),
            Touched::Rule(name) => (
                "UPDATE trust_rules SET last_used = $1, last_used_ip = COALESCE($2, last_used_ip) \
                 WHERE name = $3 AND (last_used IS NULL OR last_used < $1)",
                name,
            ),
            Touched::Session(id) => {
                // The address a session was opened from stays what it was.
                let sql = "UPDATE sessions SET last_seen = $1, last_ip = COALESCE($3, last_ip) \
                           WHERE id = $2 AND last_seen < $1";
                sqlx::query(sql)
                    .bind(self.at.micros())
                    .bind(id)
                    .bind(self.from.map(|ip| ip.to_string()))
                    .execute(database.pool())
                    .await?;
                return Ok(());
            }
            Touched::Nothing => return Ok(()),
        };
        sqlx::query(sql)
            .bind(self.at.micros())
            .bind(self.from.map(|ip| ip.to_string()))
            .bind(id)
            .execute(database.pool())
            .await?;
        Ok(())
    }
}

/// Writes uses down until the sender is gone.
pub(crate) async fn write_touches(database: Database, mut touches: mpsc::Receiver<Touch>) {
    while let Some(touch) = touches.recv().await {
        if let Err(error) = touch.write(&database).await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a use was not written down");
        }
    }
}
