-- Codes that were tried with any session of a person since `since` and were not (or not yet) found right: who
-- can open many sessions must not have many guesses.
CREATE TABLE person_tries (
    user_id TEXT PRIMARY KEY REFERENCES users (id) ON DELETE CASCADE,
    since BIGINT NOT NULL,
    tries BIGINT NOT NULL
);
