-- Sessions in the rack and what was recorded of them. This file has a twin for the other database.
--
-- One row for each session, recorded or not. `state` is `live`, `ended`, or `cut`: the instance that held it died.
-- `beat` is by the database's clock. `sealed` is the key of the chunks, under the key derived of APP_SECRET_KEY.
CREATE TABLE recordings (
    id TEXT PRIMARY KEY,
    run_id TEXT NOT NULL,
    request_id TEXT NOT NULL,
    action TEXT NOT NULL,
    app TEXT,
    target TEXT NOT NULL,
    command TEXT,
    user_id TEXT,
    actor TEXT NOT NULL,
    source_ip TEXT NOT NULL,
    mode TEXT NOT NULL,
    state TEXT NOT NULL,
    began BIGINT NOT NULL,
    ended BIGINT,
    ending TEXT,
    chunks BIGINT NOT NULL,
    plain_bytes BIGINT NOT NULL,
    lost_bytes BIGINT NOT NULL,
    digest TEXT NOT NULL,
    beat BIGINT NOT NULL,
    stop_reason TEXT,
    stop_by TEXT,
    key_id TEXT NOT NULL,
    sealed TEXT NOT NULL
);
CREATE INDEX recordings_of_app ON recordings (app, id);
CREATE INDEX recordings_state ON recordings (state, run_id);
CREATE INDEX recordings_ended ON recordings (ended);

CREATE TABLE recording_chunks (
    recording_id TEXT NOT NULL REFERENCES recordings (id),
    sequence BIGINT NOT NULL,
    is_last BIGINT NOT NULL,
    digest TEXT NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (recording_id, sequence)
);
