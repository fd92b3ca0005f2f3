-- What others said of a deploy and were told of it, the same in SQLite and PostgreSQL. It is for people to look at: no
-- decision is read from here, since each one asks again.
CREATE TABLE approval_findings (
    approval_id TEXT NOT NULL REFERENCES approvals (id) ON DELETE CASCADE,
    source TEXT NOT NULL,
    position BIGINT NOT NULL,
    what TEXT NOT NULL,
    good BIGINT NOT NULL,
    said TEXT NOT NULL,
    url TEXT,
    found BIGINT NOT NULL,
    PRIMARY KEY (approval_id, source, position)
);
