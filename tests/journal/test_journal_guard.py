"""Nothing with the shape of a secret gets into the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from journal_histories import declaration, event

from wakit.journal import Journal, JournalOptions, open_read_only

NUMBER = "+34600000001"
SECRETS: list[dict[str, Any]] = [
    {"reason": f"cannot reach {NUMBER}"},
    {"reason": "34600000001@s.whatsapp.net left"},
    {"code": "ABCD-2345"},
    {"detail": {"qr": "2@AbCdEfGhIjKlMnOpQrStUvWxYz0123456789,=="}},
    {"detail": {"deep": [{"list": ("x", f"to {NUMBER}")}]}},
    {"detail": {NUMBER: 1}},
    {"detail": {"proxy": "socks5://user:hunter2@127.0.0.1:1080"}},
]


@pytest.mark.parametrize("fields", SECRETS)
async def test_a_strict_journal_raises_and_keeps_quiet_about_the_secret(
    journal: Journal, fields: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="shape of a secret") as caught:
        journal.log(event(**fields))
    for secret in (NUMBER, "34600000001", "ABCD-2345", "hunter2", "AbCdEf"):
        assert secret not in str(caught.value)
    assert journal.health.pending == 0


async def test_otherwise_secrets_are_masked_and_counted(path: Path) -> None:
    async with Journal.open(path) as journal:
        with journal.subscribe() as feed:
            for fields in SECRETS:
                await journal.log_durably(event(**fields))
            told = [str(await anext(feed)) for _ in SECRETS]
        assert journal.masked == len(SECRETS)
    with open_read_only(path) as reader:
        kept = str(reader.query("FROM events").to_pylist())
    on_disk = path.read_bytes()  # noqa: ASYNC240
    for secret in ("34600000001", "600000001", "ABCD-2345", "hunter2", "AbCdEf"):
        assert secret not in kept
        assert secret not in "".join(told)
        assert secret.encode() not in on_disk


async def test_plain_words_pass_untouched(journal: Journal) -> None:
    fields: dict[str, Any] = {
        "reason": "the phone scanned the code after 12 s · ñandú 你好 🙂",
        "code": "stream_replaced",
        "detail": {"a": None, "b": [True, 1, 2.5], "c": {"d": "quite plain"}, "e": ["x"] * 3},
    }
    await journal.log_durably(event(**fields, git_commit="0123456789abcdef0123456789abcdef01234567"))
    row = (await journal.query("SELECT reason, code, detail, git_commit FROM events")).to_pylist()[0]
    assert row == {
        "reason": fields["reason"],
        "code": "stream_replaced",
        "detail": '{"a":null,"b":[true,1,2.5],"c":{"d":"quite plain"},"e":["x","x","x"]}',
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
    }
    assert journal.masked == 0


async def test_odd_texts_are_kept_and_hold_nothing_up(journal: Journal) -> None:
    odd = ["\0", "a\0b", "\ud800 lone", "\x1b[31m", "'; DROP TABLE events; --", "x" * 100_000, "{", '"']
    for text in odd:
        journal.log(event(reason=text, detail={"text": text, text[:9]: [text]}))
    await journal.log_durably(event(reason="after all of them"))
    kept = (await journal.query("SELECT reason, detail ->> 'text' AS text FROM events ORDER BY seq")).to_pylist()
    assert [row["reason"] for row in kept[:-1]] == [text.replace("\ud800", "?").replace("\0", "?") for text in odd]
    assert journal.health.lost == 0


async def test_a_row_the_database_refuses_becomes_a_warning_and_holds_nothing_up(path: Path) -> None:
    async with Journal.open(path) as journal:
        journal.log(event(reason="before"))
        refused = journal.log(event(reason="too large", worker_pid=2**80))
        await journal.log_durably(event(reason="after"))
        kept = (await journal.query("SELECT seq, reason FROM events ORDER BY seq")).to_pylist()
        assert [row["reason"] for row in kept] == ["before", "1 event lost: the journal could not keep it", "after"]
        assert kept[1]["seq"] == refused
        assert journal.health.ok


async def test_every_field_is_made_storable(journal: Journal) -> None:
    odd = "caf\udce9\0"
    journal.declare(declaration(odd, text=odd, git_commit=odd, git_branch=odd))
    await journal.log_durably(event(run_id=odd, session=odd, git_commit=odd, git_branch=odd, code=odd))
    (kept,) = (await journal.query("SELECT run_id, session, git_commit, git_branch, code FROM events")).to_pylist()
    assert set(kept.values()) == {"caf??"}
    (kept,) = (await journal.query("SELECT text, git_commit, git_branch FROM declarations")).to_pylist()
    assert set(kept.values()) == {"caf??"}


async def test_a_declaration_the_database_refuses_is_stripped_and_holds_nothing_up(path: Path) -> None:
    async with Journal.open(path) as journal:
        rev = journal._writer.declare(declaration("a", git_branch="caf\udce9"))  # past the guard
        await journal.log_durably(event(reason="after"))
        assert journal.health.ok
        assert journal.declare(declaration("a")) == rev
    with open_read_only(path) as reader:
        (kept,) = reader.query("SELECT rev, sha256, text, git_branch FROM declarations").to_pylist()
        assert kept["rev"] == rev
        assert kept["text"] == "# the journal could not keep this text\n"
        assert kept["git_branch"] is None
        told = reader.query("SELECT reason, code, declaration_rev FROM events ORDER BY seq").to_pylist()
    assert [row["code"] for row in told] == [None, "declaration_refused"]
    assert told[1]["declaration_rev"] == rev


async def test_what_json_does_not_know(path: Path, journal: Journal) -> None:
    with pytest.raises(ValueError, match="bytes"):
        journal.log(event(detail={"raw": b"\xff"}))
    async with Journal.open(path.with_name("lenient.duckdb"), options=JournalOptions()) as lenient:
        await lenient.log_durably(event(detail={"raw": b"\xff", "nan": float("nan")}))
        assert (await lenient.query("SELECT detail FROM events")).to_pylist() == [
            {"detail": '{"raw":"[bytes]","nan":null}'}
        ]


async def test_a_declaration_is_scrubbed_whoever_wrote_it(journal: Journal) -> None:
    journal.declare(declaration("a", text=f'[sessions.sales]\nphone = "{NUMBER}"\nproxy = "http://u:hunter2@h:1"\n'))
    await journal.log_durably(event())
    (kept,) = (await journal.query("SELECT text FROM declarations")).to_pylist()
    assert "600000001" not in kept["text"]
    assert "hunter2" not in kept["text"]
    assert "[sessions.sales]" in kept["text"]
