//! Two versions of the program run on one database while an upgrade rolls (CONTRIBUTING.md): what the version before
//! reads and writes must be there, as it was, after each step.

use std::collections::BTreeMap;

use sqlx::{AnyConnection, Connection, Row};

use super::{MIGRATIONS, Migration};
use crate::database::Engine;

/// What a migration says that takes something away, with the version that no longer needed it.
const CONTRACT: &str = "-- contract:";

/// A column, as the version before knows it.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Column {
    kind: String,
    is_required: bool,
    has_default: bool,
}

/// What a program can rely on: columns by table and name, and how unique indexes are made, by table and name.
#[derive(Clone, Default, Debug)]
struct Schema {
    columns: BTreeMap<(String, String), Column>,
    unique: BTreeMap<(String, String), String>,
}

impl Schema {
    fn has_table(&self, table: &str) -> bool {
        self.columns.keys().any(|(have, _)| have == table)
    }

    /// Why a program made for this schema may fail on `newer`.
    fn faults(&self, newer: &Schema) -> Vec<String> {
        let mut faults = Vec::new();
        for ((table, name), column) in &self.columns {
            match newer.columns.get(&(table.clone(), name.clone())) {
                None => faults.push(format!("{table}.{name} is gone")),
                Some(now) if now.kind != column.kind => {
                    faults.push(format!("{table}.{name} was {} and is {}", column.kind, now.kind));
                }
                Some(now) if now.is_required && !column.is_required => {
                    faults.push(format!("{table}.{name} may no longer be NULL"));
                }
                Some(now) if column.has_default && !now.has_default => {
                    faults.push(format!("{table}.{name} has no default any more"));
                }
                Some(_) => {}
            }
        }
        for ((table, name), column) in &newer.columns {
            let is_new = !self.columns.contains_key(&(table.clone(), name.clone()));
            if is_new && self.has_table(table) && column.is_required && !column.has_default {
                faults.push(format!("{table}.{name} must be given, and older programs do not know it"));
            }
        }
        for ((table, index), made) in &newer.unique {
            let is_known = self.unique.contains_key(&(table.clone(), index.clone()));
            // What older programs leave NULL in a new column is unlike everything.
            let is_of_new = newer.columns.keys().any(|column| {
                column.0 == *table && !self.columns.contains_key(column) && made.contains(&column.1)
            });
            if self.has_table(table) && !is_known && !is_of_new {
                faults.push(format!("{index} makes {table} refuse what older programs write"));
            }
        }
        faults
    }
}

async fn schema(connection: &mut AnyConnection, engine: Engine) -> Schema {
    let (columns, unique) = match engine {
        Engine::Sqlite => (
            "SELECT t.name, c.name, upper(c.type), c.\"notnull\", \
             CASE WHEN c.dflt_value IS NULL THEN 0 ELSE 1 END \
             FROM sqlite_master AS t JOIN pragma_table_info(t.name) AS c WHERE t.type = 'table'",
            "SELECT tbl_name, name, sql FROM sqlite_master \
             WHERE type = 'index' AND upper(sql) LIKE 'CREATE UNIQUE %'",
        ),
        Engine::Postgres => (
            "SELECT table_name::text, column_name::text, data_type::text, \
             CASE WHEN is_nullable = 'NO' THEN 1 ELSE 0 END, \
             CASE WHEN column_default IS NULL AND is_identity = 'NO' THEN 0 ELSE 1 END \
             FROM information_schema.columns WHERE table_schema = 'public'",
            "SELECT t.relname::text, i.relname::text, pg_get_indexdef(indexrelid) FROM pg_index \
             JOIN pg_class AS t ON t.oid = indrelid JOIN pg_class AS i ON i.oid = indexrelid \
             JOIN pg_namespace AS n ON n.oid = t.relnamespace \
             WHERE indisunique AND NOT indisprimary AND n.nspname = 'public'",
        ),
    };
    let mut schema = Schema::default();
    for row in sqlx::query(columns).fetch_all(&mut *connection).await.unwrap() {
        let number =
            |at: usize| row.try_get::<i64, _>(at).or_else(|_| row.try_get::<i32, _>(at).map(i64::from));
        let column = Column {
            kind: row.get(2),
            is_required: number(3).unwrap() != 0,
            has_default: number(4).unwrap() != 0,
        };
        schema.columns.insert((row.get(0), row.get(1)), column);
    }
    for row in sqlx::query(unique).fetch_all(connection).await.unwrap() {
        schema.unique.insert((row.get(0), row.get(1)), row.get(2));
    }
    schema
}

fn text(migration: &Migration, engine: Engine) -> &'static str {
    match engine {
        Engine::Sqlite => migration.sqlite,
        Engine::Postgres => migration.postgres,
    }
}

#[tokio::test]
async fn the_version_before_runs_on_the_schema_after_each_step() {
    sqlx::any::install_default_drivers();
    let postgres = gateway_testdb::fresh_database(gateway_testdb::postgres().unwrap()).unwrap();
    for (engine, url) in [(Engine::Sqlite, "sqlite::memory:"), (Engine::Postgres, postgres.as_str())] {
        let mut connection = AnyConnection::connect(url).await.unwrap();
        let mut before = Schema::default();
        for migration in MIGRATIONS {
            let text = text(migration, engine);
            sqlx::raw_sql(text).execute(&mut connection).await.unwrap();
            let after = schema(&mut connection, engine).await;
            let faults = before.faults(&after);
            assert!(
                faults.is_empty() || text.contains(CONTRACT),
                "{}: {faults:?}; expand first, take away a version later (CONTRIBUTING.md)",
                migration.name
            );
            before = after;
        }
        assert!(before.columns.len() > 100, "{engine:?}: the schema was read");
    }
}

#[test]
fn what_an_older_program_would_trip_over_is_found() {
    let column =
        |kind: &str, is_required, has_default| Column { kind: kind.to_owned(), is_required, has_default };
    let of = |columns: &[(&str, Column)], unique: &[&str]| Schema {
        columns: columns
            .iter()
            .map(|(name, column)| (("people".to_owned(), (*name).to_owned()), column.clone()))
            .collect(),
        unique: unique
            .iter()
            .map(|made| (("people".to_owned(), (*made).to_owned()), (*made).to_owned()))
            .collect(),
    };
    let (id, note) = (column("BIGINT", true, false), column("TEXT", false, false));
    let before = of(&[("id", id.clone()), ("note", note.clone())], &[]);
    let check = |newer: Schema, found: usize| assert_eq!(before.faults(&newer).len(), found, "{newer:?}");
    check(before.clone(), 0);
    check(of(&[("id", id.clone()), ("note", note.clone()), ("more", note.clone())], &[]), 0);
    check(of(&[("id", id.clone()), ("note", note.clone()), ("more", column("TEXT", true, true))], &[]), 0);
    check(of(&[("id", id.clone())], &[]), 1);
    check(of(&[("id", column("TEXT", true, false)), ("note", note.clone())], &[]), 1);
    check(of(&[("id", id.clone()), ("note", column("TEXT", true, true))], &[]), 1);
    check(of(&[("id", id.clone()), ("note", note.clone()), ("more", id.clone())], &[]), 1);
    check(of(&[("id", id.clone()), ("note", note.clone())], &["CREATE UNIQUE INDEX i ON people (note)"]), 1);
    let more = ("more", note.clone());
    check(of(&[("id", id), ("note", note), more], &["CREATE UNIQUE INDEX i ON people (more)"]), 0);
    assert!(Schema::default().faults(&before).is_empty(), "a new table may be anything");
}

/// Words that take away or change what older programs use. Taking an index away changes no answer.
const DESTRUCTIVE: [&str; 9] = [
    "DROP TABLE",
    "DROP COLUMN",
    "DROP VIEW",
    "DROP CONSTRAINT",
    "RENAME",
    "ALTER COLUMN",
    "ALTER TYPE",
    "TRUNCATE",
    "DELETE FROM",
];

/// The destructive words of a migration, when it does not say from which version on nobody needs what it takes away.
fn unmarked(text: &str) -> Vec<&'static str> {
    if text.lines().any(|line| line.strip_prefix(CONTRACT).is_some_and(|version| !version.trim().is_empty()))
    {
        return Vec::new();
    }
    let code: String = text.lines().filter_map(|line| line.split("--").next()).collect::<Vec<_>>().join(" ");
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ").to_ascii_uppercase();
    DESTRUCTIVE.into_iter().filter(|word| code.contains(word)).collect()
}

#[test]
fn migrations_take_nothing_away_unless_they_say_since_when_nobody_needs_it() {
    for migration in MIGRATIONS {
        for text in [migration.sqlite, migration.postgres] {
            assert_eq!(unmarked(text), Vec::<&str>::new(), "{}", migration.name);
        }
    }
    assert_eq!(unmarked("ALTER TABLE a\n  drop column b;"), ["DROP COLUMN"]);
    assert_eq!(unmarked("-- DROP TABLE is not for us\nCREATE TABLE a (b TEXT);"), Vec::<&str>::new());
    assert_eq!(unmarked("-- contract: 1.4.0 no longer reads it\nDROP TABLE a;"), Vec::<&str>::new());
    assert_eq!(unmarked("-- contract:\nDROP TABLE a;"), ["DROP TABLE"]);
}
