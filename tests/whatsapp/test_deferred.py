from __future__ import annotations

import json
import subprocess
import sys

from wakit.whatsapp.deferred import deferred

# In a process of its own: only a worker may load the library.
LOOK = """
import json, sys
import wakit.whatsapp.neonize_client
unused = {
    "httpx", "requests", "linkpreview", "bs4", "rich", "PIL", "tqdm", "magic", "segno", "phonenumbers",
    "neonize.ext.interactive_message",
} & set(sys.modules)
import neonize.client, neonize.utils, neonize.utils.calc, neonize.utils.iofile
kept = neonize.utils.iofile.requests
import requests, requests.exceptions
try:
    neonize.client.link_preview("http://127.0.0.1:1/")
except requests.exceptions.ConnectionError:
    refused = True
card = "+34 600 00 00 01" in neonize.utils.gen_vcard("A", "34600000001")
picture = neonize.utils.calc.crop_image(neonize.client.Image.new("RGB", (4, 2))).size
kind = neonize.client.magic.from_buffer(b"%PDF-1.4", mime=True)
print(json.dumps([sorted(unused), kept.get is requests.get, refused, card, picture, kind]))
"""


def test_a_worker_loads_nothing_for_pictures_cards_and_previews_and_has_it_when_it_is_used() -> None:
    found = subprocess.run([sys.executable, "-c", LOOK], check=True, capture_output=True, text=True).stdout
    assert json.loads(found) == [[], True, True, True, [2, 2], "application/pdf"]


def test_an_annotation_of_a_class_that_was_not_loaded_loads_nothing() -> None:
    sys.modules.pop("this", None)
    with deferred({"this": ("Zen",)}):
        from this import Zen  # type: ignore[attr-defined]  # noqa: PLC0415 - inside the block is the point

        kind = str | Zen.Line | None
    assert "this" not in sys.modules
    assert kind is not None


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
