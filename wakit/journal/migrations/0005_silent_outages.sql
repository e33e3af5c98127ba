-- As before, and: a connection that fell silent in an outage of the network is told to be deaf up to 45 s after its last
-- byte, when the outage may be over already. So what began as deafness within a minute of the outage's beginning is the
-- outage's as well.
CREATE OR REPLACE VIEW incidents AS
WITH known AS MATERIALIZED (
    SELECT
        *,
        coalesce(ended_at, 'infinity'::TIMESTAMP) AS over_at,
        greatest(
            coalesce(ended_at, 'infinity'::TIMESTAMP),
            CASE WHEN trouble = 'network' THEN started_at + INTERVAL 60 SECOND ELSE started_at END
        ) AS deaf_until
    FROM outages
),
own AS MATERIALIZED (
    SELECT * FROM interruptions
),
explained AS (
    SELECT DISTINCT own.seq, own.session
    FROM own
    JOIN known
        ON own.started_at >= known.started_at - INTERVAL 60 SECOND
        AND own.started_at <= known.deaf_until
        AND (own.code = 'deaf' OR own.started_at <= known.over_at)
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
