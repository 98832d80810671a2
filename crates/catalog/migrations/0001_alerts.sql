-- Runs on SQLite and PostgreSQL: only TEXT, BIGINT and DOUBLE PRECISION. Times are nanoseconds since the epoch.
-- A column called `sealed` is base64 of AES-256-GCM, bound to its table and row; everything that a sender or a person
-- wrote is in there. What is in clear is what lists are filtered, sorted and counted by.

CREATE TABLE meta (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE alerts (
    id TEXT NOT NULL PRIMARY KEY,
    rule_id TEXT NOT NULL,
    level BIGINT NOT NULL,
    state TEXT NOT NULL,
    resolution TEXT,
    origin TEXT NOT NULL,
    event_count BIGINT NOT NULL,
    finding_count BIGINT NOT NULL,
    first_seen_at BIGINT NOT NULL,
    last_seen_at BIGINT NOT NULL,
    opened_at BIGINT NOT NULL,
    acknowledged_at BIGINT,
    resolved_at BIGINT,
    changed_at BIGINT NOT NULL,
    sealed TEXT NOT NULL
);

CREATE INDEX alerts_by_time ON alerts (last_seen_at, id);
CREATE INDEX alerts_by_state ON alerts (state, last_seen_at, id);
CREATE INDEX alerts_by_rule ON alerts (rule_id, last_seen_at, id);

-- `entity` is a keyed hash of field and value: equal ones can be found with the key, and read by nobody.
CREATE TABLE alert_entities (
    entity TEXT NOT NULL,
    alert_id TEXT NOT NULL,
    PRIMARY KEY (entity, alert_id)
);

-- What people did to an alert, and when it reopened by itself.
CREATE TABLE alert_history (
    alert_id TEXT NOT NULL,
    sequence BIGINT NOT NULL,
    happened_at BIGINT NOT NULL,
    sealed TEXT NOT NULL,
    PRIMARY KEY (alert_id, sequence)
);

-- Up to where each source has been read into frames that are folded. `source` is a keyed hash.
CREATE TABLE positions (
    source TEXT NOT NULL PRIMARY KEY,
    position BIGINT NOT NULL,
    frame BIGINT NOT NULL,
    sealed TEXT NOT NULL
);

CREATE INDEX positions_by_frame ON positions (frame);
