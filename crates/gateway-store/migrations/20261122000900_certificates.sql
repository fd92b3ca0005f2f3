-- The account that a gateway has at an ACME server (RFC 8555), by the address of the server's directory.
CREATE TABLE acme_accounts (
    directory TEXT PRIMARY KEY,
    sealed TEXT NOT NULL,
    key_id TEXT NOT NULL,
    created BIGINT NOT NULL
);

-- The present certificate of each name. `renew_at` is what the server suggested (RFC 9773), `ask_again` when it
-- is asked for its suggestion next.
CREATE TABLE certificates (
    name TEXT PRIMARY KEY,
    directory TEXT NOT NULL,
    chain TEXT NOT NULL,
    sealed TEXT NOT NULL,
    key_id TEXT NOT NULL,
    not_before BIGINT NOT NULL,
    not_after BIGINT NOT NULL,
    renew_at BIGINT,
    ask_again BIGINT,
    created BIGINT NOT NULL
);

-- What was tried for a name since its last certificate: an order that is not finished, with the key that it is
-- for, and how often it failed.
CREATE TABLE acme_attempts (
    name TEXT PRIMARY KEY,
    directory TEXT NOT NULL,
    failures BIGINT NOT NULL,
    last_error TEXT,
    next_try BIGINT,
    order_url TEXT,
    sealed TEXT,
    key_id TEXT
);

-- Answers to challenges that the server may ask for at any instance. They are no secrets.
CREATE TABLE acme_challenges (
    kind TEXT NOT NULL,
    token TEXT NOT NULL,
    name TEXT NOT NULL,
    key_authorization TEXT NOT NULL,
    created BIGINT NOT NULL,
    PRIMARY KEY (kind, token)
);

-- A token that stands for a client certificate has no secret: its digest is one of the certificate's key.
ALTER TABLE api_tokens ADD COLUMN of_certificate BIGINT NOT NULL DEFAULT 0;
