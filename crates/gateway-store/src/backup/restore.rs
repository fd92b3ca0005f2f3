//! Restoring: one transaction makes the schema that the backup had, loads its rows, brings the schema up to date, and
//! compares the log's head with the manifest. Whatever stops it, even a kill, leaves the database as it was.

use std::collections::BTreeSet;
use std::io::Read;
use std::sync::Arc;

use data_encoding::HEXLOWER;
use gateway_types::{Clock, Secret, Timestamp};
use sqlx::{AnyConnection, Row};

use super::dump::{is_there, size};
use super::form::{Cell, Table};
use super::verified::{Item, Reading, Verified};
use super::{BackupError, BackupKey, Manifest, Progress, contents};
use crate::database::{Database, Engine, Location};
use crate::error::StoreError;
use crate::restorations::{self, RestorationNews};
use crate::store::prepare;
use crate::{migrate, runs, secrets};

/// Where to restore to, and what to open the backup with.
pub struct Restoration {
    /// Where the database is.
    pub url: String,
    /// What the backup was sealed with.
    pub key: BackupKey,
    /// `APP_SECRET_KEY` of the gateway that will use the database.
    pub app_secret_key: Option<Secret<String>>,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Whether what is in the database gives way.
    pub replace: bool,
}

impl std::fmt::Debug for Restoration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restoration").field("replace", &self.replace).finish_non_exhaustive()
    }
}

/// What was restored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restored {
    /// How many entries the log had that gave way; `None` when there was none.
    pub log_before: Option<u64>,
    /// How many entries the log has now.
    pub log_size: u64,
}

/// What is in a database.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The gateway that uses it.
    pub gateway_id: String,
    /// How many entries its log has.
    pub log_size: u64,
}

/// What is in the database at `url`; `None` when no gateway used it.
///
/// # Errors
/// Only when it cannot be asked.
pub async fn standing(url: &str) -> Result<Option<Standing>, BackupError> {
    let location = Location::parse(url)?;
    if let Location::Sqlite { path, .. } = &location
        && !path.exists()
    {
        return Ok(None);
    }
    let database = Database::connect(&location, 2).await?;
    let found = async {
        let mut connection = database.pool().acquire().await?;
        stands(&mut connection, database.engine()).await
    }
    .await;
    database.pool().close().await;
    found
}

async fn stands(connection: &mut AnyConnection, engine: Engine) -> Result<Option<Standing>, BackupError> {
    if !is_there(connection, engine, "gateway").await? {
        return Ok(None);
    }
    let gateway =
        sqlx::query("SELECT gateway_id FROM gateway WHERE id = 1").fetch_optional(&mut *connection).await?;
    let Some(gateway) = gateway else { return Ok(None) };
    let log_size = if is_there(connection, engine, "audit_head").await? {
        head(connection).await?.map_or(0, |(size, _root)| size)
    } else {
        0
    };
    Ok(Some(Standing { gateway_id: gateway.try_get(0)?, log_size }))
}

async fn head(connection: &mut AnyConnection) -> Result<Option<(u64, String)>, BackupError> {
    let row =
        sqlx::query("SELECT size, root FROM audit_head WHERE id = 1").fetch_optional(connection).await?;
    row.map(|row| Ok((size(row.try_get(0)?)?, HEXLOWER.encode(&row.try_get::<Vec<u8>, _>(1)?)))).transpose()
}

/// Restores a backup that was [`verified`](super::verified()) before; `from` is the same backup from its beginning.
///
/// # Errors
/// [`BackupError::NotEmpty`] without `replace`, [`BackupError::NotItsKey`], [`StoreError::Serving`] and
/// [`StoreError::Locked`] while a gateway runs, [`BackupError::Different`], or what keeps the database from being
/// written. Nothing is then changed.
pub async fn restore<R: Read>(
    restoration: Restoration,
    from: R,
    verified: &Verified,
    progress: &mut Progress<'_>,
) -> Result<Restored, BackupError> {
    check_key(restoration.app_secret_key.as_ref(), &verified.manifest)?;
    let (location, _lock) = prepare(&restoration.url, true)?;
    let database = Database::connect(&location, 2).await?;
    let done = async {
        let reading = Reading::begin(from, &restoration.key)?;
        load(&database, &location, &restoration, reading, verified, progress).await
    }
    .await;
    database.pool().close().await;
    done
}

/// Whoever restores with another key than the gateway's has a database that no gateway can open.
fn check_key(given: Option<&Secret<String>>, manifest: &Manifest) -> Result<(), BackupError> {
    let gateway =
        manifest.gateway_id.parse().map_err(|_bad| BackupError::Malformed { what: "a gateway's id" })?;
    match given.filter(|key| !key.expose().is_empty()) {
        Some(key) if secrets::is_key_of(key, gateway, &manifest.key_check) => Ok(()),
        None if manifest.own_secret_key => Ok(()),
        Some(_) | None => Err(BackupError::NotItsKey),
    }
}

async fn load<R: Read>(
    database: &Database,
    location: &Location,
    restoration: &Restoration,
    mut reading: Reading<R>,
    verified: &Verified,
    progress: &mut Progress<'_>,
) -> Result<Restored, BackupError> {
    let engine = database.engine();
    let now = restoration.clock.now().micros();
    let mut tx = migrate::lock(database).await?;
    let connection = tx.connection();
    if engine == Engine::Postgres {
        sqlx::query("SET LOCAL idle_in_transaction_session_timeout = 0").execute(&mut *connection).await?;
    }
    alone(connection, engine, location).await?;
    let before = stands(connection, engine).await?;
    if let Some(before) = &before
        && !restoration.replace
    {
        return Err(BackupError::NotEmpty { log_size: before.log_size });
    }
    clear(connection, engine).await?;
    let schema: BTreeSet<i64> = reading.manifest().schema.iter().copied().collect();
    migrate::apply_missing(connection, engine, now, Some(&schema)).await?;
    let tables = contents::tables(Some(&schema));
    let triggers = without_triggers(connection, engine, &tables).await?;
    for table in tables.iter().rev() {
        run(connection, format!("DELETE FROM {table}")).await?;
    }
    rows(connection, &mut reading, progress).await?;
    for statement in triggers {
        run(connection, statement).await?;
    }
    migrate::apply_missing(connection, engine, now, None).await?;
    if engine == Engine::Sqlite {
        migrate::check_foreign_keys(connection).await?;
    }
    let head = head(connection).await?.unwrap_or_default();
    let read = reading.finish()?;
    if read != *verified || head != (read.manifest.log_size, read.manifest.log_root.clone()) {
        return Err(BackupError::Different);
    }
    let log_before = before.map(|before| before.log_size);
    restorations::note(tx.connection(), &news(&read, log_before)).await?;
    tx.commit().await?;
    Ok(Restored { log_before, log_size: head.0 })
}

/// What the event of this restore is to say.
fn news(verified: &Verified, log_before: Option<u64>) -> RestorationNews {
    let said = [
        ("made", Timestamp::from_micros(verified.manifest.made).to_rfc3339()),
        ("log_size", verified.manifest.log_size.to_string()),
        ("log_size_before", log_before.map_or_else(|| "none".to_owned(), |before| before.to_string())),
        ("digest", verified.digest.clone()),
    ];
    said.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
}

/// Sees to it that no gateway serves, and that none begins to before this transaction ends: whoever starts waits for the
/// lock of migrations, and whoever had that already cannot add its run.
async fn alone(
    connection: &mut AnyConnection,
    engine: Engine,
    location: &Location,
) -> Result<(), BackupError> {
    if engine == Engine::Sqlite || !is_there(connection, engine, "runs").await? {
        return Ok(());
    }
    run(connection, "LOCK TABLE runs IN ACCESS EXCLUSIVE MODE".to_owned()).await?;
    if runs::is_anybody_alive(connection, location).await? {
        return Err(StoreError::Serving.into());
    }
    Ok(())
}

async fn run(connection: &mut AnyConnection, statement: String) -> Result<(), BackupError> {
    sqlx::query(sqlx::AssertSqlSafe(statement)).execute(connection).await?;
    Ok(())
}

/// Takes away what the gateway's migrations made, and nothing else.
///
/// # Errors
/// [`BackupError::Foreign`] when tables of these names are there that our migrations did not make.
async fn clear(connection: &mut AnyConnection, engine: Engine) -> Result<(), BackupError> {
    let applied = migrate::applied(connection).await?;
    // What this program does not know it cannot take away, and the next upgrade would fall over it.
    let known: BTreeSet<i64> = migrate::texts().map(|(stamp, _)| stamp).collect();
    if let Some(stamp) = applied.keys().find(|stamp| !known.contains(*stamp)) {
        return Err(BackupError::NewerDatabase { stamp: *stamp });
    }
    if applied.is_empty() {
        for table in contents::tables(None) {
            if is_there(connection, engine, table).await? {
                return Err(BackupError::Foreign { table });
            }
        }
        return Ok(());
    }
    let cascade = match engine {
        Engine::Sqlite => "",
        Engine::Postgres => " CASCADE",
    };
    for table in contents::tables(None).iter().rev() {
        run(connection, format!("DROP TABLE IF EXISTS {table}{cascade}")).await?;
    }
    if engine == Engine::Postgres {
        for function in contents::functions() {
            run(connection, format!("DROP FUNCTION IF EXISTS {function}() CASCADE")).await?;
        }
    }
    run(connection, "DELETE FROM migrations".to_owned()).await
}

/// Puts the triggers out of force: they hold moves of rows to their rules, and a backup has rows as they became.
/// Returns what puts them in force again.
async fn without_triggers(
    connection: &mut AnyConnection,
    engine: Engine,
    tables: &[&str],
) -> Result<Vec<String>, BackupError> {
    match engine {
        Engine::Sqlite => {
            let known =
                sqlx::query("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' ORDER BY rowid");
            let mut again = Vec::new();
            for row in known.fetch_all(&mut *connection).await? {
                run(connection, format!("DROP TRIGGER {}", row.try_get::<String, _>(0)?)).await?;
                again.push(row.try_get(1)?);
            }
            Ok(again)
        }
        Engine::Postgres => {
            for table in tables {
                run(connection, format!("ALTER TABLE {table} DISABLE TRIGGER USER")).await?;
            }
            Ok(tables.iter().map(|table| format!("ALTER TABLE {table} ENABLE TRIGGER USER")).collect())
        }
    }
}

async fn rows<R: Read>(
    connection: &mut AnyConnection,
    reading: &mut Reading<R>,
    progress: &mut Progress<'_>,
) -> Result<(), BackupError> {
    let mut insert = String::new();
    let mut handled = 0;
    while let Some(item) = reading.next()? {
        let Some(table) = reading.table() else { continue };
        match item {
            Item::Table => insert = insertion(table),
            Item::Row => {
                let mut query = sqlx::query(sqlx::AssertSqlSafe(insert.clone()));
                for cell in reading.cells()? {
                    query = match cell {
                        Cell::Number(number) => query.bind(number),
                        Cell::Text(text) => query.bind(text),
                        Cell::Bytes(bytes) => query.bind(bytes),
                    };
                }
                query.execute(&mut *connection).await?;
                handled += 1;
                progress(&table.name, handled);
            }
        }
    }
    Ok(())
}

fn insertion(table: &Table) -> String {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
    let places: Vec<String> = (1..=names.len()).map(|number| format!("${number}")).collect();
    format!("INSERT INTO {} ({}) VALUES ({})", table.name, names.join(", "), places.join(", "))
}
