-- Plain tables without keys or indexes: rows arrive in the order of seq, so DuckDB's zone maps already find a seq or
-- a time quickly, and an index would cost memory and slow every commit. All times are UTC.

CREATE TABLE events (
    seq BIGINT NOT NULL,
    ts TIMESTAMP NOT NULL,
    session VARCHAR,
    kind VARCHAR NOT NULL,
    state_from VARCHAR,
    state_to VARCHAR,
    reason VARCHAR NOT NULL,
    code VARCHAR,
    detail JSON NOT NULL,
    worker_pid BIGINT,
    run_id VARCHAR NOT NULL,
    declaration_rev BIGINT,
    git_commit VARCHAR,
    git_branch VARCHAR
);

CREATE TABLE declarations (
    rev BIGINT NOT NULL,
    sha256 VARCHAR NOT NULL,
    loaded_at TIMESTAMP NOT NULL,
    git_commit VARCHAR,
    git_branch VARCHAR,
    dirty BOOLEAN NOT NULL,
    text VARCHAR NOT NULL
);

-- When a run's journal was last known to be alive: one row a run, moved on while nothing else happens. Without it a
-- quiet night that ends in a power cut would count as a night without a daemon.
CREATE TABLE pulses (run_id VARCHAR NOT NULL, ts TIMESTAMP NOT NULL);

-- One row: which journal this is. A mirror that meets another one starts over.
CREATE TABLE identity (id VARCHAR NOT NULL, created_at TIMESTAMP NOT NULL);
