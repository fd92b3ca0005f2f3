-- Searches by an exact action, and for refusals, are answered by an index as those by actor and app are. Refusals are
-- few: their index holds nothing else.
CREATE INDEX audit_leaves_action ON audit_leaves (action, idx);
CREATE INDEX audit_leaves_refusals ON audit_leaves (idx) WHERE decision = 'refuse';

-- Searches of the log that somebody kept under a name, for oneself or shared with everybody.
CREATE TABLE saved_searches (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    filter TEXT NOT NULL,
    shared BIGINT NOT NULL,
    saved BIGINT NOT NULL,
    UNIQUE (user_id, name)
);
CREATE INDEX saved_searches_shared ON saved_searches (shared, name);

-- How many requests were decided: by day (since 1970, UTC), action and verdict. Counted in pieces, and `next` is the first entry that
-- is not counted yet.
CREATE TABLE audit_counts (
    day BIGINT NOT NULL,
    action TEXT NOT NULL,
    decision TEXT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (day, action, decision)
);
CREATE TABLE audit_counted (
    id BIGINT PRIMARY KEY CHECK (id = 1),
    next BIGINT NOT NULL
);
INSERT INTO audit_counted (id, next) VALUES (1, 0);
