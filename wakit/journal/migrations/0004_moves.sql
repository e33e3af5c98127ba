-- What stretches were, but for a session that wakit moves into another worker: from connected to connected it is in no
-- trouble. One that does not arrive is, from the beginning.
CREATE OR REPLACE VIEW stretches AS
WITH pieces AS (
    SELECT
        2 * seq AS piece, seq, session, started_at, ended_at, open, state, reason, code, run_id,
        CASE state WHEN 'connected' THEN 'up' WHEN 'parked' THEN 'off' WHEN 'retired' THEN 'off' ELSE 'down' END AS class
    FROM spans
    UNION ALL
    SELECT
        2 * spans.seq + 1, spans.seq, session, spans.ended_at, next_at, false, 'no_daemon',
        CASE WHEN runs.stopped_at IS NULL THEN 'no daemon ran: the last one ended without a word'
             ELSE 'no daemon ran: the last one was stopped' END,
        'no_daemon', spans.run_id, 'down'
    FROM spans
    JOIN runs USING (run_id)
    WHERE next_run <> spans.run_id AND next_at > spans.ended_at AND state NOT IN ('parked', 'retired')
)
SELECT
    *,
    class = 'down'
    AND NOT coalesce(
        code = 'moved' AND state = 'starting' AND lag(class) OVER own = 'up'
        AND coalesce(lead(class) OVER own, 'up') = 'up',
        false
    )
    AND coalesce(last_value(
        CASE
            WHEN class = 'off' THEN false
            WHEN class = 'up' OR state NOT IN ('declared', 'starting', 'pairing', 'paired', 'no_daemon') THEN true
        END IGNORE NULLS
    ) OVER (PARTITION BY session ORDER BY piece ROWS UNBOUNDED PRECEDING), false) AS trouble
FROM pieces
WINDOW own AS (PARTITION BY session ORDER BY piece);
