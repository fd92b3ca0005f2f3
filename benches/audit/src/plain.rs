//! What is compared with: the same rows into a table of the same shape, in batches, without a log around them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use gateway_audit::Event;
use sqlx::any::install_default_drivers;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _};

use crate::events;
use crate::place::{Engine, Place};

/// As many as the log writes together under load.
const BATCH: usize = 256;
const COLUMNS: usize = 11;

/// Inserts for so long, each batch in a transaction of its own that is as durable as the log's; rows per second.
pub(crate) async fn rate(place: &Place, length: Duration) -> Result<f64> {
    install_default_drivers();
    let mut connection = AnyConnection::connect(&place.url).await?;
    let bytes = match place.engine {
        Engine::Sqlite => {
            for statement in ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"] {
                sqlx::query(statement).execute(&mut connection).await?;
            }
            "BLOB"
        }
        Engine::Postgres => "BYTEA",
    };
    for statement in shape(bytes) {
        sqlx::query(AssertSqlSafe(statement)).execute(&mut connection).await?;
    }
    // Made before: what is measured is the INSERT.
    let batch: Vec<(Event, Vec<u8>)> = (0..BATCH as u64)
        .map(|number| {
            let event = events::read(number);
            let leaf = event.to_leaf([7; 16])?;
            Ok((event, leaf.bytes))
        })
        .collect::<Result<_>>()?;
    let text = insert(place.engine);
    let (began, mut index) = (Instant::now(), 0i64);
    while began.elapsed() < length {
        let mut query = sqlx::query(AssertSqlSafe(text.clone()));
        for (event, bytes) in &batch {
            query = query
                .bind(index)
                .bind(index.to_be_bytes().repeat(4))
                .bind(bytes.clone())
                .bind(event.time.micros() + index)
                .bind(format!("{index:036}"))
                .bind(event.actor.name.clone())
                .bind(event.action.as_str().to_owned())
                .bind(event.resource.to_string())
                .bind(event.resource.app_name().map(str::to_owned))
                .bind("single")
                .bind("allow");
            index += 1;
        }
        let mut transaction = connection.begin().await?;
        query.execute(&mut *transaction).await?;
        transaction.commit().await?;
    }
    Ok(index as f64 / began.elapsed().as_secs_f64())
}

fn shape(bytes: &str) -> Vec<String> {
    let mut statements = vec![format!(
        "CREATE TABLE plain (idx BIGINT PRIMARY KEY, hash {bytes} NOT NULL, bytes {bytes} NOT NULL, \
         time BIGINT NOT NULL, request_id TEXT NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, \
         resource TEXT NOT NULL, app TEXT, phase TEXT NOT NULL, decision TEXT)"
    )];
    for columns in ["request_id", "actor, idx", "app, idx", "time", "action, idx"] {
        let name: String = columns.chars().filter(char::is_ascii_alphabetic).collect();
        statements.push(format!("CREATE INDEX plain_{name} ON plain ({columns})"));
    }
    statements
}

fn insert(engine: Engine) -> String {
    let mut text = String::from("INSERT INTO plain VALUES ");
    for row in 0..BATCH {
        text.push_str(if row == 0 { "(" } else { ", (" });
        for column in 0..COLUMNS {
            text.push_str(if column == 0 { "" } else { ", " });
            match engine {
                Engine::Sqlite => text.push('?'),
                // A text is writable.
                Engine::Postgres => drop(write!(text, "${}", row * COLUMNS + column + 1)),
            }
        }
        text.push(')');
    }
    text
}
