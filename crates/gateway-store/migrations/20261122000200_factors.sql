-- Second factors of people, the same in SQLite and PostgreSQL.

-- `sealed` is base64 of nonce and AES-256-GCM ciphertext, under the key that `key_id` names. `last_step`
-- is the newest step of 30 s whose code was spent: each change compares against it, so that no code is
-- good twice.
CREATE TABLE factors (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    sealed TEXT NOT NULL,
    key_id TEXT NOT NULL,
    created BIGINT NOT NULL,
    confirmed BIGINT,
    last_used BIGINT,
    last_step BIGINT NOT NULL
);
CREATE INDEX factors_user ON factors (user_id);

CREATE TABLE backup_codes (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    digest TEXT NOT NULL,
    created BIGINT NOT NULL,
    used BIGINT,
    PRIMARY KEY (user_id, digest)
);

-- The newest second factor given with each session, and what it was given as. Gone with its session.
CREATE TABLE step_ups (
    credential_id TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    opened BIGINT NOT NULL,
    factor TEXT NOT NULL,
    code_digest TEXT NOT NULL
);
CREATE INDEX step_ups_factor ON step_ups (factor);

-- Codes that were tried with each session since `since` and were not (or not yet) found right.
CREATE TABLE step_up_tries (
    credential_id TEXT PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    since BIGINT NOT NULL,
    tries BIGINT NOT NULL
);
