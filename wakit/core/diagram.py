"""The lifecycle table as people read it: a Mermaid diagram and a table, both drawn from the code.

docs/lifecycle.md holds what :func:`page` returns, and a test compares the two; ``python -m wakit.core.diagram`` prints
it anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from wakit.core.lifecycle import RECOVERY, STATUS, TRANSITIONS, Happening, State

# Orders that the reconciler may give in any state would draw a line from everywhere to everywhere.
_FROM_ANYWHERE = (Happening.START, Happening.PARK, Happening.HOLD, Happening.RETIRE, Happening.CREDENTIAL_BAD)


# What a person does about a state. The reason in `wakit status` is more exact; this is where one begins.
TO_DO: Final[Mapping[State, str]] = MappingProxyType(
    {
        State.DECLARED: "nothing; after a code that nobody used in time `wakit pair NAME`",
        State.STARTING: "nothing",
        State.PAIRING: "scan the QR or type the code: `wakit pair NAME`",
        State.PAIRED: "nothing: it logs in",
        State.CONNECTED: "nothing",
        State.DEGRADED: "nothing: no byte comes, and its client is replaced if that lasts",
        State.RECONNECTING: "nothing; the reason says what is in the way, as a lost network or a proxy that is down",
        State.CONFLICT: "stop the other client of this credential or account, then `wakit restart NAME`",
        State.PASSKEY_REQUIRED: "nothing helps yet: WhatsApp wants a passkey, which the library cannot give",
        State.LOGGED_OUT: "`wakit pair NAME`: the phone or WhatsApp unlinked it",
        State.BANNED: "nothing: it is started when the ban ends",
        State.OUTDATED: "a newer neonize, if it lasts; wakit goes on trying",
        State.FAILED: "what the reason says: `wakit restart NAME`, `wakit restore NAME` or `wakit pair NAME`",
        State.PARKED: "`wakit resume NAME`, or take `enabled = false` out of the file",
        State.HELD: "`wakit plan` says what ends the hold",
        State.RETIRED: "declare it again, and its credential is taken back",
    }
)


def mermaid() -> str:
    """Return the transitions as a Mermaid state diagram; one line for each pair of states."""
    happenings: defaultdict[tuple[State, State], list[str]] = defaultdict(list)
    for (state, happening), after in TRANSITIONS.items():
        if after is not state and happening not in _FROM_ANYWHERE:
            happenings[state, after].append(happening.value)
    lines = ["stateDiagram-v2", "    [*] --> declared", "    declared --> starting: start"]
    lines += [
        f"    {state.value} --> {after.value}: {', '.join(sorted(names))}"
        for (state, after), names in sorted(happenings.items())
    ]
    return "\n".join(lines)


def states() -> str:
    """Return the states as a Markdown table: the coarse status, who moves a session on, and what to do."""
    lines = ["| state | status | who moves it on | what you do |", "| --- | --- | --- | --- |"]
    lines += [
        f"| `{state.value}` | {STATUS[state].value} | {RECOVERY[state].value} | {TO_DO[state]} |" for state in State
    ]
    return "\n".join(lines)


def page() -> str:
    """Return docs/lifecycle.md."""
    anywhere = ", ".join(f"`{happening.value}`" for happening in _FROM_ANYWHERE)
    return f"""# The life of a session

`wakit status` shows each session's state, and in the reason the next step. What to do in each state (more in
[troubleshooting](troubleshooting.md)):

{states()}

`held` is the state of one that does not run. One that runs while an action waits for a person stays as it is
(`connected`, say), with "held: ..." in its reason. A session that was paired once never shows a QR again by itself: it
waits for `wakit pair NAME`.

## What leads where

A session is always in exactly one state. What happens to it comes from the library, the relay, the worker host or the
reconciler. A verdict (`conflict`, `logged_out`, `banned`, `outdated`, `passkey_required`, `failed`) is never undone by
a late event.

**No arrow leads out of a verdict, because the reconciler's own orders are left out of the picture**:
{anywhere} may come in almost any state.
So `wakit restart NAME` leads from `failed` to `starting`, and `wakit park NAME` from anywhere to `parked`.

```mermaid
{mermaid()}
```

This page is drawn from `wakit/core/lifecycle.py` by `python -m wakit.core.diagram`; do not edit it by hand. The tests
walk every state with every happening.
"""


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - that is what it is for
