-- The transparency log. This file has a twin for the other database; only the byte type differs.

-- The head: locked, read and updated by every transaction that appends.
CREATE TABLE audit_head (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    size BIGINT NOT NULL,
    root BYTEA NOT NULL,
    frontier BYTEA NOT NULL
);

CREATE TABLE audit_leaves (
    idx BIGINT PRIMARY KEY,
    hash BYTEA NOT NULL,
    bytes BYTEA NOT NULL,
    time BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    resource TEXT NOT NULL,
    app TEXT,
    phase TEXT NOT NULL,
    decision TEXT
);
CREATE UNIQUE INDEX audit_leaves_hash ON audit_leaves (hash);
CREATE INDEX audit_leaves_request ON audit_leaves (request_id);
CREATE INDEX audit_leaves_actor ON audit_leaves (actor, idx);
CREATE INDEX audit_leaves_app ON audit_leaves (app, idx);
CREATE INDEX audit_leaves_time ON audit_leaves (time);

CREATE TABLE audit_blobs (
    hash BYTEA PRIMARY KEY,
    bytes BYTEA NOT NULL
);

CREATE TABLE audit_checkpoints (
    size BIGINT PRIMARY KEY,
    note TEXT NOT NULL,
    time BIGINT NOT NULL
);
