"""Baileys, a client written by others in another language, pairs with the sim: proof that it speaks the protocol.

Needs Node and the npm registry. On a machine without Node the test is skipped; in CI (``CI`` set) it fails instead.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from support.npm import install
from support.whatsapp import LoopbackWhatsApp, fresh_number

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

PACKAGES = ("baileys@7.0.0-rc14", "https-proxy-agent@7.0.6")
SCRIPT = Path(__file__).parent / "baileys_client.mjs"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with Baileys and the script that drives it."""
    folder = tmp_path_factory.mktemp("baileys")
    install(folder, PACKAGES)
    shutil.copy(SCRIPT, folder)
    return folder


class Baileys:
    """A running Baileys; its events in order."""

    def __init__(self, whatsapp: LoopbackWhatsApp, installed: Path, folder: Path, phone: str = "") -> None:
        config = {
            "proxy": whatsapp.endpoint.proxy,
            "noise_root_key": whatsapp.endpoint.noise_root_key,
            "folder": str(folder),
            "phone": phone.removeprefix("+"),
        }
        self.events: list[dict[str, Any]] = []
        self._process = subprocess.Popen(
            ["node", str(installed / SCRIPT.name), json.dumps(config)],
            stdout=subprocess.PIPE,
            env={**os.environ, "NODE_EXTRA_CA_CERTS": str(whatsapp.endpoint.ca_file)},
        )

    def expect(self, name: str) -> dict[str, Any]:
        """Return the next event of that name."""
        assert self._process.stdout
        for line in self._process.stdout:
            self.events.append(json.loads(line))
            if self.events[-1]["event"] == name:
                return self.events[-1]
        raise AssertionError(f"no {name}; seen {self.events}")

    def kill(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


@pytest.fixture
def running() -> Iterator[list[Baileys]]:
    """Whatever is in the list is killed when the test ends."""
    started: list[Baileys] = []
    yield started
    for each in started:
        each.kill()


@pytest.mark.parametrize("by_code", [False, True], ids=["qr", "code"])
def test_it_pairs_returns_and_is_unlinked(
    whatsapp: LoopbackWhatsApp, installed: Path, tmp_path: Path, running: list[Baileys], by_code: bool
) -> None:
    number = fresh_number()
    running.append(first := Baileys(whatsapp, installed, tmp_path, number if by_code else ""))
    if by_code:
        whatsapp.sim.type_code(number, first.expect("code")["code"])
    else:
        whatsapp.sim.scan(number, first.expect("qr")["payload"])
    assert first.expect("closed")["code"] == 515
    first.expect("connected")
    assert whatsapp.sim.status().connected(number) == 1
    first.kill()

    running.append(second := Baileys(whatsapp, installed, tmp_path))
    second.expect("connected")
    assert "qr" not in [each["event"] for each in second.events]
    assert not [each for each in second.events if each["event"] in ("warning", "error")]
    whatsapp.sim.unlink(number)
    assert second.expect("closed")["code"] == 401
