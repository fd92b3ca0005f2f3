-- Work that is done later and again until it succeeds, the same in SQLite and PostgreSQL.

-- `attempt` grows with each claim and never shrinks: who finishes a job names it, so that a job that was
-- taken over cannot be finished by the one who lost it. `tries` counts the claims since the job was made or
-- retried by hand; at `most_tries` it is dead. `payload` is JSON of at most 16 KiB and holds no secret.
CREATE TABLE jobs (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL,
    unique_key TEXT,
    state TEXT NOT NULL,
    run_at BIGINT NOT NULL,
    attempt BIGINT NOT NULL,
    tries BIGINT NOT NULL,
    most_tries BIGINT NOT NULL,
    holder TEXT,
    lease_until BIGINT,
    error TEXT,
    created BIGINT NOT NULL,
    finished BIGINT
);
CREATE UNIQUE INDEX jobs_unique_key ON jobs (kind, unique_key);
CREATE INDEX jobs_due ON jobs (state, run_at);
