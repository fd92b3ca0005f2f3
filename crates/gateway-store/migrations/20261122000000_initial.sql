-- Everything whose types are the same in SQLite and PostgreSQL. Times are microseconds UTC, ids
-- are UUIDv7 text, booleans are 0 or 1, digests are SHA-256 in lower-case hexadecimal.

CREATE TABLE gateway (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    gateway_id TEXT NOT NULL,
    created BIGINT NOT NULL,
    key_check TEXT NOT NULL,
    own_secret_key TEXT
);

-- One row; bumped first in every transaction that changes who may do what.
CREATE TABLE versions (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    version BIGINT NOT NULL
);
INSERT INTO versions (id, version) VALUES (1, 0);

CREATE TABLE users (
    id TEXT PRIMARY KEY,
    email TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    is_admin BIGINT NOT NULL CHECK (is_admin IN (0, 1)),
    locked BIGINT NOT NULL CHECK (locked IN (0, 1)),
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    version BIGINT NOT NULL
);
CREATE INDEX users_admins ON users (is_admin, locked);

CREATE TABLE api_tokens (
    id TEXT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    roles TEXT NOT NULL,
    grants TEXT NOT NULL,
    creator TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT,
    last_used BIGINT,
    last_used_ip TEXT,
    revoked BIGINT
);
CREATE INDEX api_tokens_creator ON api_tokens (creator);

CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    idle_limit BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    device TEXT NOT NULL,
    ip TEXT,
    revoked BIGINT
);
CREATE INDEX sessions_user ON sessions (user_id);
CREATE INDEX sessions_expires ON sessions (expires);

CREATE TABLE settings (
    scope TEXT NOT NULL,
    key TEXT NOT NULL,
    value TEXT NOT NULL,
    version BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    updated BIGINT NOT NULL,
    PRIMARY KEY (scope, key)
);

-- What was served of an app's releases to a credential: `listed` is the newest release of a list of one,
-- `read` is a release that was read whole. One row each, so that clients of one credential that run side
-- by side do not take each other's.
CREATE TABLE served_bases (
    id TEXT PRIMARY KEY,
    credential_id TEXT NOT NULL,
    app TEXT NOT NULL,
    kind TEXT NOT NULL,
    release_id TEXT NOT NULL,
    newest BIGINT NOT NULL,
    served BIGINT NOT NULL
);
CREATE INDEX served_bases_credential ON served_bases (credential_id, app, kind, served);
CREATE INDEX served_bases_served ON served_bases (served);

CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    expires BIGINT NOT NULL
);

-- One row for each run of `serve`; `ended` is NULL while it runs, then `clean` or `unclean`.
CREATE TABLE runs (
    id TEXT PRIMARY KEY,
    started BIGINT NOT NULL,
    lock_key BIGINT NOT NULL,
    ended TEXT
);
CREATE INDEX runs_ended ON runs (ended);
