-- Passkeys, security keys and Yubico OTP keys beside authenticators, the same in SQLite and PostgreSQL.

-- How the key names itself, in text that is one key's alone. `last_step` of a passkey is the newest counter that it
-- signed with, of a Yubico key the newest of its two counters taken together.
ALTER TABLE factors ADD COLUMN credential TEXT;
CREATE UNIQUE INDEX factors_credential ON factors (credential);

-- Challenges that passkeys were given and have not answered. Each is of one asker (a session, or a sign-in that waits
-- for its factor) and for one purpose; taking one deletes it.
CREATE TABLE webauthn_ceremonies (
    challenge TEXT PRIMARY KEY,
    asker TEXT NOT NULL,
    purpose TEXT NOT NULL,
    state TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX webauthn_ceremonies_asker ON webauthn_ceremonies (asker);
CREATE INDEX webauthn_ceremonies_expires ON webauthn_ceremonies (expires);
