"""A widget on a page of its own: its very module and style sheet in Chromium, and a kernel that the test plays.

What is tried here needs layout, focus and frames, which no imitation of a page has, and no JupyterLab.
"""

from __future__ import annotations

import base64
from typing import Any

from playwright.sync_api import Browser, Page

from wakit.notebook.widgets.bundle import script, style

_SETUP = """async ([source, opening, apart]) => {
  const heard = {};
  window.sent = [];
  const model = {
    get: (trait) => (trait === "filter" ? "" : opening),
    set() {}, save_changes() {}, send: (message) => sent.push(message),
    on: (name, act) => (heard[name] ??= []).push(act), off() {},
  };
  window.tell = (message) => heard["msg:custom"].forEach((act) => act(message));
  window.link = (live) => heard["comm_live_update"].forEach((act) => act({ comm_live: live }));
  window.painted = () => new Promise((done) => requestAnimationFrame(() => {
    const after = new MessageChannel();
    after.port1.onmessage = () => done(performance.now());
    after.port2.postMessage(null);
  }));
  const widget = (await import(source)).default;
  const place = document.querySelector("#place");
  if (apart) {
    window.host = document.createElement("div");
    host.attachShadow({ mode: "open" }).append(document.querySelector("style"), place);
  }
  window.dispose = widget.render({ model, el: place });
}"""
FLEET = {"reachable": True, "trouble": "", "converged": True, "error": None, "hint": None}


def bare_page(
    browser: Browser, name: str, *, width: int = 1100, opening: dict[str, Any] | None = None, apart: bool = False
) -> Page:
    """Open a page with nothing on it but the widget; ``tell(message)`` on it is what the kernel would send.

    With ``apart`` the widget is in a shadow root whose ``host`` is in no page yet.
    """
    page = browser.new_page(viewport={"width": 1180, "height": 800})
    page.set_content(f"<!doctype html><style>{style(name)}</style><div id=place style='width:{width}px'></div>")
    source = base64.b64encode(script(name).encode()).decode()
    page.evaluate(_SETUP, [f"data:text/javascript;base64,{source}", opening or {}, apart])
    return page


def row(name: str, now: int, **more: Any) -> dict[str, Any]:
    """One session's row as ``board.py`` sends it; ``now`` is milliseconds since 1970."""
    return {
        "name": name, "state": "connected", "status": "connected", "since": now - 5_000_000, "seen": now,
        "stale": False, "reason": "", "attempt": 0, "next": None, "worker": 4242, "paired": True, "enabled": True,
        "account": "ab12cd34ef", "labels": {"team": "emea"},
    } | more  # fmt: skip


def hour(now: int, **more: Any) -> dict[str, Any]:
    """A session's last hour, connected for all of it."""
    last = now // 60_000
    minutes = [[minute, "connected", 0, 0] for minute in range(last - 59, last + 1)]
    return {"kind": "connected", "at": now, "troubled": True, "whole": True, "minutes": minutes} | more


def everything(now: int, rows: list[dict[str, Any]], past: dict[str, Any] | None = None) -> dict[str, Any]:
    """What the kernel answers a view that has just been rendered."""
    return {"type": "all", "now": now, "fleet": FLEET, "rows": rows, "past": past or {}}


def changes(now: int, *rows: dict[str, Any], **more: Any) -> dict[str, Any]:
    """What it sends from then on."""
    return {"type": "changes", "now": now, "fleet": None, "rows": rows, "gone": [], "order": None, "past": {}} | more
