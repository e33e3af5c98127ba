"""``python -m wakit`` is ``wakit``."""

from __future__ import annotations

from wakit.cli import main

if __name__ == "__main__":
    main()
