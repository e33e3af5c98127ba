from __future__ import annotations

import json
import subprocess
import sys

from wakit.whatsapp.deferred import deferred

# In a process of its own: only a worker may load the library.
LOOK = """
import json, sys
import wakit.whatsapp.neonize_client
unused = [name for name in ("httpx", "requests", "linkpreview", "bs4", "rich") if name in sys.modules]
import neonize.client, neonize.utils.iofile
kept = neonize.utils.iofile.requests
import requests, requests.exceptions
try:
    neonize.client.link_preview("http://127.0.0.1:1/")
except requests.exceptions.ConnectionError:
    refused = True
print(json.dumps([unused, kept.get is requests.get, refused]))
"""


def test_a_worker_loads_nothing_for_previews_and_url_media_and_has_it_when_it_is_used() -> None:
    found = subprocess.run([sys.executable, "-c", LOOK], check=True, capture_output=True, text=True).stdout
    assert json.loads(found) == [[], True, True]


def test_what_is_loaded_stays_as_it_is() -> None:
    with deferred({"json": ("dumps",)}):
        import json as inside  # noqa: PLC0415 - inside the block is the point
    assert inside is json
    assert sys.modules["json"] is json


def test_a_stand_in_is_gone_after_the_block() -> None:
    sys.modules.pop("this", None)
    with deferred({"this": ()}):
        assert "this" in sys.modules
    assert "this" not in sys.modules
