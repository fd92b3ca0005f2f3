-- Machines without secrets of their own, and the codes for emergencies. The same in SQLite and PostgreSQL. Times
-- are microseconds UTC, digests are SHA-256 in lower-case hexadecimal, lists are JSON.

-- Source networks that a token may be used from (none = everywhere); until when its owner was warned of its end.
ALTER TABLE api_tokens ADD COLUMN networks TEXT NOT NULL DEFAULT '[]';
ALTER TABLE api_tokens ADD COLUMN warned_of BIGINT;

-- Which tokens of CI systems, and which client certificates, sign a machine in, and with what rights. `claims` is
-- a JSON object of names and lists of values: every name must hold, with one of its values.
CREATE TABLE trust_rules (
    name TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    issuer TEXT NOT NULL,
    claims TEXT NOT NULL,
    authority TEXT,
    roles TEXT NOT NULL,
    grants TEXT NOT NULL,
    networks TEXT NOT NULL,
    lifetime BIGINT NOT NULL,
    version BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated_by TEXT NOT NULL,
    updated BIGINT NOT NULL,
    last_used BIGINT,
    last_used_ip TEXT
);
CREATE INDEX trust_rules_kind ON trust_rules (kind, issuer);

-- Sets of offline codes; the one that is not retired is in force.
CREATE TABLE break_glass_sets (
    id TEXT PRIMARY KEY,
    threshold BIGINT NOT NULL,
    codes BIGINT NOT NULL,
    created BIGINT NOT NULL,
    created_by TEXT NOT NULL,
    retired BIGINT
);

-- Each use of them: who said to be it, why, for what, until when; and who looked at it afterwards.
CREATE TABLE break_glass_uses (
    id TEXT PRIMARY KEY,
    set_id TEXT NOT NULL REFERENCES break_glass_sets (id),
    person TEXT NOT NULL,
    reason TEXT NOT NULL,
    scope TEXT NOT NULL,
    roles TEXT NOT NULL,
    grants TEXT NOT NULL,
    source_ip TEXT,
    opened BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    ended BIGINT,
    ended_by TEXT,
    end_told BIGINT,
    reviewed BIGINT,
    reviewed_by TEXT,
    review TEXT
);
CREATE INDEX break_glass_uses_open ON break_glass_uses (reviewed, ends);

CREATE TABLE break_glass_codes (
    digest TEXT PRIMARY KEY,
    set_id TEXT NOT NULL REFERENCES break_glass_sets (id),
    number BIGINT NOT NULL,
    used BIGINT,
    use_id TEXT REFERENCES break_glass_uses (id)
);
CREATE INDEX break_glass_codes_set ON break_glass_codes (set_id);

-- Tries that failed, by the address that they came from.
CREATE TABLE break_glass_tries (
    id TEXT PRIMARY KEY,
    source TEXT NOT NULL,
    tried BIGINT NOT NULL
);
CREATE INDEX break_glass_tries_source ON break_glass_tries (source, tried);

-- Short tokens: of a trust rule as it was when the token was given, or of a use of the codes.
CREATE TABLE workloads (
    id TEXT PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    rule TEXT REFERENCES trust_rules (name) ON DELETE CASCADE,
    rule_version BIGINT,
    break_glass TEXT REFERENCES break_glass_uses (id),
    subject TEXT NOT NULL,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL
);
CREATE INDEX workloads_rule ON workloads (rule);
CREATE INDEX workloads_expires ON workloads (expires);

-- Tokens of CI systems that were exchanged, by their issuer and id: each is good once.
CREATE TABLE exchanged_tokens (
    digest TEXT PRIMARY KEY,
    expires BIGINT NOT NULL
);
CREATE INDEX exchanged_tokens_expires ON exchanged_tokens (expires);
