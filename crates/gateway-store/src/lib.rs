//! The store over SQLite and PostgreSQL: one module per aggregate; nobody else writes SQL.
