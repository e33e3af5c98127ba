"""Takes a running daemon's control socket; gives objects and widgets that show the fleet and act on it, in a notebook.

Runs in the kernel. One background thread owns the live connection, so a busy cell loses nothing; widgets speak to the
browser only from the kernel's own loop. The WhatsApp library never comes here.
"""

from __future__ import annotations
