-- What the sentinel saw of the rack when it last looked, as JSON: one row, of whichever instance looked.
CREATE TABLE sentinel (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    seen TEXT NOT NULL
);
