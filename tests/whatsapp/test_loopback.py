"""Only a loopback address can be an endpoint, and the process that checks it refuses the rest in words."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from wakit.errors import EndpointError
from wakit.whatsapp.loopback import loopback_address, replace_noise_root, trust_only


@pytest.mark.parametrize(
    ("proxy", "address"),
    [
        ("http://127.0.0.1:8443", ("127.0.0.1", 8443)),
        ("http://127.9.9.9:1", ("127.9.9.9", 1)),
        ("http://[::1]:8443", ("::1", 8443)),
        ("http://localhost:8443", ("127.0.0.1", 8443)),
    ],
)
def test_loopback_addresses(proxy: str, address: tuple[str, int]):
    assert loopback_address(proxy) == address


@pytest.mark.parametrize(
    "proxy",
    [
        "http://10.0.0.1:8443",
        "http://example.org:8443",
        "http://127.0.0.1.example.org:8443",
        "http://localhost.example.org:8443",
        "http://0.0.0.0:8443",
        "http://127.0.0.1@evil.example:8443",
        "https://127.0.0.1:8443",
        "http://127.0.0.1",
        "http://127.0.0.1:99999",
        "http://[::1",
        "127.0.0.1:8443",
        "",
    ],
)
def test_everything_else_is_refused(proxy: str):
    with pytest.raises(EndpointError) as refused:
        loopback_address(proxy)
    assert refused.value.hint


def test_a_ca_that_is_missing_or_none_is_refused(tmp_path, monkeypatch):
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    with pytest.raises(EndpointError, match="cannot be read"):
        trust_only(str(tmp_path / "none.pem"))
    (tmp_path / "text.pem").write_text("hello")
    with pytest.raises(EndpointError, match="no PEM certificate"):
        trust_only(str(tmp_path / "text.pem"))
    assert "SSL_CERT_FILE" not in os.environ


def test_without_the_library_there_is_no_key_to_replace():
    with pytest.raises(EndpointError, match="0 times"):
        replace_noise_root("00" * 32)


@pytest.mark.parametrize("key", ["", "00", "xy" * 32, "00" * 33])
def test_a_key_of_another_form_is_refused(key: str):
    with pytest.raises(EndpointError, match="32 bytes"):
        replace_noise_root(key)


def test_importing_the_port_and_the_pure_parts_loads_no_library():
    code = (
        "import sys, wakit.whatsapp.port, wakit.whatsapp.translation, wakit.whatsapp.loopback, wakit.worker.host;"
        "sys.exit(any(name.split('.')[0] == 'neonize' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
