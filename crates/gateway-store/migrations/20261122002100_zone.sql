-- The trust zone, the same in SQLite and PostgreSQL. There is at most one zone.
CREATE TABLE zones (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    domain TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    leaf_micros BIGINT NOT NULL,
    created BIGINT NOT NULL
);
-- Roots (`root` is NULL; their keys are in `custody`, which no key of the gateway opens) and issuers (`sealed`).
CREATE TABLE zone_authorities (
    name TEXT PRIMARY KEY,
    root TEXT,
    phase TEXT NOT NULL,
    since BIGINT NOT NULL,
    certificate TEXT NOT NULL,
    cross_signed TEXT,
    custody TEXT,
    sealed TEXT,
    key_id TEXT,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE TABLE zone_services (
    name TEXT PRIMARY KEY,
    listeners TEXT NOT NULL,
    callers TEXT NOT NULL,
    updated BIGINT NOT NULL,
    updated_by TEXT NOT NULL
);
CREATE TABLE zone_members (
    id TEXT PRIMARY KEY,
    service TEXT NOT NULL,
    issuer TEXT NOT NULL,
    serial TEXT NOT NULL,
    seen BIGINT NOT NULL,
    enrolled BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    banned BIGINT,
    banned_by TEXT
);
CREATE INDEX zone_members_expires ON zone_members (expires);
CREATE TABLE zone_join_tokens (
    digest TEXT PRIMARY KEY,
    service TEXT NOT NULL,
    key_pin TEXT,
    created BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT
);
