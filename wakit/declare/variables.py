"""How the names of variables become keys: pydantic-settings' business."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict

from wakit.declare.schema import FleetTables


class FleetVariables(BaseSettings, FleetTables):
    """The fleet's keys by the names they have in the environment: ``WAKIT_RETIRE``, ``WAKIT_PACING__DIALS``."""

    # Values are read by the schema's own readers, not as JSON.
    model_config = SettingsConfigDict(
        env_prefix="WAKIT_", env_nested_delimiter="__", env_ignore_empty=True, enable_decoding=False
    )


class _Given(EnvSettingsSource):
    """pydantic-settings' environment source, over variables that were handed in."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        self._given = variables
        super().__init__(FleetVariables)

    def _load_env_vars(self) -> Mapping[str, str | None]:
        return {name.lower(): value for name, value in self._given.items()}


def nested(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return variables as a nested mapping, in the shape of ``FleetTables``.

    Example:
        >>> nested({"WAKIT_RETIRE": "keep", "WAKIT_PACING__DIALS": "2/s"})
        {'retire': 'keep', 'pacing': {'dials': '2/s'}}
    """
    return _Given(variables)()
