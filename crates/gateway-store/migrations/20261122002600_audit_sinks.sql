-- How far each sink of the audit log is: the index of the next entry that it gets. The log is its own outbox.
CREATE TABLE audit_sinks (
    name TEXT PRIMARY KEY,
    position BIGINT NOT NULL,
    moved BIGINT NOT NULL
);
