"""The shape of ``sessions.toml``: every table, every key, its default and its kind of value, in pydantic's terms.

Only the shape lives here. What a kind of value is lives in :mod:`wakit.declare.values`, rules between sessions in
:mod:`wakit.declare.loading`; the frozen result is :class:`wakit.core.declaration.Declaration`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, PlainValidator

from wakit.core.declaration import Pairing, RetirePolicy
from wakit.core.turns import HIGHEST, LOWEST
from wakit.declare import values
from wakit.redact import PhoneNumber, Secret

_DAY: Final = 86400.0


class Table(BaseModel):
    """A table that takes the keys it names and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True)


class PacingTable(Table):
    """``[pacing]``."""

    dials: Annotated[float, PlainValidator(values.rate(1 / 3600, 1000.0, "5/s"))] = 5.0
    pairings: Annotated[int, PlainValidator(values.whole(1, 100, "4"))] = 4


class VaultTable(Table):
    """``[vault]``."""

    interval: Annotated[float, PlainValidator(values.duration(1.0, 365 * _DAY, "6h"))] = 6 * 3600.0
    keep: Annotated[int, PlainValidator(values.whole(1, 10_000, "5"))] = 5
    max_bytes: Annotated[int, PlainValidator(values.size(10**6, 10**15, "1GiB"))] = 1 << 30
    recipients: Annotated[tuple[str, ...], PlainValidator(values.recipients)] = ()


class HealthTable(Table):
    """``[health]``."""

    stale_after: Annotated[float, PlainValidator(values.duration(1.0, _DAY, "90s"))] = 90.0
    deaf_after: Annotated[float, PlainValidator(values.duration(1.0, _DAY, "45s"))] = 45.0
    restart_after: Annotated[float, PlainValidator(values.duration(1.0, _DAY, "60s"))] = 60.0


class RestartsTable(Table):
    """``[restarts]``."""

    limit: Annotated[int, PlainValidator(values.whole(1, 10_000, "20"))] = 20
    window: Annotated[float, PlainValidator(values.duration(1.0, 30 * _DAY, "1h"))] = 3600.0


class JournalTable(Table):
    """``[journal]``."""

    keep_days: Annotated[int, PlainValidator(values.whole(1, 36_500, "400"))] = 400


class EndpointTable(Table):
    """``[endpoint]``: all or nothing."""

    proxy: Annotated[str, PlainValidator(values.endpoint_proxy)]
    ca_file: Annotated[str, PlainValidator(values.line(4096, "ca.pem"))]
    noise_root_key: Annotated[str, PlainValidator(values.noise_root_key)]


class WakitTable(Table):
    """``[wakit]``."""

    state_dir: Annotated[str, PlainValidator(values.line(4096, ".wakit"))] = ".wakit"
    sessions_per_worker: Annotated[int | Literal["auto"], PlainValidator(values.per_worker)] = "auto"
    retire: Annotated[RetirePolicy, PlainValidator(values.choice(RetirePolicy))] = RetirePolicy.ARCHIVE
    retire_guard: Annotated[float, PlainValidator(values.share)] = 0.5
    strategy: Annotated[Literal["shared"], PlainValidator(values.strategy)] = "shared"


class FleetTables(WakitTable):
    """``[wakit]`` and the fleet-wide tables beside it, as one: this is what the environment can set."""

    pacing: PacingTable = PacingTable()
    vault: VaultTable = VaultTable()
    health: HealthTable = HealthTable()
    restarts: RestartsTable = RestartsTable()
    journal: JournalTable = JournalTable()
    endpoint: EndpointTable | None = None


class SharedSessionKeys(Table):
    """``[defaults]``: every key of a session that several can have in common."""

    pairing: Annotated[Pairing, PlainValidator(values.choice(Pairing))] = Pairing.QR
    proxy: Annotated[Secret | None, PlainValidator(values.proxy)] = None
    enabled: Annotated[bool, PlainValidator(values.flag)] = True
    labels: Annotated[Mapping[str, str], PlainValidator(values.labels)] = {}
    device_name: Annotated[str, PlainValidator(values.line(50, "wakit"))] = "wakit"
    priority: Annotated[int, PlainValidator(values.whole(LOWEST, HIGHEST, "10"))] = 0


class SessionTable(SharedSessionKeys):
    """``[sessions.NAME]``."""

    phone: Annotated[PhoneNumber | None, PlainValidator(values.phone)] = None
    renamed_from: Annotated[str | None, PlainValidator(values.session_name)] = None


FLEET_TABLES: Final[Mapping[str, type[Table]]] = {
    "wakit": WakitTable,
    "pacing": PacingTable,
    "vault": VaultTable,
    "health": HealthTable,
    "restarts": RestartsTable,
    "journal": JournalTable,
    "endpoint": EndpointTable,
}
TOP_LEVEL: Final = (*FLEET_TABLES, "defaults", "sessions")
