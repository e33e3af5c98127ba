"""The serving side of the control room: the only place that knows FastAPI and uvicorn.

Takes a :class:`~wakit.control.port.Fleet`; gives an ASGI application (:func:`create_app`) and a way to serve it on a
Unix socket inside a running event loop (:func:`serve_unix`). Runs in the daemon only.
"""

from __future__ import annotations

from wakit.control.server.app import create_app
from wakit.control.server.unix import serve_unix

__all__ = ["create_app", "serve_unix"]
