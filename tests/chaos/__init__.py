"""The chaos run: a real fleet against the loopback WhatsApp, and trouble that a seed decides, for minutes.

See docs/design/chaos.md. ``script`` draws the faults (pure), ``book`` is the file that is edited meanwhile, ``stage``
sets the fleet up, ``trouble`` strikes, ``watching`` judges from the journal and from the sim's own counters.
"""
