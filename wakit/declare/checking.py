"""A parsed document is held against the schema; every problem found gets its place, its key and a hint.

The checker never stops at a problem. Where a key is wrong it goes on as if the key were absent, so that one slip does
not hide another, and so that a wrong value is not reported twice (a bad phone is not also a missing one).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from pydantic import ValidationError

from wakit.core.declaration import Pairing, SessionSpec
from wakit.declare import values
from wakit.declare.environment import Variables
from wakit.declare.positions import KeyPath, Positions
from wakit.declare.problems import Refusal, closest
from wakit.declare.schema import FLEET_TABLES, TOP_LEVEL, FleetTables, SessionTable, SharedSessionKeys, Table
from wakit.declare.syntax import path_text
from wakit.errors import DeclarationError, Location
from wakit.redact import PhoneNumber

T = TypeVar("T", bound=Table)

_ONE_SESSIONS_OWN = {
    "phone": "a phone number belongs to one session",
    "renamed_from": "a former name belongs to one session",
}
_LONGEST_DIGITS_IN_NAME = 9


class Checker:
    """Checks one document.

    Attributes:
        problems: What is wrong, in no order.
        warnings: What is accepted but worth saying.
    """

    def __init__(self, document: Mapping[str, Any], positions: Positions, display: str, variables: Variables) -> None:
        self.problems: list[DeclarationError] = list(variables.problems)
        self.warnings: list[str] = list(variables.warnings)
        self._document = document
        self._positions = positions
        self._display = display
        self._variables = variables
        for key in document:
            if key not in TOP_LEVEL:
                self._unknown_table(key)

    def fleet(self) -> FleetTables:
        """Check the fleet's tables, with the environment's values over the file's."""
        raw = dict(self._table(("wakit",)))
        for name in FLEET_TABLES.keys() & raw.keys():
            del raw[name]
            self._problem("unknown key", ("wakit", name), why="it is a table of its own", hint=f"write [{name}]")
        for name in FLEET_TABLES:
            if name != "wakit" and name in self._document:
                raw[name] = self._table((name,))
        for name, setting in self._variables.settings.items():
            raw[name] = {**raw.get(name, {}), **setting} if isinstance(setting, dict) else setting
        return self._validated(FleetTables, raw, ())

    def shared(self) -> SharedSessionKeys:
        """Check ``[defaults]``."""
        raw = dict(self._table(("defaults",)))
        for key in _ONE_SESSIONS_OWN.keys() & raw.keys():
            del raw[key]
            self._problem(
                "this key cannot have a default", ("defaults", key), why=_ONE_SESSIONS_OWN[key],
                hint="move it under its [sessions.NAME]",
            )  # fmt: skip
        return self._validated(SharedSessionKeys, raw, ("defaults",))

    def sessions(self, shared: SharedSessionKeys) -> dict[str, SessionSpec]:
        """Check every ``[sessions.NAME]`` and the rules between them."""
        specs: dict[str, SessionSpec] = {}
        for name, raw in self._table(("sessions",)).items():
            path = ("sessions", name)
            if not isinstance(raw, dict):
                self._not_a_session(path, raw)
                continue
            try:
                values.session_name(name)
            except Refusal as refusal:
                self._problem(refusal.what, path, why=refusal.why, hint=refusal.hint)
            own = self._validated(SessionTable, raw, path)
            specs[name] = _spec(name, own, shared)
            if own.phone is None and "phone" not in raw and specs[name].pairing is Pairing.CODE:
                self._code_without_phone(path, own)
            if sum(map(str.isdigit, name)) > _LONGEST_DIGITS_IN_NAME:
                self._warn(path, "a name that looks like a phone number would be written in logs and the journal")
        self._check_phones(specs)
        self._check_renames(specs)
        return specs

    def location(self, path: KeyPath, *, of_value: bool = False) -> Location:
        """Say where a key stands: the variable that sets it, or its place in the file."""
        if variable := self._variables.by_key.get(path):
            return variable.location
        offset = self._positions.of_value(path) if of_value else self._positions.of_key(path)
        if offset is None:
            for known, variable in self._variables.by_key.items():
                if known[:1] == path[:1]:
                    return variable.location
        return self._positions.location(self._display, offset)

    def _table(self, path: KeyPath) -> Mapping[str, Any]:
        raw = self._document.get(path[0], {})
        if isinstance(raw, dict):
            return raw
        example = "[sessions.sales]" if path == ("sessions",) else f"[{path[0]}]"
        doubled = isinstance(raw, list)
        self._problem(
            "needs a table", path,
            why="double brackets make a list" if doubled else f"found {values.found(raw)}",
            hint=f"write {example} on a line of its own, its keys below",
        )  # fmt: skip
        return {}

    def _validated(self, model: type[T], raw: Mapping[str, Any], base: KeyPath) -> T:
        try:
            return model.model_validate(raw)
        except ValidationError as error:
            wrong: set[KeyPath] = set()
            for detail in error.errors(include_url=False, include_input=False):
                inner = tuple(str(part) for part in detail["loc"])
                wrong.add(inner)
                path = base + inner if base or inner[0] in FLEET_TABLES else ("wakit", *inner)
                self._explain(detail["type"], detail.get("ctx", {}).get("error"), path)
        # Without its wrong keys the table is valid: no key is required, but for [endpoint], which then goes as a whole.
        return model.model_validate(_without(raw, wrong))

    def _explain(self, kind: str, cause: object, path: KeyPath) -> None:
        if isinstance(cause, Refusal):
            self._problem(cause.what, path, of_value=True, why=cause.why, hint=cause.hint)
        elif kind == "extra_forbidden":
            self._unknown_key(path)
        elif kind == "missing":
            hint = "an endpoint needs proxy, ca_file and noise_root_key; `wakit sim` prints all three"
            self._problem("the key is missing", path, why=f"[{path[0]}] cannot do without it", hint=hint)
        else:  # a value of a shape that no reader saw
            self._problem("this value does not fit", path, of_value=True, why=kind.replace("_", " "))

    def _unknown_key(self, path: KeyPath) -> None:
        *table, key = path
        model = SessionTable if table[0] == "sessions" else FLEET_TABLES.get(table[0], SharedSessionKeys)
        home = next((name for name, other in FLEET_TABLES.items() if key in other.model_fields), None)
        if home is not None:
            hint = f"it belongs in [{home}]"
        elif guess := closest(key, model.model_fields):
            hint = f"did you mean {guess}?"
        else:
            hint = f"[{path_text(tuple(table))}] takes {', '.join(model.model_fields)}"
        self._problem("unknown key", path, hint=hint)

    def _unknown_table(self, key: str) -> None:
        home = next((name for name, model in FLEET_TABLES.items() if key in model.model_fields), None)
        if home is not None and not isinstance(self._document[key], dict):
            hint = f"it belongs in [{home}]"
        elif guess := closest(key, TOP_LEVEL):
            hint = f"did you mean {guess}?"
        elif isinstance(self._document[key], dict) and "sessions" not in self._document:
            hint = f"a session is written [sessions.{path_text((key,))}]"
        else:
            hint = f"tables are {', '.join(TOP_LEVEL)}"
        what = "unknown table" if isinstance(self._document[key], dict | list) else "unknown key"
        self._problem(what, (key,), hint=hint)

    def _not_a_session(self, path: KeyPath, raw: object) -> None:
        if path[1] in SessionTable.model_fields:
            hint = "write [sessions.NAME] above it, with the session's name"
        else:
            hint = f"write [{path_text(path)}] on a line of its own, its keys below"
        self._problem("needs a table", path, of_value=True, why=f"found {values.found(raw)}", hint=hint)

    def _code_without_phone(self, path: KeyPath, own: SessionTable) -> None:
        said = (*path, "pairing") if "pairing" in own.model_fields_set else path
        self._problem(
            'pairing = "code" needs a phone', said, of_value=len(said) > len(path),
            why="the code is made for one number" + ("" if said != path else "; [defaults] asks for a code"),
            hint='add phone = "+…" to the session, or write pairing = "qr"',
        )  # fmt: skip

    def _check_phones(self, specs: Mapping[str, SessionSpec]) -> None:
        holders: dict[PhoneNumber, str] = {}
        for name, spec in specs.items():
            if spec.phone is None:
                continue
            first = holders.setdefault(spec.phone, name)
            if first != name:
                line = self.location(("sessions", first, "phone")).line
                self._problem(
                    "two sessions have the same phone", ("sessions", name, "phone"), of_value=True,
                    why=f"{spec.phone} is also the phone of {path_text(('sessions', first))} on line {line}",
                    hint="an account has one session here; remove one of the two, or correct its number",
                )  # fmt: skip

    def _check_renames(self, specs: Mapping[str, SessionSpec]) -> None:
        takers: dict[str, str] = {}
        for name, spec in specs.items():
            old = spec.renamed_from
            if old is None:
                continue
            path = ("sessions", name, "renamed_from")
            taker = takers.setdefault(old, name)
            if old == name:
                self._problem("a session cannot be renamed from itself", path, of_value=True, hint="remove the key")
            elif old in specs:
                line = self.location(("sessions", old)).line
                self._problem(
                    "the former name is still declared", path, of_value=True,
                    why=f"{path_text(('sessions', old))} stands on line {line}",
                    hint=f"remove [{path_text(('sessions', old))}], or remove renamed_from",
                )  # fmt: skip
            elif taker != name:
                line = self.location(("sessions", taker, "renamed_from")).line
                self._problem(
                    "two sessions claim the same former name", path, of_value=True,
                    why=f"{path_text(('sessions', taker))} claims it on line {line}",
                    hint="a credential moves to one session; keep renamed_from in one of them",
                )  # fmt: skip

    def _problem(self, what: str, path: KeyPath, *, of_value: bool = False, why: str = "", hint: str = "") -> None:
        location = self.location(path, of_value=of_value)
        self.problems.append(DeclarationError(what, location=location, key=path_text(path), why=why, hint=hint))

    def _warn(self, path: KeyPath, sentence: str) -> None:
        self.warnings.append(f"{self.location(path)}: {path_text(path)}: {sentence}")


def _spec(name: str, own: SessionTable, shared: SharedSessionKeys) -> SessionSpec:
    def pick(key: str) -> Any:
        return getattr(own if key in own.model_fields_set else shared, key)

    return SessionSpec(
        name=name,
        phone=own.phone,
        pairing=pick("pairing"),
        proxy=pick("proxy"),
        enabled=pick("enabled"),
        labels=MappingProxyType({**shared.labels, **own.labels}),
        renamed_from=own.renamed_from,
        device_name=pick("device_name"),
        priority=pick("priority"),
    )


def _without(raw: Mapping[str, Any], wrong: set[KeyPath]) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for key, value in raw.items():
        inner = {path[1:] for path in wrong if path[0] == key}
        if not inner:
            kept[key] = value
        elif () not in inner and key != "endpoint":
            kept[key] = _without(value, inner)
    return kept
