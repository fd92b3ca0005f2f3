-- What the deployment holds: one row for each machine. The api writes it, the engine carries it out.
CREATE TABLE machines (
    name text PRIMARY KEY CHECK (name ~ '^[a-z][a-z0-9-]{0,30}$'),
    address inet NOT NULL,
    mac macaddr NOT NULL,
    asked_by text NOT NULL,
    revision bigint NOT NULL DEFAULT 1,
    applied bigint NOT NULL DEFAULT 0,
    trouble text
);
