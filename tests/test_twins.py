"""The blocking clients are twins of the asynchronous ones: what one can be asked, the other can be asked alike."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

from wakit.control.client import Client, SyncClient
from wakit.sim.client import SimClient, SyncSimClient

# On purpose: a connection that is kept has to be closed, and who blocks wants to say for how long.
ONLY_ASYNC = {"close"}
ONLY_BLOCKING = {("watch", "timeout")}


def asked(client: type[Any]) -> dict[str, dict[str, tuple[Any, Any]]]:
    """Return each public method's parameters: how they are given and what they take."""
    return {
        name: {each.name: (each.kind, each.annotation) for each in inspect.signature(method).parameters.values()}
        for name, method in vars(client).items()
        if not name.startswith("_") and callable(method)
    }


@pytest.mark.parametrize(("client", "twin"), [(Client, SyncClient), (SimClient, SyncSimClient)])
def test_both_take_the_same(client: type[Any], twin: type[Any]) -> None:
    wanted = {name: taken for name, taken in asked(client).items() if name not in ONLY_ASYNC}
    found = asked(twin)
    for method, parameter in ONLY_BLOCKING:
        if parameter not in wanted.get(method, {}):
            found[method].pop(parameter, None)
    assert found == wanted
