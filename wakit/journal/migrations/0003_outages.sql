-- One row for each outage of the whole fleet: trouble is network, service or outdated; sessions is how many it hit;
-- started_at is the first failure that led to it. One that was open when its daemon ended reaches to the last sign of
-- life; a next daemon finds out anew.
CREATE VIEW outages AS
WITH told AS (
    SELECT
        seq, kind, ts, code, reason, detail, run_id, declaration_rev, git_commit, git_branch,
        lead(ts) OVER later AS next_ts,
        lead(detail) OVER later AS next_detail
    FROM events
    WHERE kind IN ('outage', 'outage_over')
    WINDOW later AS (PARTITION BY run_id ORDER BY seq)
),
measured AS (
    SELECT
        told.*,
        told.ts - to_milliseconds(
            CAST(1000 * coalesce(TRY_CAST(told.detail ->> 'began_seconds_before' AS DOUBLE), 0) AS BIGINT)
        ) AS started_at,
        greatest(coalesce(next_ts, runs.seen_at), told.ts) AS until,
        next_ts IS NULL AND runs.open AS open
    FROM told
    JOIN runs USING (run_id)
    WHERE kind = 'outage'
)
SELECT
    code AS trouble,
    started_at,
    CASE WHEN NOT open THEN until END AS ended_at,
    epoch(until - started_at) AS seconds,
    coalesce(TRY_CAST(next_detail ->> 'sessions' AS BIGINT), TRY_CAST(detail ->> 'sessions' AS BIGINT), 0) AS sessions,
    reason,
    run_id,
    declaration_rev,
    git_commit,
    git_branch,
    seq
FROM measured
ORDER BY seq;

-- What incidents were before there were outages: each session's own, and the times in which none was connected.
ALTER VIEW incidents RENAME TO interruptions;

-- An outage is one incident, and not one for each session that it hit: what began in it (a connection may be lost a
-- minute before a dial fails), and was over soon after it, is the outage's. state is then 'outage'.
CREATE VIEW incidents AS
WITH known AS MATERIALIZED (
    SELECT * FROM outages
),
own AS MATERIALIZED (
    SELECT * FROM interruptions
),
explained AS (
    SELECT DISTINCT own.seq, own.session
    FROM own
    JOIN known
        ON own.started_at >= known.started_at - INTERVAL 60 SECOND
        AND own.started_at <= coalesce(known.ended_at, 'infinity'::TIMESTAMP)
        AND own.started_at + to_milliseconds(CAST(1000 * own.seconds AS BIGINT))
            <= coalesce(known.ended_at + INTERVAL 10 MINUTE, 'infinity'::TIMESTAMP)
),
every AS (
    SELECT own.*
    FROM own
    LEFT JOIN explained ON own.seq = explained.seq AND own.session IS NOT DISTINCT FROM explained.session
    WHERE explained.seq IS NULL
    UNION ALL
    SELECT
        NULL, sessions, started_at, ended_at, seconds, 'outage', reason, trouble, declaration_rev, git_commit,
        git_branch, run_id, seq
    FROM known
)
SELECT * FROM every
ORDER BY started_at, session NULLS FIRST;
