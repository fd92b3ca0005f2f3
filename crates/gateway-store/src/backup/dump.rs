//! Writing a backup: everything in one read-only transaction that sees one state, on SQLite by its write-ahead log, on
//! PostgreSQL by `REPEATABLE READ`. Gateways serve and write meanwhile.

use std::io::Write;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use futures_util::StreamExt as _;
use gateway_types::{Clock, Entropy};
use sqlx::{AnyConnection, Row};

use super::form::{Column, ColumnKind, Line, Table, line_of};
use super::sealed::Sealing;
use super::{BackupError, BackupKey, Manifest, Progress, Rows, contents};
use crate::database::{Database, Engine, Location};
use crate::error::StoreError;
use crate::migrate;

/// What to write, and with what.
pub struct Dump {
    /// Where the database is.
    pub url: String,
    /// What the file is sealed with.
    pub key: BackupKey,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where random bytes come from.
    pub entropy: Arc<dyn Entropy>,
}

impl std::fmt::Debug for Dump {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dump(…)")
    }
}

/// Writes a backup to `to`, and says what is in it.
///
/// # Errors
/// [`BackupError::NothingThere`], and whatever keeps the database from being read or `to` from being written; `to` is
/// then cut off, and no backup.
pub async fn dump<W: Write>(
    dump: Dump,
    to: W,
    progress: &mut Progress<'_>,
) -> Result<(Manifest, Rows, W), BackupError> {
    let location = Location::parse(&dump.url)?;
    let database = Database::connect(&location, 2).await?;
    let done = async {
        let mut tx = database.pool().begin().await?;
        if database.engine() == Engine::Postgres {
            let one_state = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY";
            sqlx::query(one_state).execute(&mut *tx).await?;
            // A slow disk must not end the snapshot.
            sqlx::query("SET LOCAL idle_in_transaction_session_timeout = 0").execute(&mut *tx).await?;
        }
        let manifest = manifest(&mut tx, database.engine(), &*dump.clock).await?;
        let mut sealing = Sealing::begin(to, &dump.key, &*dump.entropy)?;
        say(&mut sealing, &Line::Manifest(Box::new(manifest.clone())))?;
        let mut rows = Rows::new();
        let mut handled = 0;
        for name in contents::tables(Some(&manifest.schema.iter().copied().collect())) {
            if !contents::is_left_out(name) {
                let count =
                    table(&mut tx, database.engine(), name, &mut sealing, progress, &mut handled).await?;
                rows.insert(name.to_owned(), count);
            }
        }
        say(&mut sealing, &Line::End(rows.clone()))?;
        tx.rollback().await?;
        Ok((manifest, rows, sealing.finish()?))
    }
    .await;
    database.pool().close().await;
    done
}

fn say<W: Write>(to: &mut Sealing<W>, line: &Line) -> Result<(), BackupError> {
    let text = serde_json::to_string(line).map_err(|_never| BackupError::Malformed { what: "a line" })?;
    Ok(writeln!(to, "{text}")?)
}

async fn manifest(
    connection: &mut AnyConnection,
    engine: Engine,
    clock: &dyn Clock,
) -> Result<Manifest, BackupError> {
    if !is_there(connection, engine, "gateway").await? {
        return Err(BackupError::NothingThere);
    }
    let gateway = sqlx::query("SELECT gateway_id, key_check, own_secret_key FROM gateway WHERE id = 1")
        .fetch_optional(&mut *connection)
        .await?
        .ok_or(BackupError::NothingThere)?;
    let head = sqlx::query("SELECT size, root FROM audit_head WHERE id = 1")
        .fetch_optional(&mut *connection)
        .await?;
    let (log_size, log_root) = match &head {
        Some(head) => (size(head.try_get(0)?)?, HEXLOWER.encode(&head.try_get::<Vec<u8>, _>(1)?)),
        None => (0, String::new()),
    };
    let checkpoint = sqlx::query("SELECT note FROM audit_checkpoints ORDER BY size DESC LIMIT 1")
        .fetch_optional(&mut *connection)
        .await?;
    let tables = contents::tables(None).into_iter();
    Ok(Manifest {
        made: clock.now().micros(),
        program: env!("CARGO_PKG_VERSION").to_owned(),
        engine: match engine {
            Engine::Sqlite => "sqlite".to_owned(),
            Engine::Postgres => "postgres".to_owned(),
        },
        gateway_id: gateway.try_get(0)?,
        schema: migrate::applied(connection).await?.into_keys().collect(),
        log_size,
        log_root,
        checkpoint: checkpoint.map(|row| row.try_get(0)).transpose()?,
        left_out: tables.filter(|name| contents::is_left_out(name)).map(str::to_owned).collect(),
        own_secret_key: gateway.try_get::<Option<String>, _>(2)?.is_some(),
        key_check: gateway.try_get(1)?,
    })
}

pub(super) fn size(number: i64) -> Result<u64, BackupError> {
    u64::try_from(number).map_err(|_negative| StoreError::Corrupt { what: "size of the log" }.into())
}

/// Name and type of each column of a table, as the catalog has them; none when there is no such table.
async fn described(
    connection: &mut AnyConnection,
    engine: Engine,
    table: &str,
) -> Result<Vec<(String, String)>, BackupError> {
    let catalog = match engine {
        Engine::Sqlite => "SELECT name, type FROM pragma_table_info($1) ORDER BY cid",
        Engine::Postgres => {
            "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT) FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1 ORDER BY ordinal_position"
        }
    };
    let rows = sqlx::query(catalog).bind(table.to_owned()).fetch_all(connection).await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// Whether there is such a table, whoever made it.
pub(super) async fn is_there(
    connection: &mut AnyConnection,
    engine: Engine,
    table: &str,
) -> Result<bool, BackupError> {
    Ok(!described(connection, engine, table).await?.is_empty())
}

/// The columns of a table of ours.
async fn columns(
    connection: &mut AnyConnection,
    engine: Engine,
    table: &str,
) -> Result<Vec<Column>, BackupError> {
    let described = described(connection, engine, table).await?.into_iter();
    described
        .map(|(name, declared)| {
            let kind = ColumnKind::of(&declared).ok_or(StoreError::Corrupt { what: "type of a column" })?;
            Ok(Column { name, kind })
        })
        .collect()
}

async fn table<W: Write>(
    connection: &mut AnyConnection,
    engine: Engine,
    name: &str,
    to: &mut Sealing<W>,
    progress: &mut Progress<'_>,
    handled: &mut u64,
) -> Result<u64, BackupError> {
    let columns = columns(connection, engine, name).await?;
    if columns.is_empty() {
        return Err(StoreError::Corrupt { what: "schema" }.into());
    }
    say(to, &Line::Table(Table { name: name.to_owned(), columns: columns.clone() }))?;
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    let select = format!("SELECT {} FROM {name}", names.join(", "));
    let mut rows = sqlx::query(sqlx::AssertSqlSafe(select)).fetch(connection);
    let mut count = 0;
    while let Some(row) = rows.next().await {
        writeln!(to, "{}", line_of(&row?, &columns)?)?;
        count += 1;
        *handled += 1;
        progress(name, *handled);
    }
    Ok(count)
}
