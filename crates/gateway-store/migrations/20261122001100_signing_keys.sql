-- Keys that sign request tokens for services, one after the other. `public` is the key as a JWK has it; the secret is
-- sealed. A generation is made once, whoever of several instances is first.
CREATE TABLE signing_keys (
    generation BIGINT PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    public TEXT NOT NULL,
    sealed TEXT NOT NULL,
    key_id TEXT NOT NULL,
    created BIGINT NOT NULL,
    active_from BIGINT NOT NULL
);
