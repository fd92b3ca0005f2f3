-- Signing in, the same in SQLite and PostgreSQL. Times are microseconds UTC, digests are SHA-256 in
-- lower-case hexadecimal.

-- Who a person is at an identity provider. `issuer` and `subject` are the key: an e-mail address only links
-- a person the first time. `managed` = 1: the person was made for what groups gave; `group_roles` is what
-- they gave last.
CREATE TABLE identities (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    email TEXT NOT NULL,
    managed BIGINT NOT NULL CHECK (managed IN (0, 1)),
    group_roles TEXT NOT NULL,
    linked BIGINT NOT NULL,
    last_seen BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject),
    UNIQUE (issuer, user_id)
);
CREATE INDEX identities_user ON identities (user_id);

-- Sign-ins that wait for the provider to send the browser back. `sealed` is all that is kept of one: base64 of
-- nonce and AES-256-GCM ciphertext, under the key that `key_id` names. `source` is an address, or the /64 of one.
CREATE TABLE sign_ins (
    id TEXT PRIMARY KEY,
    state_digest TEXT NOT NULL UNIQUE,
    browser_digest TEXT NOT NULL,
    sealed TEXT NOT NULL,
    key_id TEXT NOT NULL,
    source TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT
);
CREATE INDEX sign_ins_source ON sign_ins (source, expires);
CREATE INDEX sign_ins_expires ON sign_ins (expires);

-- Codes that a command line turns into a session, once (RFC 8252). `session_id` is the session that came of
-- one; `replayed` is set when it was presented again.
CREATE TABLE cli_codes (
    digest TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    code_challenge TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    device TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    used BIGINT,
    replayed BIGINT,
    session_id TEXT
);
CREATE INDEX cli_codes_expires ON cli_codes (expires);

-- Devices that wait for a person to let them in (RFC 8628). `state` is pending, approved, denied or used;
-- `poll_interval` is in microseconds, `hasty` = 1 when the last poll came too early.
CREATE TABLE device_sign_ins (
    id TEXT PRIMARY KEY,
    device_digest TEXT NOT NULL UNIQUE,
    user_code TEXT NOT NULL UNIQUE,
    device TEXT NOT NULL,
    ip TEXT NOT NULL,
    source TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    poll_interval BIGINT NOT NULL,
    last_poll BIGINT,
    hasty BIGINT NOT NULL CHECK (hasty IN (0, 1)),
    state TEXT NOT NULL,
    user_id TEXT REFERENCES users (id) ON DELETE CASCADE,
    decided BIGINT
);
CREATE INDEX device_sign_ins_source ON device_sign_ins (source, expires);
CREATE INDEX device_sign_ins_expires ON device_sign_ins (expires);

-- User codes that were tried with each session since `since` and were not (or not yet) found right.
CREATE TABLE device_tries (
    session_id TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    since BIGINT NOT NULL,
    tries BIGINT NOT NULL
);

-- What the gateway learnt about itself and keeps, each set once.
CREATE TABLE kept (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    created BIGINT NOT NULL
);
