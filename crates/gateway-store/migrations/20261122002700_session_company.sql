-- Who is with whom in a session, the same in SQLite and PostgreSQL.
--
-- `second` is NULL for a session that needs no second person, else `waits` or `there`. A row of `session_company` is one
-- person at one session; `part` is `watch` or `second`. `beat` is by the database's clock; whoever has not given a sign of
-- life for some seconds is gone.
ALTER TABLE recordings ADD COLUMN second TEXT;

CREATE TABLE session_company (
    recording_id TEXT NOT NULL REFERENCES recordings (id),
    who TEXT NOT NULL,
    name TEXT NOT NULL,
    part TEXT NOT NULL,
    since BIGINT NOT NULL,
    beat BIGINT NOT NULL,
    PRIMARY KEY (recording_id, who)
);
