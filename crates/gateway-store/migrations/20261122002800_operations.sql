-- Read-only on purpose: one row while all instances are, none while they are not.
CREATE TABLE read_only (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    reason TEXT NOT NULL,
    set_by TEXT NOT NULL,
    since BIGINT NOT NULL
);
