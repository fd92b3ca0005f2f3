-- Cedar policies that admins keep in the database, beside those compiled in and those of `policy_dir`.
-- The same in SQLite and PostgreSQL.

CREATE TABLE policies (
    id TEXT PRIMARY KEY,
    text TEXT NOT NULL,
    version BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    updated BIGINT NOT NULL
);
