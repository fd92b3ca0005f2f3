-- What people hold besides their roles, the same in SQLite and PostgreSQL.

-- A role for a while. `app` NULL = the rack and every app. A waiting one is void from `answer_by` on, a live one
-- from `expires` on, whatever `state` says.
CREATE TABLE elevations (
    id TEXT PRIMARY KEY,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    role TEXT NOT NULL,
    app TEXT,
    reason TEXT NOT NULL,
    length BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('waiting', 'live', 'rejected', 'ended', 'expired')),
    created BIGINT NOT NULL,
    answer_by BIGINT NOT NULL,
    begins BIGINT,
    expires BIGINT,
    closed BIGINT,
    closed_by TEXT
);
CREATE INDEX elevations_state ON elevations (state);
CREATE INDEX elevations_user ON elevations (user_id);

-- Who approved it. A person counts once.
CREATE TABLE elevation_approvals (
    elevation_id TEXT NOT NULL REFERENCES elevations (id) ON DELETE CASCADE,
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    name TEXT NOT NULL,
    approved BIGINT NOT NULL,
    PRIMARY KEY (elevation_id, user_id)
);

-- A role for a person (`subject` = id) or for the members of a group (`subject` = its name, as the provider
-- writes it). `app` empty = the rack and every app.
CREATE TABLE role_grants (
    id TEXT PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('person', 'group')),
    subject TEXT NOT NULL,
    role TEXT NOT NULL,
    app TEXT NOT NULL,
    granted_by TEXT NOT NULL,
    created BIGINT NOT NULL,
    UNIQUE (kind, subject, role, app)
);

-- The groups of a person, as the identity provider named them at the last sign-in.
CREATE TABLE user_groups (
    user_id TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    group_id TEXT NOT NULL,
    PRIMARY KEY (user_id, group_id)
);
