//! Forward-only migrations, applied in one transaction under a lock. Expand, then contract: a
//! program of the version before must still run on the newest schema.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{AnyConnection, Row};

use crate::database::{Database, Engine, WriteTx};
use crate::error::StoreError;
use crate::secrets::sha256_hex;

/// One step of the schema: the same text for both databases, or a text for each.
struct Migration {
    stamp: i64,
    name: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

const CERTIFICATES: &str = include_str!("../migrations/20261122000900_certificates.sql");

const INITIAL: &str = include_str!("../migrations/20261122000000_initial.sql");

const FACTORS: &str = include_str!("../migrations/20261122000200_factors.sql");

const CHALLENGES: &str = include_str!("../migrations/20261122000700_step_up_challenges.sql");

const PEOPLE: &str = include_str!("../migrations/20261122000500_people.sql");

const PERSON_TRIES: &str = include_str!("../migrations/20261122000800_person_tries.sql");

const JOBS: &str = include_str!("../migrations/20261122000300_jobs.sql");

const SIGN_IN: &str = include_str!("../migrations/20261122000400_sign_in.sql");

const POLICIES: &str = include_str!("../migrations/20261122000600_policies.sql");

const RATE_COUNTS: &str = include_str!("../migrations/20261122001000_rate_counts.sql");
const SIGNING_KEYS: &str = include_str!("../migrations/20261122001100_signing_keys.sql");

const SERVICES: &str = include_str!("../migrations/20261122001200_services.sql");

const WEBAUTHN: &str = include_str!("../migrations/20261122001300_webauthn.sql");
const PROVIDERS: &str = include_str!("../migrations/20261122001400_providers.sql");
const MACHINES: &str = include_str!("../migrations/20261122001500_machines.sql");
const ENTITLEMENTS: &str = include_str!("../migrations/20261122001600_entitlements.sql");
const APPROVALS: &str = include_str!("../migrations/20261122001700_approvals.sql");
const PROVEN: &str = include_str!("../migrations/20261122001650_proven.sql");
const REVEALS: &str = include_str!("../migrations/20261122001750_reveals.sql");
const ROTATION: &str = include_str!("../migrations/20261122001760_rotation.sql");
const ZONE: &str = include_str!("../migrations/20261122002100_zone.sql");
const INTEGRATIONS: &str = include_str!("../migrations/20261122002300_integrations.sql");
const AUDIT_SINKS: &str = include_str!("../migrations/20261122002600_audit_sinks.sql");
const COMPANY: &str = include_str!("../migrations/20261122002700_session_company.sql");
const OPERATIONS: &str = include_str!("../migrations/20261122002800_operations.sql");
const AUDIT_READING: &str = include_str!("../migrations/20261123004000_audit_reading.sql");
const DETACHED: &str = include_str!("../migrations/20261123006000_detached_sessions.sql");
const AUDIT_RETENTION: &str = include_str!("../migrations/20261123181000_audit_retention.sql");
const SENTINEL: &str = include_str!("../migrations/20261123013000_sentinel.sql");
const VANTAGE_POINTS: &str = include_str!("../migrations/20261123191000_vantage_points.sql");
const IMPORTS: &str = include_str!("../migrations/20261123185000_imports.sql");
const REGISTRATIONS: &str = include_str!("../migrations/20261123195000_zone_registrations.sql");
const AUDIT_SHARES: &str = include_str!("../migrations/20261123210000_audit_shares.sql");
const RACK: &str = include_str!("../migrations/20261122001770_rack.sql");

const APPROVAL_FINDINGS: &str = include_str!("../migrations/20261122002000_approval_findings.sql");

const MIGRATIONS: &[Migration] = &[
    Migration { stamp: 20_261_122_000_000, name: "initial", sqlite: INITIAL, postgres: INITIAL },
    Migration {
        stamp: 20_261_122_000_100,
        name: "audit",
        sqlite: include_str!("../migrations/20261122000100_audit.sqlite.sql"),
        postgres: include_str!("../migrations/20261122000100_audit.postgres.sql"),
    },
    Migration { stamp: 20_261_122_000_200, name: "factors", sqlite: FACTORS, postgres: FACTORS },
    Migration { stamp: 20_261_122_000_300, name: "jobs", sqlite: JOBS, postgres: JOBS },
    Migration { stamp: 20_261_122_000_400, name: "sign_in", sqlite: SIGN_IN, postgres: SIGN_IN },
    Migration { stamp: 20_261_122_000_500, name: "people", sqlite: PEOPLE, postgres: PEOPLE },
    Migration { stamp: 20_261_122_000_600, name: "policies", sqlite: POLICIES, postgres: POLICIES },
    Migration {
        stamp: 20_261_122_000_700,
        name: "step_up_challenges",
        sqlite: CHALLENGES,
        postgres: CHALLENGES,
    },
    Migration {
        stamp: 20_261_122_000_800,
        name: "person_tries",
        sqlite: PERSON_TRIES,
        postgres: PERSON_TRIES,
    },
    Migration {
        stamp: 20_261_122_000_900,
        name: "certificates",
        sqlite: CERTIFICATES,
        postgres: CERTIFICATES,
    },
    Migration { stamp: 20_261_122_001_000, name: "rate_counts", sqlite: RATE_COUNTS, postgres: RATE_COUNTS },
    Migration {
        stamp: 20_261_122_001_100,
        name: "signing_keys",
        sqlite: SIGNING_KEYS,
        postgres: SIGNING_KEYS,
    },
    Migration { stamp: 20_261_122_001_200, name: "services", sqlite: SERVICES, postgres: SERVICES },
    Migration { stamp: 20_261_122_001_300, name: "webauthn", sqlite: WEBAUTHN, postgres: WEBAUTHN },
    Migration { stamp: 20_261_122_001_400, name: "providers", sqlite: PROVIDERS, postgres: PROVIDERS },
    Migration { stamp: 20_261_122_001_500, name: "machines", sqlite: MACHINES, postgres: MACHINES },
    Migration {
        stamp: 20_261_122_001_600,
        name: "entitlements",
        sqlite: ENTITLEMENTS,
        postgres: ENTITLEMENTS,
    },
    Migration { stamp: 20_261_122_001_650, name: "proven", sqlite: PROVEN, postgres: PROVEN },
    Migration { stamp: 20_261_122_001_700, name: "approvals", sqlite: APPROVALS, postgres: APPROVALS },
    Migration {
        stamp: 20_261_122_001_710,
        name: "approval_moves",
        sqlite: include_str!("../migrations/20261122001710_approval_moves.sqlite.sql"),
        postgres: include_str!("../migrations/20261122001710_approval_moves.postgres.sql"),
    },
    Migration { stamp: 20_261_122_001_750, name: "reveals", sqlite: REVEALS, postgres: REVEALS },
    Migration { stamp: 20_261_122_001_760, name: "rotation", sqlite: ROTATION, postgres: ROTATION },
    Migration { stamp: 20_261_122_001_770, name: "rack", sqlite: RACK, postgres: RACK },
    Migration {
        stamp: 20_261_122_001_800,
        name: "recordings",
        sqlite: include_str!("../migrations/20261122001800_recordings.sqlite.sql"),
        postgres: include_str!("../migrations/20261122001800_recordings.postgres.sql"),
    },
    Migration {
        stamp: 20_261_122_001_900,
        name: "log_tiles",
        sqlite: include_str!("../migrations/20261122001900_log_tiles.sqlite.sql"),
        postgres: include_str!("../migrations/20261122001900_log_tiles.postgres.sql"),
    },
    Migration {
        stamp: 20_261_122_002_000,
        name: "approval_findings",
        sqlite: APPROVAL_FINDINGS,
        postgres: APPROVAL_FINDINGS,
    },
    Migration { stamp: 20_261_122_002_100, name: "zone", sqlite: ZONE, postgres: ZONE },
    Migration {
        stamp: 20_261_122_002_300,
        name: "integrations",
        sqlite: INTEGRATIONS,
        postgres: INTEGRATIONS,
    },
    Migration { stamp: 20_261_122_002_600, name: "audit_sinks", sqlite: AUDIT_SINKS, postgres: AUDIT_SINKS },
    Migration { stamp: 20_261_122_002_700, name: "session_company", sqlite: COMPANY, postgres: COMPANY },
    Migration { stamp: 20_261_122_002_800, name: "operations", sqlite: OPERATIONS, postgres: OPERATIONS },
    Migration {
        stamp: 20_261_123_004_000,
        name: "audit_reading",
        sqlite: AUDIT_READING,
        postgres: AUDIT_READING,
    },
    Migration { stamp: 20_261_123_006_000, name: "detached_sessions", sqlite: DETACHED, postgres: DETACHED },
    Migration { stamp: 20_261_123_013_000, name: "sentinel", sqlite: SENTINEL, postgres: SENTINEL },
    Migration {
        stamp: 20_261_123_181_000,
        name: "audit_retention",
        sqlite: AUDIT_RETENTION,
        postgres: AUDIT_RETENTION,
    },
    Migration { stamp: 20_261_123_185_000, name: "imports", sqlite: IMPORTS, postgres: IMPORTS },
    Migration {
        stamp: 20_261_123_191_000,
        name: "vantage_points",
        sqlite: VANTAGE_POINTS,
        postgres: VANTAGE_POINTS,
    },
    Migration {
        stamp: 20_261_123_195_000,
        name: "zone_registrations",
        sqlite: REGISTRATIONS,
        postgres: REGISTRATIONS,
    },
    Migration {
        stamp: 20_261_123_210_000,
        name: "audit_shares",
        sqlite: AUDIT_SHARES,
        postgres: AUDIT_SHARES,
    },
];

const CREATE_TABLE: &str = "CREATE TABLE IF NOT EXISTS migrations (\
     stamp BIGINT PRIMARY KEY, name TEXT NOT NULL, digest TEXT NOT NULL, applied BIGINT NOT NULL)";

/// A migration that was applied just now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppliedMigration {
    /// Its stamp, `YYYYMMDDHHMMSS`.
    pub stamp: i64,
    /// Its name.
    pub name: &'static str,
}

/// Every migration with the text that PostgreSQL gets, oldest first: what reads them for the names of what they make.
pub(crate) fn texts() -> impl Iterator<Item = (i64, &'static str)> {
    MIGRATIONS.iter().map(|migration| (migration.stamp, migration.postgres))
}

/// Applies what is missing, all of it or nothing.
pub(crate) async fn run(database: &Database, now_micros: i64) -> Result<Vec<AppliedMigration>, StoreError> {
    let mut tx = lock(database).await?;
    let done = apply_missing(tx.connection(), database.engine(), now_micros, None).await?;
    tx.commit().await?;
    Ok(done)
}

/// Applies what is missing of all migrations, or of those with these stamps, in a transaction that [`lock`] began.
pub(crate) async fn apply_missing(
    connection: &mut AnyConnection,
    engine: Engine,
    now_micros: i64,
    only: Option<&BTreeSet<i64>>,
) -> Result<Vec<AppliedMigration>, StoreError> {
    let known = applied(connection).await?;
    let mut done = Vec::new();
    for migration in
        MIGRATIONS.iter().filter(|migration| only.is_none_or(|only| only.contains(&migration.stamp)))
    {
        let text = match engine {
            Engine::Sqlite => migration.sqlite,
            Engine::Postgres => migration.postgres,
        };
        let digest = sha256_hex(text.as_bytes());
        match known.get(&migration.stamp) {
            Some(stored) if *stored == digest => {}
            Some(_other) => return Err(StoreError::MigrationChanged { stamp: migration.stamp }),
            None => {
                apply(connection, migration, text, &digest, now_micros).await?;
                done.push(AppliedMigration { stamp: migration.stamp, name: migration.name });
            }
        }
    }
    warn_of_newer(&known);
    if !done.is_empty() && engine == Engine::Sqlite {
        check_foreign_keys(connection).await?;
    }
    Ok(done)
}

/// Begins the one transaction and takes the lock that lets a second migrator wait.
pub(crate) async fn lock(database: &Database) -> Result<WriteTx, StoreError> {
    if database.engine() == Engine::Sqlite {
        // Outside of the transaction: where the table exists this only reads, and a transaction
        // that reads first cannot become a writer.
        let turn = database.write_turn().await;
        sqlx::query(CREATE_TABLE).execute(database.pool()).await?;
        drop(turn);
    }
    let mut tx = database.begin().await?;
    match database.engine() {
        Engine::Sqlite => {
            sqlx::query("UPDATE migrations SET applied = applied").execute(tx.connection()).await?;
        }
        Engine::Postgres => {
            // Another instance may migrate for long; the usual limit on waiting is not for this.
            sqlx::query("SET LOCAL lock_timeout = '5min'").execute(tx.connection()).await?;
            sqlx::query("SELECT pg_advisory_xact_lock(7018137281931)").execute(tx.connection()).await?;
            sqlx::query(CREATE_TABLE).execute(tx.connection()).await?;
        }
    }
    Ok(tx)
}

pub(crate) async fn applied(connection: &mut AnyConnection) -> Result<BTreeMap<i64, String>, StoreError> {
    let rows = sqlx::query("SELECT stamp, digest FROM migrations").fetch_all(connection).await?;
    let mut known = BTreeMap::new();
    for row in rows {
        known.insert(row.try_get(0)?, row.try_get(1)?);
    }
    Ok(known)
}

async fn apply(
    connection: &mut AnyConnection,
    migration: &Migration,
    text: &'static str,
    digest: &str,
    now_micros: i64,
) -> Result<(), StoreError> {
    let failed = |source| StoreError::Migration { stamp: migration.stamp, name: migration.name, source };
    sqlx::raw_sql(text).execute(&mut *connection).await.map_err(failed)?;
    sqlx::query("INSERT INTO migrations (stamp, name, digest, applied) VALUES ($1, $2, $3, $4)")
        .bind(migration.stamp)
        .bind(migration.name)
        .bind(digest.to_owned())
        .bind(now_micros)
        .execute(connection)
        .await
        .map_err(failed)?;
    Ok(())
}

/// A newer program may have migrated already, as in a rolling upgrade; this one still runs.
fn warn_of_newer(known: &BTreeMap<i64, String>) {
    let newest = MIGRATIONS.last().map_or(0, |migration| migration.stamp);
    if let Some((stamp, _digest)) = known.last_key_value().filter(|(stamp, _digest)| **stamp > newest) {
        tracing::warn!(stamp, newest, "the database was migrated by a newer rack-gateway");
    }
}

pub(crate) async fn check_foreign_keys(connection: &mut AnyConnection) -> Result<(), StoreError> {
    match sqlx::query("PRAGMA foreign_key_check").fetch_optional(connection).await? {
        Some(row) => Err(StoreError::ForeignKeyCheck { table: row.try_get(0)? }),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
