"""How sessions were declared, as far as the text that the journal keeps still says so.

For a daemon that takes up what an earlier one held: sessions that are no longer in the file, and that nobody has
decided about. The text is masked, so a proxy with a password is not known any more; who had one is not in the answer,
because it must not be started any other way.
"""

from __future__ import annotations

import tomllib
from typing import Any, Final

from wakit.core.declaration import SESSION_NAME, SessionSpec
from wakit.redact import Secret

_MASK: Final = "["  # what every mask begins with; an IPv6 address does too, and is then not known either


def remembered(text: str) -> dict[str, SessionSpec]:
    r"""Read from a masked text how its sessions are to be started; a session that it does not tell is left out.

    Args:
        text: A declaration's masked text.

    Example:
        >>> told = '[sessions.a]\nphone = "+34…01"\nenabled = false\n[sessions.b]\nproxy = "socks5://[credentials]@h:1"\n'
        >>> [(spec.name, spec.enabled) for spec in remembered(told).values()]
        [('a', False)]
    """
    try:
        document = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return {}
    shared, sessions = document.get("defaults", {}), document.get("sessions", {})
    if not isinstance(shared, dict) or not isinstance(sessions, dict):
        return {}
    found = {name: _spec(name, shared | raw) for name, raw in sessions.items() if isinstance(raw, dict)}
    return {name: spec for name, spec in found.items() if spec is not None}


def _spec(name: str, raw: dict[str, Any]) -> SessionSpec | None:
    plain = SessionSpec(name)
    proxy, device_name = raw.get("proxy", ""), raw.get("device_name", plain.device_name)
    enabled, priority = raw.get("enabled", plain.enabled), raw.get("priority", plain.priority)
    sound = isinstance(proxy, str) and isinstance(device_name, str) and isinstance(enabled, bool)
    if not sound or not isinstance(priority, int) or not SESSION_NAME.fullmatch(name):
        return None
    if _MASK in proxy or _MASK in device_name:
        return None
    return SessionSpec(
        name, proxy=Secret(proxy) if proxy else None, enabled=enabled, device_name=device_name, priority=priority
    )
