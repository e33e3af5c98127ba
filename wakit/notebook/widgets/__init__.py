"""Takes snapshots of the fleet; gives the widgets a browser shows: the board and the pairing widget.

Each is a Python side, a plain ES module and a style sheet of the same name. Runs in the kernel; no build step, no CDN.
"""

from __future__ import annotations
