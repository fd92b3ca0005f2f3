-- What a session was refused for want of a second factor, so that its person can confirm it elsewhere.
-- One open row for each session, action and target; `target` is the method and path that was asked for.
CREATE TABLE step_up_challenges (
    id TEXT PRIMARY KEY,
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    action TEXT NOT NULL,
    resource TEXT NOT NULL,
    target TEXT NOT NULL,
    bound BIGINT NOT NULL CHECK (bound IN (0, 1)),
    ip TEXT,
    created BIGINT NOT NULL,
    expires BIGINT NOT NULL,
    confirmed BIGINT,
    factor TEXT,
    used BIGINT,
    UNIQUE (session_id, action, target)
);
CREATE INDEX step_up_challenges_expires ON step_up_challenges (expires);
