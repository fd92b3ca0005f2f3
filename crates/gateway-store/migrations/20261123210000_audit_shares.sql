-- Links by which somebody without an account reads a part of the log for a while. Of the link only a digest is kept.
CREATE TABLE audit_shares (
    id TEXT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    label TEXT NOT NULL,
    filter TEXT NOT NULL,
    created BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires BIGINT NOT NULL,
    revoked BIGINT,
    revoked_by TEXT,
    openings BIGINT NOT NULL,
    last_opened BIGINT
);
