-- Records that inputs refused or lost: how many in an hour (counted since the epoch), of which source and why. `row` is
-- a keyed hash of all that; who and why are sealed.

CREATE TABLE losses (
    row TEXT NOT NULL PRIMARY KEY,
    hour BIGINT NOT NULL,
    records BIGINT NOT NULL,
    sealed TEXT NOT NULL
);

CREATE INDEX losses_by_hour ON losses (hour);
