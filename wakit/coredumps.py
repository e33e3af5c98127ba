"""No core dumps: a dump of a process that holds keys, codes or numbers would leave them on the disk."""

from __future__ import annotations

import resource


def forbid() -> None:
    """Forbid core dumps of this process and its children, for good."""
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    # 1, not 0: where the pattern is a pipe, Linux dumps in spite of 0 (fs/coredump.c: only a limit of 1 prevents it).
    limit = 1 if most == resource.RLIM_INFINITY else min(1, most)
    resource.setrlimit(resource.RLIMIT_CORE, (limit, limit))
