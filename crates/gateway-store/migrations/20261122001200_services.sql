-- Services declared by API, and signing on at their hosts. The same in SQLite and PostgreSQL. Times are
-- microseconds UTC, digests are SHA-256 in lower-case hexadecimal.

-- Services that admins keep in the database, beside those of the configuration file. `declaration` is JSON.
CREATE TABLE services (
    name TEXT PRIMARY KEY,
    declaration TEXT NOT NULL,
    version BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    updated BIGINT NOT NULL
);

-- Browsers on their way from a service's host to the gateway and back. `origin` and `target` are where to go
-- back to; `host` is the origin's host. `code_digest` is set once the gateway knows who it is: whoever brings
-- that code, once, with the browser's secret, at the host, gets a session there.
CREATE TABLE handoffs (
    digest TEXT PRIMARY KEY,
    browser_digest TEXT NOT NULL,
    origin TEXT NOT NULL,
    host TEXT NOT NULL,
    target TEXT NOT NULL,
    source TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    session_id TEXT REFERENCES sessions (id) ON DELETE CASCADE,
    code_digest TEXT UNIQUE,
    code_expires BIGINT,
    used BIGINT
);
CREATE INDEX handoffs_source ON handoffs (source, expires);
CREATE INDEX handoffs_expires ON handoffs (expires);

-- The cookies of a web session at hosts of services: each another secret, all of one session, which ends them.
CREATE TABLE host_sessions (
    digest TEXT PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    host TEXT NOT NULL,
    created BIGINT NOT NULL
);
CREATE INDEX host_sessions_session ON host_sessions (session_id, host);
