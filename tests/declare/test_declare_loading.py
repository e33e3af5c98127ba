"""What a file, the environment and a .env become; and every way they can be wrong, with its place."""
# ruff: noqa: E501, Q003 - the table of wrong files reads better with one case a line

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wakit.core.declaration import Endpoint, Pairing, RetirePolicy
from wakit.declare import DeclarationErrors, Source, load, parse
from wakit.redact import PhoneNumber, Secret

KEY = "142375574d0a587166aae71ebe516437c4a28b73e3695c6ce1f7f9545da8ee6b"
FULL = f"""\
[wakit]
state_dir = "state"
sessions_per_worker = 8
retire = "keep"
retire_guard = 1
strategy = "shared"
[pacing]
dials = "30/min"
pairings = 2
[vault]
interval = "1h30m"
keep = 7
max_bytes = "500MB"
recipients = ["age1abc"]
[health]
stale_after = "45s"
[journal]
keep_days = 30
[endpoint]
proxy = "http://127.0.0.1:8443"
ca_file = "ca.pem"
noise_root_key = "{KEY.upper()}"
[defaults]
pairing = "code"
proxy = "http://127.0.0.1:3128"
labels = {{ team = "emea", tier = "1" }}
[sessions.support]
pairing = "qr"
proxy = ""
[sessions.sales]
phone = "+34 600 000 001"
labels = {{ tier = "2" }}
enabled = false
renamed_from = "ventas"
device_name = "Desk"
"""


def make(text: str | bytes, environ: dict[str, str] | None = None, dotenv: str | None = None):
    data = text.encode() if isinstance(text, str) else text
    source = Source(Path("/project/sessions.toml"), "sessions.toml", data, dotenv.encode() if dotenv else None)
    return parse(source, environ=environ or {})


def problems(text: str | bytes, environ: dict[str, str] | None = None, dotenv: str | None = None) -> list[str]:
    with pytest.raises(DeclarationErrors) as caught:
        make(text, environ, dotenv)
    return [f"{problem} | {problem.hint}" for problem in caught.value.problems]


def test_every_key_arrives() -> None:
    declaration = make(FULL)
    fleet = declaration.fleet
    assert fleet.state_dir == "/project/state"
    assert (fleet.sessions_per_worker, fleet.retire, fleet.retire_guard) == (8, RetirePolicy.KEEP, 1.0)
    assert (fleet.pacing.dials_per_second, fleet.pacing.pairings) == (0.5, 2)
    assert (fleet.vault.interval, fleet.vault.keep, fleet.vault.max_bytes) == (5400.0, 7, 500_000_000)
    assert fleet.vault.recipients == ("age1abc",)
    assert (fleet.health.stale_after, fleet.journal.keep_days) == (45.0, 30)
    assert fleet.endpoint == Endpoint("http://127.0.0.1:8443", "/project/ca.pem", KEY)
    support, sales = declaration.sessions.values()
    assert (support.pairing, support.proxy, dict(support.labels)) == (Pairing.QR, None, {"team": "emea", "tier": "1"})
    assert sales.phone == PhoneNumber("+34600000001")
    assert (sales.pairing, sales.proxy) == (Pairing.CODE, Secret("http://127.0.0.1:3128"))
    assert (sales.enabled, sales.renamed_from, sales.device_name) == (False, "ventas", "Desk")
    assert dict(sales.labels) == {"team": "emea", "tier": "2"}


def test_an_empty_table_is_a_session_with_defaults() -> None:
    declaration = make("[sessions.support]\n")
    spec = declaration.sessions["support"]
    assert (spec.pairing, spec.enabled, spec.proxy, spec.phone) == (Pairing.QR, True, None, None)
    assert declaration.warnings == ()
    assert declaration.fleet.state_dir == "/project/.wakit"


def test_sessions_keep_the_files_order() -> None:
    assert list(make("[sessions.b]\n[sessions.a]\n[sessions.c]\n").sessions) == ["b", "a", "c"]


def test_a_home_directory_is_expanded() -> None:
    declaration = make('[wakit]\nstate_dir = "~/wa"\n[sessions.a]\n', {"HOME": "/home/me"})
    assert declaration.fleet.state_dir == "/home/me/wa"


def test_byte_order_mark_and_windows_line_ends_are_accepted() -> None:
    assert list(make(b"\xef\xbb\xbf[sessions.a]\r\nenabled = true\r\n").sessions) == ["a"]
    assert problems(b"\xef\xbb\xbf[sessions.a]\r\nenabled = 1\r\n")[0].startswith("sessions.toml:2:11: ")


class TestPrecedence:
    TEXT = '[wakit]\nretire = "logout"\n[pacing]\npairings = 3\n[sessions.a]\n'

    def test_environment_over_dotenv_over_file_over_default(self) -> None:
        dotenv = "# comment\n\nWAKIT_RETIRE=keep\nexport WAKIT_PACING__DIALS='2/s'\nOTHER=x\n"
        fleet = make(self.TEXT, {"WAKIT_RETIRE": "archive"}, dotenv).fleet
        assert fleet.retire is RetirePolicy.ARCHIVE
        assert (fleet.pacing.dials_per_second, fleet.pacing.pairings) == (2.0, 3)
        assert fleet.vault.keep == 5

    def test_sources_say_who_won(self) -> None:
        dotenv = "# comment\n\nWAKIT_RETIRE=keep\nWAKIT_PACING__DIALS=2/s\n"
        sources = make(self.TEXT, {"WAKIT_RETIRE": "archive"}, dotenv).sources
        assert sources == {
            "pacing.dials": ".env:4",
            "pacing.pairings": "sessions.toml:4:1",
            "wakit.retire": "$WAKIT_RETIRE",
        }

    @pytest.mark.parametrize(
        ("name", "value", "read"),
        [
            ("WAKIT_SESSIONS_PER_WORKER", "12", lambda fleet: fleet.sessions_per_worker == 12),
            ("WAKIT_SESSIONS_PER_WORKER", "auto", lambda fleet: fleet.sessions_per_worker == "auto"),
            ("WAKIT_RETIRE_GUARD", "0.25", lambda fleet: fleet.retire_guard == 0.25),
            ("WAKIT_VAULT__RECIPIENTS", "age1a, age1b", lambda fleet: fleet.vault.recipients == ("age1a", "age1b")),
            ("WAKIT_VAULT__MAX_BYTES", "2GiB", lambda fleet: fleet.vault.max_bytes == 2 << 30),
            ("WAKIT_HEALTH__STALE_AFTER", "2min", lambda fleet: fleet.health.stale_after == 120.0),
        ],
    )
    def test_values_from_the_environment_are_text(self, name, value, read) -> None:
        assert read(make(self.TEXT, {name: value}).fleet)

    def test_an_endpoint_from_the_environment(self) -> None:
        environ = {
            "WAKIT_ENDPOINT__PROXY": "http://[::1]:8443",
            "WAKIT_ENDPOINT__CA_FILE": "/tmp/ca.pem",
            "WAKIT_ENDPOINT__NOISE_ROOT_KEY": KEY,
        }
        assert make("[sessions.a]\n", environ).fleet.endpoint == Endpoint("http://[::1]:8443", "/tmp/ca.pem", KEY)
        del environ["WAKIT_ENDPOINT__CA_FILE"]
        assert problems("[sessions.a]\n", environ)[0].startswith(
            "$WAKIT_ENDPOINT__PROXY: endpoint.ca_file: the key is missing: "
        )

    def test_an_empty_variable_is_unset(self) -> None:
        assert make(self.TEXT, {"WAKIT_RETIRE": ""}, "WAKIT_RETIRE=keep\n").fleet.retire is RetirePolicy.KEEP

    def test_an_error_names_its_source(self) -> None:
        assert problems(self.TEXT, {"WAKIT_RETIRE": "kep"})[0].startswith("$WAKIT_RETIRE: wakit.retire: needs ")
        assert problems(self.TEXT, {}, "\nWAKIT_RETIRE=kep\n")[0].startswith(".env:2: wakit.retire: needs ")
        # The file's own value is then not looked at: another won.
        assert make('[wakit]\nretire = "kep"\n[sessions.a]\n', {"WAKIT_RETIRE": "keep"}).fleet.retire == "keep"

    def test_slips_in_names(self) -> None:
        (problem,) = problems(self.TEXT, {"WAKIT_PACING__DAILS": "1/s"})
        assert problem == (
            "$WAKIT_PACING__DAILS: unknown variable: the table [pacing] has no such key"
            " | did you mean WAKIT_PACING__DIALS?"
        )
        assert "[health] is a table" in problems(self.TEXT, {"WAKIT_HEALTH": "{}"})[0]
        (warning,) = make(self.TEXT, {"WAKIT_STATEDIR": "x", "WAKIT_CONFIG": "y", "PATH": "z"}).warnings
        assert warning == "$WAKIT_STATEDIR: WAKIT_STATEDIR is no setting of the fleet; did you mean WAKIT_STATE_DIR?"

    def test_a_line_of_dotenv_that_cannot_be_read_is_told_without_its_text(self) -> None:
        (warning,) = make(self.TEXT, {}, 'A=1\n="hunter2\n').warnings
        assert warning.startswith(".env:2: ")
        assert "hunter2" not in warning


NAME_HINT = "lower-case letters, digits, - and _, beginning with a letter or digit, at most 63, for example sales-emea"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # Nothing, or nothing readable
        ("", "sessions.toml: the file declares nothing: an empty file retires nothing"),
        (" \n\t\n", "sessions.toml: the file declares nothing: "),
        ("# all gone\n", "sessions.toml: the file declares nothing: "),
        (b"[sessions.a]\nphone = \"\xe9\"\n", "sessions.toml:2:10: the file is not UTF-8: the byte 0xe9 "),
        (b"\xff\xfe[\0s\0", "sessions.toml:1:1: the file is not UTF-8: it begins with a UTF-16 "),
        (b"[sessions.a]\n\0\0", "sessions.toml:2:1: the file holds a NUL byte"),
        ("a = '" + "x" * 9000 + "'", "sessions.toml:1:8193: the line is too long: 9006 characters"),
        # Syntax
        ("[sessions.a]\nphone = +34\n enabled true\n", "sessions.toml:3:10: this is not TOML: expected '=' "),
        ("[sessions.a\n", "sessions.toml:1:12: this is not TOML: expected ']' "),
        ("[sessions.a]\nphone = ", "sessions.toml:2:9: this is not TOML: invalid value"),
        ("[sessions.a]\npairing = qr\n", "sessions.toml:2:11: this is not TOML: invalid value | text is written in quo"),
        (
            "[sessions.a]\nenabled = true\nlabels = {}\nenabled = false\n",
            "sessions.toml:4:1: sessions.a.enabled: the key is defined twice: it was first defined on line 2",
        ),
        (
            "[sessions.a]\n[sessions.b]\n[sessions.a]\n",
            "sessions.toml:3:11: sessions.a: the key is defined twice: it was first defined on line 1",
        ),
        ("a." * 100 + "b = 1\n", "sessions.toml:1:33: the file is nested too deeply"),
        ("a = " + "[" * 5000, "sessions.toml: the file is nested too deeply"),
        ("a = " + "1" * 5000, "sessions.toml: a number in the file is too long"),
        # Tables and keys
        ("[session.a]\n", "sessions.toml:1:2: session: unknown table | did you mean sessions?"),
        ("[zzz]\nphone = 'x'\n", "sessions.toml:1:2: zzz: unknown table | a session is written [sessions.zzz]"),
        ("state_dir = 'x'\n", "sessions.toml:1:1: state_dir: unknown key | it belongs in [wakit]"),
        ("[wakit]\ndials = '5/s'\n", "sessions.toml:2:1: wakit.dials: unknown key | it belongs in [pacing]"),
        ("[wakit]\npacing = {}\n", "sessions.toml:2:1: wakit.pacing: unknown key: it is a table of its own | write [pac"),
        ("[sessions.a]\nenabeld = true\n", "sessions.toml:2:1: sessions.a.enabeld: unknown key | did you mean enabled?"),
        ("[sessions.a]\nzzz = 1\n", "sessions.toml:2:1: sessions.a.zzz: unknown key | [sessions.a] takes pairing, "),
        ("[sessions]\na = 5\n", "sessions.toml:2:5: sessions.a: needs a table: found the number 5 | write [sessions.a]"),
        ("[sessions]\nphone = 'x'\n", 'sessions.toml:2:9: sessions.phone: needs a table: found the text "x" | write [sess'),
        ("[[sessions]]\nname = 'a'\n", "sessions.toml:1:3: sessions: needs a table: double brackets make a list"),
        ("wakit = 3\n", "sessions.toml:1:1: wakit: needs a table: found the number 3"),
        ("[defaults]\nphone = 'x'\n", "sessions.toml:2:1: defaults.phone: this key cannot have a default"),
        # Kinds of value
        ("[wakit]\nretire = 'archve'\n", 'sessions.toml:2:10: wakit.retire: needs "archive" or "logout" or "keep": found the'),
        ("[wakit]\nretire_guard = 1.5\n", "sessions.toml:2:16: wakit.retire_guard: this is too large: found the number 1.5;"),
        ("[wakit]\nretire_guard = nan\n", "sessions.toml:2:16: wakit.retire_guard: this is too large"),
        ("[wakit]\nretire_guard = true\n", "sessions.toml:2:16: wakit.retire_guard: needs a share: found true"),
        ("[wakit]\nsessions_per_worker = 0\n", "sessions.toml:2:23: wakit.sessions_per_worker: this is too small"),
        ("[wakit]\nsessions_per_worker = 'all'\n", 'sessions.toml:2:23: wakit.sessions_per_worker: needs "auto" or a'),
        ("[wakit]\nstrategy = 'branch'\n", "sessions.toml:2:12: wakit.strategy: this strategy is not there yet"),
        ("[wakit]\nstate_dir = ''\n", "sessions.toml:2:13: wakit.state_dir: needs a text: found an empty text"),
        ("[pacing]\ndials = 5\n", "sessions.toml:2:9: pacing.dials: needs a rate: found the number 5 | write a number and"),
        ("[pacing]\ndials = '5'\n", 'sessions.toml:2:9: pacing.dials: this is not a rate: found the text "5"'),
        ("[pacing]\ndials = '0/s'\n", "sessions.toml:2:9: pacing.dials: this is too small"),
        ("[pacing]\npairings = '4'\n", 'sessions.toml:2:12: pacing.pairings: needs a whole number: found the text "4"'),
        ("[vault]\ninterval = '6 hours'\n", "sessions.toml:2:12: vault.interval: this is not a duration"),
        ("[vault]\nmax_bytes = '500'\n", "sessions.toml:2:13: vault.max_bytes: this is not a size"),
        ("[vault]\nrecipients = 'age1'\n", "sessions.toml:2:14: vault.recipients: needs a list"),
        ("[sessions.a]\nenabled = 'yes'\n", 'sessions.toml:2:11: sessions.a.enabled: needs true or false: found the text "y'),
        ("[sessions.a]\nlabels = { n = 1 }\n", "sessions.toml:2:10: sessions.a.labels: label n needs a text"),
        ("[sessions.a]\ndevice_name = 1979-05-27\n", "sessions.toml:2:15: sessions.a.device_name: needs a text: found a date"),
        # Names
        ('[sessions."../x"]\n', 'sessions.toml:1:11: sessions."../x": this cannot be a session\'s name: a name becomes a d'),
        ('[sessions."a b"]\n', 'sessions.toml:1:11: sessions."a b": this cannot be a session\'s name: it holds a space'),
        ('[sessions."a\\u0000"]\n', 'sessions.toml:1:11: sessions."a\\u0000": this cannot be a session\'s name: it holds a NUL'),
        ("[sessions.Sales]\n", "sessions.toml:1:11: sessions.Sales: this cannot be a session's name: upper-case"),
        ('[sessions.""]\n', 'sessions.toml:1:11: sessions."": this cannot be a session\'s name: it is empty'),
        ("[sessions._a]\n", "sessions.toml:1:11: sessions._a: this cannot be a session's name: it must begin with"),
        (f"[sessions.{'a' * 64}]\n", "sessions.toml:1:11: sessions.\"" + "a" * 40 + "…\": this cannot be a session's name: it has 64"),
        ("[sessions.a]\nrenamed_from = '../b'\n", "sessions.toml:2:16: sessions.a.renamed_from: this cannot be a session's na"),
        # Phones, pairing
        ("[sessions.a]\npairing = 'code'\n", 'sessions.toml:2:11: sessions.a.pairing: pairing = "code" needs a phone'),
        ("[defaults]\npairing = 'code'\n[sessions.a]\n", 'sessions.toml:3:11: sessions.a: pairing = "code" needs a phone'),
        ("[sessions.a]\nphone = 34600000001\n", "sessions.toml:2:9: sessions.a.phone: needs a phone number in quotes: found a nu"),
        ("[sessions.a]\nphone = '600'\n", "sessions.toml:2:9: sessions.a.phone: this is not a phone number: a phone number is"),
        # Renames
        ("[sessions.a]\nrenamed_from = 'a'\n", "sessions.toml:2:16: sessions.a.renamed_from: a session cannot be renamed from"),
        (
            "[sessions.a]\n[sessions.b]\nrenamed_from = 'a'\n",
            "sessions.toml:3:16: sessions.b.renamed_from: the former name is still declared: sessions.a stands on line 1",
        ),
        (
            "[sessions.a]\nrenamed_from = 'x'\n[sessions.b]\nrenamed_from = 'x'\n",
            "sessions.toml:4:16: sessions.b.renamed_from: two sessions claim the same former name: sessions.a claims it",
        ),
        # The endpoint
        ("[endpoint]\nproxy = 'http://127.0.0.1:1'\nca_file = 'c'\n", "sessions.toml:1:2: endpoint.noise_root_key: the key is mi"),
    ],
)  # fmt: skip
def test_what_is_wrong_and_where(text: str | bytes, expected: str) -> None:
    found = problems(text)
    assert found[0].startswith(expected), found
    assert len(found) == 1


def test_all_problems_at_once_in_the_files_order() -> None:
    text = "[pacing]\ndials = 5\n[sessions.A]\nphone = 1\n[sessions.b]\nenabeld = true\npairing = 'code'\n"
    with pytest.raises(DeclarationErrors) as caught:
        make(text)
    assert [problem.location.line for problem in caught.value.problems] == [2, 3, 4, 6, 7]
    assert str(caught.value).endswith("(and 4 more)")
    assert caught.value.key == "pacing.dials"
    assert caught.value.hint


def test_two_sessions_with_one_phone() -> None:
    (problem,) = problems('[sessions.a]\nphone = "+34600000001"\n\n[sessions.b]\nphone = "+34 (600) 000-001"\n')
    assert problem.startswith(
        "sessions.toml:5:9: sessions.b.phone: two sessions have the same phone: "
        "+34•••01 is also the phone of sessions.a on line 2"
    )


@pytest.mark.parametrize(
    "proxy",
    [
        "10.0.0.1:8443", "http://10.0.0.1:8443", "http://example.com:80", "http://localhost.example.com:80",
        "http://127.0.0.1@example.com:80", "http://127.1:80", "http://0x7f000001:80", "http://2130706433:80",
        "http://[::ffff:127.0.0.1]:80", "http://[::]:80", "http://0.0.0.0:80", "http://[::1%25lo]:80",
        "https://127.0.0.1:80", "socks5://127.0.0.1:80", "http://127.0.0.1", "http://127.0.0.1:0",
        "http://127.0.0.1:99999", "http://127.0.0.1:80/x", "http://:80", "http://127.0.0.1\\@example.com:80", "http://[",
    ],
)  # fmt: skip
def test_an_endpoint_is_loopback_or_refused(proxy: str) -> None:
    (problem,) = problems(
        f"[endpoint]\nproxy = '{proxy}'\nca_file = 'ca.pem'\nnoise_root_key = '{KEY}'\n[sessions.a]\n"
    )
    assert problem.startswith("sessions.toml:2:9: endpoint.proxy: ")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.200.3.4", "[::1]", "localhost"])
def test_loopback_endpoints_are_taken(host: str) -> None:
    endpoint = make(
        f"[endpoint]\nproxy = 'http://{host}:8443'\nca_file = '/x/ca.pem'\nnoise_root_key = '{KEY}'\n[sessions.a]\n"
    ).fleet.endpoint
    assert endpoint is not None
    assert endpoint.proxy == f"http://{host}:8443"


def test_a_missing_ca_file_is_a_warning() -> None:
    (warning,) = make(
        f"[endpoint]\nproxy = 'http://127.0.0.1:1'\nca_file = 'ca.pem'\nnoise_root_key = '{KEY}'\n[sessions.a]\n"
    ).warnings
    assert warning == "sessions.toml:3:11: endpoint.ca_file: there is no such file yet"


def test_a_health_check_that_healthy_lines_fail_is_a_warning() -> None:
    deaf, restart = make("[health]\ndeaf_after = '39s'\nrestart_after = '29s'\n[sessions.a]\n").warnings
    assert deaf.startswith("sessions.toml:2:14: health.deaf_after: below 40 s healthy lines are taken for deaf")
    assert restart.startswith("sessions.toml:3:17: health.restart_after: below 30 s a client is replaced before")
    assert not make("[health]\ndeaf_after = '40s'\nrestart_after = '30s'\n[sessions.a]\n").warnings


@pytest.mark.parametrize(
    "proxy",
    [
        "socks6://me:hunter2@h:1", "socks5h://me:hunter2@h:1", "https://me:hunter2@h:1", "me:hunter2@h:1",
        "socks5://me:hunter2@h", "socks5://me:hunter2@h:x", "socks5://me:hunter2@:1", "socks5://me:hun/ter2@h:1",
        "socks5://me:hunter2@h:1/path", "socks5://me:hunter2@h h:1", "socks5://me:hunter2@[h:1", "http://me:hunter2@ü:1",
    ],
)  # fmt: skip
def test_a_bad_proxy_is_refused_without_its_password(proxy: str) -> None:
    for text in (f"[sessions.a]\nproxy = '{proxy}'\n", f"[defaults]\nproxy = '{proxy}'\n[sessions.a]\n"):
        (problem,) = problems(text)
        assert ":2:9: " in problem
        assert "hunter2" not in problem
        assert "ter2" not in problem


def test_private_values_in_the_wrong_place_are_not_repeated() -> None:
    told = " ".join(
        problems(
            '[wakit]\nretire = "+34600000001"\nstrategy = "socks5://u:hunter2@h:1"\n[sessions.34600000001]\nx = 1\n'
        )
    )
    assert "600000001" not in told
    assert "hunter2" not in told


def test_a_declaration_without_sessions_is_taken_and_told() -> None:
    for text in ("[wakit]\n", "[sessions]\n"):
        declaration = make(text)
        assert not declaration.sessions
        assert "no session is declared" in declaration.warnings[0]


def test_a_name_that_looks_like_a_number_is_told() -> None:
    (warning,) = make("[sessions.a34600000001]\n").warnings
    assert warning.startswith("sessions.toml:1:11: ")
    assert "34600000001" not in warning


def test_the_hash_is_of_the_bytes() -> None:
    assert make("[sessions.a]\n").sha256 != make("[sessions.a] # x\n").sha256


class TestFiles:
    def test_a_good_one(self, tmp_path: Path) -> None:
        file = tmp_path / "sessions.toml"
        file.write_text("[sessions.a]\n")
        (tmp_path / ".env").write_text("WAKIT_RETIRE=keep\n")
        declaration = load(file, environ={})
        assert (declaration.path, declaration.git) == (str(file), None)
        assert declaration.fleet.retire is RetirePolicy.KEEP
        assert declaration.sources["wakit.retire"] == f"{tmp_path}/.env:1"

    def test_a_relative_path_is_shown_as_given(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("s.toml").write_text("x")
        with pytest.raises(DeclarationErrors, match=r"^s\.toml:1:2: this is not TOML"):
            load("s.toml", environ={})

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(DeclarationErrors, match="there is no such file"):
            load(tmp_path / "sessions.toml", environ={})

    def test_a_directory(self, tmp_path: Path) -> None:
        with pytest.raises(DeclarationErrors, match="this is a directory"):
            load(tmp_path, environ={})

    def test_a_directory_named_dotenv_is_no_concern(self, tmp_path: Path) -> None:
        (tmp_path / ".env").mkdir()
        (tmp_path / "sessions.toml").write_text("[sessions.a]\n")
        assert load(tmp_path / "sessions.toml", environ={}).sessions

    def test_a_pipe_does_not_hang(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "sessions.toml")
        with pytest.raises(DeclarationErrors, match="not a regular file"):
            load(tmp_path / "sessions.toml", environ={})

    def test_ten_megabytes(self, tmp_path: Path) -> None:
        file = tmp_path / "sessions.toml"
        file.write_bytes(b"# x\n" * 2_500_000)
        with pytest.raises(DeclarationErrors, match=r"too large: 10\.0 MB; a declaration has at most 1024 KiB"):
            load(file, environ={})

    def test_unreadable(self, tmp_path: Path) -> None:
        if os.geteuid() == 0:
            pytest.skip("root reads everything")
        file = tmp_path / "sessions.toml"
        file.write_text("[sessions.a]\n")
        file.chmod(0)
        with pytest.raises(DeclarationErrors, match="permission denied"):
            load(file, environ={})

    @pytest.mark.parametrize("name", ["a\0b", "x" * 300])
    def test_impossible_paths(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(DeclarationErrors):
            load(f"{tmp_path}/{name}", environ={})

    def test_a_loop_of_links(self, tmp_path: Path) -> None:
        (tmp_path / "sessions.toml").symlink_to("sessions.toml")
        with pytest.raises(DeclarationErrors, match="cannot be read: too many levels of symbolic links"):
            load(tmp_path / "sessions.toml", environ={})
