"""Questions to the journal of a running daemon, kind and unkind."""

from __future__ import annotations

import pytest
from harness import Fleet
from support.whatsapp import LoopbackWhatsApp

from wakit.errors import QueryError

UNKIND = {
    "a changed schema": "DROP TABLE events",
    "a changed row": "DELETE FROM events",
    "a file written": "COPY events TO '/tmp/wakit-stolen.csv'",
    "a file read": "SELECT * FROM read_text('/etc/passwd')",
    "another database": "ATTACH '/tmp/wakit-other.duckdb'",
    "a changed setting": "SET enable_external_access = true",
    "two statements": "SELECT 1; SELECT 2",
    "an endless query": "WITH RECURSIVE t(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t) SELECT max(n) FROM t",
    "a huge sort": "SELECT r, random() AS x FROM range(2000000000) t(r) ORDER BY x",
    "no SQL at all": "SELEC 1",
}


@pytest.mark.long
def test_unkind_questions_are_refused_and_the_daemon_goes_on(fleet: Fleet, whatsapp: LoopbackWhatsApp) -> None:
    fleet.write("[sessions.a]\n[sessions.b]\nenabled = false\n")
    fleet.up()
    fleet.wait_states(a="pairing", b="parked")
    client = fleet.client()
    for what, query in UNKIND.items():
        with pytest.raises(QueryError) as caught:
            client.sql(query, timeout=2.0)
        assert caught.value.what, what
        assert caught.value.hint or caught.value.why, what
    assert fleet.states() == {"a": "pairing", "b": "parked"}
    assert fleet.status().daemon.journal_ok
    rows = fleet.sql("SELECT session, state FROM sessions_now ORDER BY session")
    assert rows == [{"session": "a", "state": "pairing"}, {"session": "b", "state": "parked"}]
