-- What admins decide about people and tokens, the same in SQLite and PostgreSQL.

-- After a rotation the secret that a token had before is good until `previous_until`.
ALTER TABLE api_tokens ADD COLUMN previous_digest TEXT;
ALTER TABLE api_tokens ADD COLUMN previous_until BIGINT;
ALTER TABLE api_tokens ADD COLUMN version BIGINT NOT NULL DEFAULT 1;
CREATE UNIQUE INDEX api_tokens_previous ON api_tokens (previous_digest);

-- Which roles the members of an identity provider's group get. A row is before the configuration's entry
-- of the same name, also one without roles.
CREATE TABLE groups (
    id TEXT PRIMARY KEY,
    roles TEXT NOT NULL,
    version BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    updated BIGINT NOT NULL
);
