"""The file that is edited during a chaos run, and what each edit may lead to."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Line:
    """A session: who it is for good (``number``), and how it is declared now.

    Attributes:
        declared: It is in the file.
        parked: A person parked it, beside what the file says.
        parked_at: When the command said that it is (Unix seconds); it stays so until it is resumed or leaves the file.
        may_pair: It may show a code: a person asked, or it was never linked.
    """

    name: str
    number: str
    declared: bool = True
    enabled: bool = True
    parked: bool = False
    parked_at: float | None = None
    team: str = ""
    device: str = ""
    proxy: str = ""
    former: str = ""
    may_pair: bool = False

    def table(self) -> str:
        keys = {"device_name": self.device, "proxy": self.proxy, "renamed_from": self.former}
        lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items() if value]
        lines += ["enabled = false"] if not self.enabled else []
        lines += [f"labels = {{ team = {json.dumps(self.team)} }}"] if self.team else []
        return "\n".join([f"[sessions.{self.name}]", *lines, ""])


@dataclass
class Book:
    """All lines, in the order of the file.

    Attributes:
        past: Every name that a session had, by name.
        retirable: Names that some edit took out of the file, so that they may be retired.
    """

    path: Path
    head: str
    lines: list[Line] = field(default_factory=list)
    past: dict[str, Line] = field(default_factory=dict)
    retirable: set[str] = field(default_factory=set)
    lock: threading.RLock = field(default_factory=threading.RLock)

    def add(self, name: str, number: str, *, may_pair: bool = False) -> Line:
        with self.lock:
            line = Line(name, number, may_pair=may_pair)
            self.lines.append(line)
            self.past[name] = line
            return line

    def rename(self, line: Line, name: str) -> None:
        with self.lock:
            self.retirable.add(line.name)
            line.former, line.name = line.name, name
            self.past[name] = line

    def remove(self, line: Line) -> None:
        with self.lock:
            self.retirable.add(line.name)
            line.declared, line.parked_at = False, None

    def text(self) -> str:
        with self.lock:
            return self.head + "\n".join(line.table() for line in self.lines if line.declared)

    def save(self, text: str | None = None) -> None:
        """Save as careful editors do: a new file, renamed into place."""
        new = self.path.with_suffix(".new")
        new.write_text(self.text() if text is None else text, "utf-8")
        new.replace(self.path)

    def scribble(self, text: str) -> None:
        """Save as careless ones do: the file itself, cut off and written."""
        self.path.write_text(text, "utf-8")

    def healthy(self) -> list[Line]:
        """Whoever is to be in service once all is done."""
        with self.lock:
            return [line for line in self.lines if line.declared and line.enabled and not line.parked]
