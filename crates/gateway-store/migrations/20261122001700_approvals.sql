-- Deploy approvals, the same in SQLite and PostgreSQL.

-- What is asked for and what was done with it. `request` and `bound` are JSON; `bound_seal` is a keyed digest of what
-- counts, so that a row that was not written by the gateway does not count. A pending one is void from `answer_by`
-- on, an approved or deploying one from `expires` on, whatever `state` says.
CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    app TEXT NOT NULL,
    commit_id TEXT NOT NULL,
    requester TEXT NOT NULL,
    requester_name TEXT NOT NULL,
    person TEXT,
    request TEXT NOT NULL,
    state TEXT NOT NULL
        CHECK (state IN ('pending', 'approved', 'deploying', 'deployed', 'rejected', 'expired', 'withdrawn')),
    created BIGINT NOT NULL,
    answer_by BIGINT NOT NULL,
    expires BIGINT,
    extended BIGINT NOT NULL DEFAULT 0,
    bound TEXT NOT NULL,
    bound_seal TEXT NOT NULL,
    closed BIGINT,
    closed_by TEXT,
    reason TEXT,
    version BIGINT NOT NULL DEFAULT 1
);
CREATE INDEX approvals_requester ON approvals (app, requester);
CREATE INDEX approvals_state ON approvals (state);

-- Who approved it, and exactly what. A person counts once for each purpose.
CREATE TABLE approval_signatures (
    approval_id TEXT NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    purpose TEXT NOT NULL CHECK (purpose IN ('approve', 'extend')),
    name TEXT NOT NULL,
    method TEXT NOT NULL CHECK (method IN ('passkey', 'code', 'none')),
    statement TEXT NOT NULL,
    proof TEXT,
    reason TEXT,
    made BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    seal TEXT NOT NULL,
    PRIMARY KEY (approval_id, user_id, purpose)
);

-- What a passkey signed a moment ago, until the request that it was asked for takes it.
CREATE TABLE approval_proofs (
    approval_id TEXT NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL,
    purpose TEXT NOT NULL,
    statement TEXT NOT NULL,
    proof TEXT NOT NULL,
    made BIGINT NOT NULL,
    PRIMARY KEY (approval_id, user_id, purpose)
);
