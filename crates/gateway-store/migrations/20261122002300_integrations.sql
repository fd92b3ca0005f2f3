-- Credentials that somebody gave the gateway while it ran, sealed; and how the last look at each service ended.
CREATE TABLE integrations (
    kind TEXT PRIMARY KEY,
    sealed TEXT NOT NULL,
    key_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    updated BIGINT NOT NULL
);
CREATE TABLE integration_tests (
    kind TEXT PRIMARY KEY,
    good BIGINT NOT NULL,
    said TEXT NOT NULL,
    tested_by TEXT NOT NULL,
    tested BIGINT NOT NULL
);
-- The first message about an approval, which later ones answer, and the states that its thread and it itself tell.
CREATE TABLE slack_messages (
    approval_id TEXT PRIMARY KEY REFERENCES approvals (id) ON DELETE CASCADE,
    channel TEXT NOT NULL,
    ts TEXT NOT NULL,
    replied TEXT NOT NULL,
    shown TEXT NOT NULL
);
-- Requests of Slack's that were taken, by the digest of their signature: none is taken twice.
CREATE TABLE slack_requests (
    digest TEXT PRIMARY KEY,
    expires BIGINT NOT NULL
);
CREATE INDEX slack_requests_by_expiry ON slack_requests (expires);
