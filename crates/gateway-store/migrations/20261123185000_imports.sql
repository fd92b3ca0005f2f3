-- What was taken over from another gateway's database, so that nothing is taken twice, and nothing that was since
-- revoked, removed or reset here comes back: `kind` is user, token, setting or appendix, `key` what names it there.
CREATE TABLE imports (
    source TEXT NOT NULL,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    taken BIGINT NOT NULL,
    PRIMARY KEY (source, kind, key)
);

-- That this database was restored from a backup, as JSON, until an event says so: written in the transaction that
-- restored it.
CREATE TABLE restorations (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    said TEXT NOT NULL
);
