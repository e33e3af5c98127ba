-- The views read no clock: what is still going on reaches to the last sign of life of the newest run. So a question
-- has one answer, in the daemon, in a mirror, and in the file of a daemon that is long gone.

-- One row a run (a daemon from its start to its end). seen_at is its last sign of life; open: it is the newest one and
-- has not said that it stopped.
CREATE VIEW runs AS
WITH extents AS (
    SELECT
        run_id,
        min(seq) AS first_seq,
        max(seq) AS last_seq,
        min(ts) AS started_at,
        max(ts) AS last_event_at,
        max(ts) FILTER (kind = 'daemon_stop') AS stopped_at
    FROM events
    GROUP BY run_id
)
SELECT
    run_id,
    first_seq,
    last_seq,
    started_at,
    greatest(last_event_at, pulse.ts) AS seen_at,
    stopped_at,
    stopped_at IS NULL AND lead(first_seq) OVER (ORDER BY first_seq) IS NULL AS open
FROM extents
LEFT JOIN (SELECT run_id, max(ts) AS ts FROM pulses GROUP BY run_id) AS pulse USING (run_id);

-- What each session is in now, or was in when last heard of (seen_at).
CREATE VIEW sessions_now AS
WITH newest AS (
    SELECT
        session,
        max(seq) AS seq,
        coalesce(arg_max(ts, seq) FILTER (state_from IS DISTINCT FROM state_to), min(ts)) AS since
    FROM events
    WHERE kind = 'state'
    GROUP BY session
)
SELECT
    events.session,
    events.state_to AS state,
    newest.since,
    events.reason,
    events.code,
    events.worker_pid,
    events.declaration_rev,
    events.git_commit,
    events.git_branch,
    events.run_id,
    runs.seen_at,
    events.seq
FROM events
JOIN newest USING (seq)
JOIN runs USING (run_id)
WHERE events.seq IN (SELECT seq FROM newest)
ORDER BY events.session;

-- One row for each time a session was in a state. Nothing reaches past the end of the run that saw it. A clock that was
-- set back never makes a session's time run backwards: within a session, ts is the latest so far.
CREATE VIEW spans AS
WITH ordered AS (
    SELECT
        seq, session, state_to AS state, reason, code, run_id, declaration_rev, git_commit, git_branch,
        max(ts) OVER (PARTITION BY session ORDER BY seq ROWS UNBOUNDED PRECEDING) AS started_at
    FROM events
    WHERE kind = 'state'
),
followed AS (
    SELECT
        ordered.*,
        greatest(ordered.started_at, runs.seen_at) AS run_end,
        runs.open AS run_open,
        lead(ordered.started_at) OVER sessions AS next_at,
        lead(ordered.run_id) OVER sessions AS next_run
    FROM ordered
    JOIN runs USING (run_id)
    WINDOW sessions AS (PARTITION BY session ORDER BY seq)
)
SELECT
    seq, session, state, reason, code, run_id, declaration_rev, git_commit, git_branch, started_at,
    CASE WHEN next_run = run_id THEN next_at ELSE coalesce(least(run_end, next_at), run_end) END AS ended_at,
    next_run IS NULL AND run_open AS open,
    next_run,
    next_at
FROM followed;

-- duration is in seconds; of the open last one, up to its run's last sign of life.
CREATE VIEW intervals AS
SELECT
    session,
    state,
    started_at AS "from",
    CASE WHEN NOT open THEN ended_at END AS "to",
    epoch(ended_at - started_at) AS duration,
    reason,
    code,
    run_id,
    declaration_rev,
    git_commit,
    git_branch,
    seq
FROM spans;

-- seconds: connected; observed: declared and enabled (neither parked nor retired) while a daemon ran; share of these.
-- Days are UTC days. A day on which a session was not observed has no row.
CREATE VIEW uptime_daily AS
WITH pieces AS (
    SELECT
        session,
        state,
        started_at,
        ended_at,
        unnest(range(date_trunc('day', started_at)::TIMESTAMP, ended_at, INTERVAL 1 DAY)) AS midnight
    FROM spans
    WHERE ended_at > started_at AND state NOT IN ('parked', 'retired')
),
measured AS (
    SELECT
        session,
        midnight::DATE AS day,
        state = 'connected' AS connected,
        epoch(least(ended_at, midnight + INTERVAL 1 DAY) - greatest(started_at, midnight)) AS length
    FROM pieces
)
SELECT
    session,
    day,
    coalesce(sum(length) FILTER (connected), 0) AS seconds,
    sum(length) AS observed,
    coalesce(sum(length) FILTER (connected), 0) / sum(length) AS share
FROM measured
GROUP BY session, day
ORDER BY session, day;

-- One row for each attempt at pairing. outcome: paired, failed, superseded (another attempt began), interrupted (the
-- daemon ended), running. (Windows are what costs in these
-- views: they run over few columns, texts are fetched last, and a running sum beats a count with FILTER tenfold.)
CREATE VIEW pairings AS
WITH attempts AS (
    SELECT
        seq, ts AS started_at, session, run_id, detail ->> 'method' AS method, declaration_rev, git_commit, git_branch,
        lead(seq) OVER later AS next_seq,
        lead(ts) OVER later AS next_at
    FROM events
    WHERE kind = 'pair_started'
    WINDOW later AS (PARTITION BY session, run_id ORDER BY seq)
),
endings AS (
    SELECT seq, session, run_id
    FROM events
    WHERE kind = 'pair_failed'
        OR (kind = 'state' AND state_to NOT IN ('starting', 'pairing', 'degraded', 'reconnecting'))
),
ended AS (
    SELECT attempts.*, CASE WHEN next_seq IS NULL OR endings.seq < next_seq THEN endings.seq END AS ending_seq
    FROM attempts
    ASOF LEFT JOIN endings
        ON attempts.session = endings.session AND attempts.run_id = endings.run_id AND attempts.seq < endings.seq
),
codes AS (
    SELECT attempts.seq, count(*) AS shown, arg_min(events.kind, events.seq) AS first_kind
    FROM events
    ASOF JOIN attempts
        ON events.session = attempts.session AND events.run_id = attempts.run_id AND events.seq > attempts.seq
    WHERE events.kind IN ('qr', 'code')
    GROUP BY attempts.seq
),
judged AS (
    SELECT
        ended.*,
        ending.reason,
        ending.code,
        CASE
            WHEN ending.kind = 'state' AND ending.state_to IN ('paired', 'connected') THEN 'paired'
            WHEN ending.kind IS NOT NULL THEN 'failed'
            WHEN next_at IS NOT NULL THEN 'superseded'
            WHEN runs.open THEN 'running'
            ELSE 'interrupted'
        END AS outcome,
        coalesce(ending.ts, next_at, CASE WHEN NOT runs.open THEN runs.seen_at END) AS ended_at
    FROM ended
    JOIN runs USING (run_id)
    LEFT JOIN events AS ending ON ending.seq = ended.ending_seq
)
SELECT
    session,
    started_at,
    coalesce(method, first_kind) AS method,
    outcome,
    epoch(ended_at - started_at) AS seconds,
    ended_at,
    coalesce(shown, 0) AS shown,
    reason,
    code,
    run_id,
    declaration_rev,
    git_commit,
    git_branch,
    judged.seq
FROM judged
LEFT JOIN codes USING (seq)
ORDER BY judged.seq;

-- Connections that were lost and came back within one run. Parking and retiring are no losses.
CREATE VIEW reconnects AS
WITH eras AS (
    -- An era begins when a session becomes connected and holds what followed until it is connected again.
    SELECT
        seq, session, run_id, state, started_at,
        sum((state = 'connected')::INTEGER) OVER (PARTITION BY session, run_id ORDER BY seq ROWS UNBOUNDED PRECEDING) AS era
    FROM spans
),
losses AS (
    SELECT
        session,
        run_id,
        era,
        min(started_at) FILTER (state = 'connected') AS connected_at,
        min(started_at) FILTER (state <> 'connected') AS lost_at,
        min(seq) FILTER (state <> 'connected') AS loss_seq,
        bool_or(state IN ('parked', 'retired')) AS on_purpose
    FROM eras
    WHERE era > 0
    GROUP BY session, run_id, era
),
returned AS (
    SELECT *, lead(connected_at) OVER (PARTITION BY session, run_id ORDER BY era) AS back_at FROM losses
)
SELECT
    returned.session,
    lost_at,
    back_at,
    epoch(back_at - lost_at) AS seconds,
    loss.reason,
    loss.code,
    loss.state_to AS state,
    returned.run_id,
    loss.declaration_rev,
    loss.git_commit,
    loss.git_branch,
    loss.seq
FROM returned
JOIN events AS loss ON loss.seq = returned.loss_seq
WHERE back_at IS NOT NULL AND NOT on_purpose
ORDER BY loss.seq;

-- Spans and the holes between runs, each either up, off (parked, retired) or down, and whether a down one is trouble: a
-- session that has not been connected since it was declared, and is only being paired, is not yet missing anything.
CREATE VIEW stretches AS
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
    class = 'down' AND coalesce(last_value(
        CASE
            WHEN class = 'off' THEN false
            WHEN class = 'up' OR state NOT IN ('declared', 'starting', 'pairing', 'paired', 'no_daemon') THEN true
        END IGNORE NULLS
    ) OVER (PARTITION BY session ORDER BY piece ROWS UNBOUNDED PRECEDING), false) AS trouble
FROM pieces;

-- Contiguous times in which an enabled session was not connected (session is its name, sessions is 1), and times in
-- which none of two or more enabled sessions was (session is NULL, sessions is how many). seconds of an open one reach
-- to the last sign of life. The declaration is the one in force when it began.
CREATE VIEW incidents AS
WITH known AS MATERIALIZED (
    SELECT * FROM stretches
),
grouped AS (
    SELECT
        piece, session, started_at, ended_at, open, trouble, reason <> '' AS told,
        sum((NOT trouble)::INTEGER) OVER (PARTITION BY session ORDER BY piece ROWS UNBOUNDED PRECEDING) AS era
    FROM known
),
troubles AS (
    SELECT
        session,
        min(piece) AS first_piece,
        max(piece) AS last_piece,
        min(piece) FILTER (told) AS telling_piece,
        min(started_at) AS started_at,
        max(ended_at) AS until,
        bool_or(open) AS open
    FROM grouped
    WHERE trouble
    GROUP BY session, era
    HAVING max(ended_at) > min(started_at) OR bool_or(open)
),
single AS MATERIALIZED (
    SELECT
        troubles.*,
        CASE WHEN open THEN 'infinity'::TIMESTAMP ELSE until END AS over_at,
        opening.seq,
        closing.state,
        coalesce(telling.reason, opening.code, opening.state) AS cause,
        coalesce(telling.code, opening.code) AS code
    FROM troubles
    JOIN (SELECT piece, seq, state, code FROM known) AS opening ON opening.piece = first_piece
    JOIN (SELECT piece, state FROM known) AS closing ON closing.piece = last_piece
    LEFT JOIN (SELECT piece, reason, code FROM known) AS telling ON telling.piece = telling_piece
),
edges AS (
    SELECT started_at AS moment, 1 AS down, 0 AS up FROM known WHERE trouble
    UNION ALL
    SELECT ended_at, -1, 0 FROM known WHERE trouble AND NOT open
    UNION ALL
    SELECT started_at, 0, 1 FROM known WHERE class = 'up'
    UNION ALL
    SELECT ended_at, 0, -1 FROM known WHERE class = 'up' AND NOT open
),
levels AS (
    SELECT
        moment,
        lead(moment) OVER (ORDER BY moment) AS next_at,
        sum(sum(down)) OVER (ORDER BY moment) AS down,
        sum(sum(up)) OVER (ORDER BY moment) AS up
    FROM edges
    GROUP BY moment
),
dark AS (
    SELECT *, up = 0 AND down >= 2 AS dark FROM levels
),
darkness AS (
    SELECT *, sum((NOT dark)::INTEGER) OVER (ORDER BY moment ROWS UNBOUNDED PRECEDING) AS era FROM dark
),
fleet AS (
    SELECT
        min(moment) AS started_at,
        CASE WHEN count(*) = count(next_at) THEN max(next_at) ELSE 'infinity'::TIMESTAMP END AS over_at,
        max(down) AS sessions
    FROM darkness
    WHERE dark
    GROUP BY era
),
fleet_wide AS (
    -- The probable cause is that of the last session to go down: the others had been missing before.
    SELECT fleet.started_at, fleet.over_at, fleet.sessions, until, state, cause, code, seq
    FROM fleet
    ASOF JOIN (SELECT started_at, max(first_piece) AS first_piece FROM single GROUP BY started_at) AS latest
        ON fleet.started_at >= latest.started_at
    JOIN single USING (first_piece)
),
every AS (
    SELECT session, 1 AS sessions, started_at, over_at, until, state, cause, code, seq FROM single
    UNION ALL
    SELECT NULL, sessions, started_at, over_at, least(over_at, until), state, cause, code, seq FROM fleet_wide
)
SELECT
    every.session,
    every.sessions::BIGINT AS sessions,
    every.started_at,
    CASE WHEN isfinite(over_at) THEN over_at END AS ended_at,
    epoch(every.until - every.started_at) AS seconds,
    every.state,
    every.cause,
    every.code,
    coalesce(opening.declaration_rev, declarations.rev) AS declaration_rev,
    coalesce(opening.git_commit, declarations.git_commit) AS git_commit,
    coalesce(opening.git_branch, declarations.git_branch) AS git_branch,
    opening.run_id,
    every.seq
FROM every
JOIN events AS opening ON opening.seq = every.seq
ASOF LEFT JOIN declarations ON every.started_at >= declarations.loaded_at
ORDER BY every.started_at, every.session NULLS FIRST;
