-- Times in which one credential reads an app's values in plaintext, the same in SQLite and PostgreSQL. One is over
-- from `expires` on, or once `closed` says so.
CREATE TABLE reveals (
    id TEXT PRIMARY KEY,
    credential_id TEXT NOT NULL,
    user_id TEXT,
    holder TEXT NOT NULL,
    app TEXT NOT NULL,
    reason TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    closed BIGINT,
    closed_by TEXT
);
CREATE INDEX reveals_open ON reveals (closed, expires);
