-- From where it is looked whether anything answers that should not: the gateway itself, and agents elsewhere. `seen` is JSON.
-- `revision` grows with each write, so that two instances do not overwrite each other.
CREATE TABLE vantage_points (
    name TEXT NOT NULL PRIMARY KEY,
    reporter TEXT NOT NULL,
    reporter_name TEXT NOT NULL,
    reported BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    seen TEXT NOT NULL
);

-- Connections without an identity that the gateway itself last tried at services of its zone: their refusal is no news.
CREATE TABLE zone_knocks (
    service TEXT NOT NULL PRIMARY KEY,
    source TEXT NOT NULL,
    tries BIGINT NOT NULL,
    at BIGINT NOT NULL
);
