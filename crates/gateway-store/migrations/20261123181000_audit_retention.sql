-- From which entry on the log has bodies: before it, leaves keep their hash alone. While `hold_reason` is there, nothing is pruned.
CREATE TABLE audit_retention (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    first_kept BIGINT NOT NULL,
    hold_reason TEXT,
    hold_by TEXT,
    hold_since BIGINT
);
INSERT INTO audit_retention (id, first_kept) VALUES (1, 0);

-- The last entry that names a blob, which may be of several. NULL for those that older programs wrote: they stay.
ALTER TABLE audit_blobs ADD COLUMN last_idx BIGINT;
CREATE INDEX audit_blobs_last ON audit_blobs (last_idx);

-- The stretch of the log that a sink which aggregates is in the middle of: its counts are over all of it, whatever was sent already.
ALTER TABLE audit_sinks ADD COLUMN window_start BIGINT;
ALTER TABLE audit_sinks ADD COLUMN window_end BIGINT;
