"""A WhatsApp on loopback that wakit's authors did not build on their own sim: Node, Baileys' codec, libsignal, ws.

``server.mjs`` beside this file says what it does; this is the other end of its stdin.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support import npm

HERE = Path(__file__).parent
PACKAGES = ("baileys@7.0.0-rc14", "libsignal@6.0.0", "ws@8.23.0", "node-forge@1.4.3")


def install(folder: Path) -> Path:
    """Put the server and what it is made of into a folder; without Node skip, or fail where CI must not skip."""
    npm.install(folder, PACKAGES)
    for module in HERE.glob("*.mjs"):
        shutil.copy(module, folder)
    return folder


@dataclass
class ForeignWhatsApp:
    """The running server: where to dial it, and the phones."""

    endpoint: dict[str, str]
    process: subprocess.Popen[str]

    def declaration(self) -> str:
        """The [endpoint] that points a sessions.toml here."""
        return "[endpoint]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in self.endpoint.items())

    def ask(self, do: str, **details: str) -> dict[str, Any]:
        """Give one command and return the answer."""
        assert self.process.stdin
        self.process.stdin.write(json.dumps({"do": do, **details}) + "\n")
        self.process.stdin.flush()
        return self._line()

    def must(self, do: str, **details: str) -> dict[str, Any]:
        """Give a command that has to succeed."""
        answer = self.ask(do, **details)
        assert answer["ok"], answer
        return answer

    def status(self) -> dict[str, Any]:
        return self.must("status")

    def _line(self) -> dict[str, Any]:
        assert self.process.stdout
        line = self.process.stdout.readline()
        assert line, f"the server has gone with exit code {self.process.wait()}"
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextmanager
def foreign_whatsapp(installed: Path, state: Path) -> Iterator[ForeignWhatsApp]:
    """Run the server while the block lasts; it ends by itself when its stdin does."""
    process = subprocess.Popen(
        ["node", str(installed / "server.mjs"), str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        server = ForeignWhatsApp({}, process)
        try:
            server.endpoint = server._line()
            yield server
        finally:
            assert process.stdin
            process.stdin.close()
            try:
                assert process.wait(10) == 0, "the server did not end in order"
            except subprocess.TimeoutExpired:
                process.kill()
                raise
