-- Where members of the trust zone say that they are, as instances of the service of their name: one row for each member,
-- gone when it leaves or was not heard of for a while.
CREATE TABLE zone_registrations (
    member TEXT NOT NULL PRIMARY KEY,
    service TEXT NOT NULL,
    address TEXT NOT NULL,
    prefix TEXT,
    version TEXT,
    healthy BIGINT NOT NULL,
    capabilities TEXT,
    registered BIGINT NOT NULL,
    seen BIGINT NOT NULL
);

CREATE INDEX zone_registrations_seen ON zone_registrations (seen);
