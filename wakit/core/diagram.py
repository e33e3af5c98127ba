"""The lifecycle table as people read it: a Mermaid diagram and a table, both drawn from the code.

docs/lifecycle.md holds what :func:`page` returns, and a test compares the two; ``python -m wakit.core.diagram`` prints
it anew.
"""

from __future__ import annotations

from collections import defaultdict

from wakit.core.lifecycle import RECOVERY, STATUS, TRANSITIONS, Happening, State

# Orders that the reconciler may give in any state would draw a line from everywhere to everywhere.
_FROM_ANYWHERE = (Happening.START, Happening.PARK, Happening.HOLD, Happening.RETIRE, Happening.CREDENTIAL_BAD)


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
    """Return the states as a Markdown table: the coarse status, and who moves a session on."""
    lines = ["| state | status | who moves it on |", "| --- | --- | --- |"]
    lines += [f"| `{state.value}` | {STATUS[state].value} | {RECOVERY[state].value} |" for state in State]
    return "\n".join(lines)


def page() -> str:
    """Return docs/lifecycle.md."""
    anywhere = ", ".join(f"`{happening.value}`" for happening in _FROM_ANYWHERE)
    return f"""# The life of a session

This page is drawn from `wakit/core/lifecycle.py` by `python -m wakit.core.diagram`; do not edit it by hand.

A session is always in exactly one state. What happens to it comes from the library, the relay, the worker host or the
reconciler; the table in the code says which state follows, and the tests walk every state with every happening. A
verdict (`conflict`, `logged_out`, `banned`, `outdated`, `passkey_required`, `failed`) is never undone by a late event.
A session that was paired once never shows a QR again by itself: it waits for `wakit pair NAME`.

{states()}

## What leads where

The reconciler's own orders ({anywhere}) may come in almost any state and are left out of the picture.

```mermaid
{mermaid()}
```
"""


if __name__ == "__main__":
    print(page(), end="")  # noqa: T201 - that is what it is for
