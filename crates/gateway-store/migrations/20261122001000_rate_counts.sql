-- What each instance has let through of each limit, ever: a sum that only grows, so that other instances can read
-- it late or twice. `told` is the database's own clock.
CREATE TABLE rate_counts (
    bucket TEXT NOT NULL,
    instance TEXT NOT NULL,
    used BIGINT NOT NULL,
    told BIGINT NOT NULL,
    PRIMARY KEY (bucket, instance)
);

CREATE INDEX rate_counts_told ON rate_counts (told);
