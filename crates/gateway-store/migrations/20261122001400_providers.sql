-- Sessions at identity providers, trusted devices and growing delays. The same in SQLite and PostgreSQL. Times
-- are microseconds UTC, digests are SHA-256 in lower-case hexadecimal.

-- One sign-in at a provider, from which sessions here come: of the browser, of a command line beside it, of
-- devices that it let in. `sid` is what the provider calls its session. `sealed` is what the provider is asked
-- again with: base64 of nonce and AES-256-GCM ciphertext, under the key that `key_id` names. `refresh_at` is
-- when that is due; NULL = never. `ended` is set when the provider, or an admin, ended it: nothing comes of it
-- any more.
CREATE TABLE provider_sessions (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider TEXT NOT NULL,
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    sid TEXT,
    sealed TEXT,
    key_id TEXT,
    created BIGINT NOT NULL,
    refresh_at BIGINT,
    ended BIGINT
);
CREATE INDEX provider_sessions_subject ON provider_sessions (issuer, subject);
CREATE INDEX provider_sessions_refresh ON provider_sessions (refresh_at);
CREATE INDEX provider_sessions_created ON provider_sessions (created);
CREATE INDEX provider_sessions_user ON provider_sessions (user_id);

-- Logout tokens that were used, by a digest of issuer and `jti`, until they are over by themselves.
CREATE TABLE logout_tokens (
    digest TEXT PRIMARY KEY,
    expires BIGINT NOT NULL
);
CREATE INDEX logout_tokens_expires ON logout_tokens (expires);

-- `client` is the program that opened the session, as it says; `last_ip` is from where it was last used.
ALTER TABLE sessions ADD COLUMN provider_session TEXT;
ALTER TABLE sessions ADD COLUMN client TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN last_ip TEXT;
CREATE INDEX sessions_provider_session ON sessions (provider_session);
ALTER TABLE cli_codes ADD COLUMN provider_session TEXT;
ALTER TABLE device_sign_ins ADD COLUMN provider_session TEXT;

-- Browsers that need no second factor to sign in. `digest` is of the secret in the browser's cookie.
CREATE TABLE trusted_devices (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    ip TEXT,
    created BIGINT NOT NULL,
    last_used BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX trusted_devices_user ON trusted_devices (user_id);

-- `failed`: codes that were wrong since the last right one, so that each further round of tries waits longer.
-- `told`: the `since` of the round whose end the person was told of. `of_person`: how many of a session's tries are
-- counted in `person_tries` too.
ALTER TABLE step_up_tries ADD COLUMN failed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE step_up_tries ADD COLUMN told BIGINT;
ALTER TABLE step_up_tries ADD COLUMN of_person BIGINT NOT NULL DEFAULT 0;
ALTER TABLE person_tries ADD COLUMN failed BIGINT NOT NULL DEFAULT 0;
ALTER TABLE person_tries ADD COLUMN told BIGINT;
