"""WhatsApp on loopback: the server, and virtual phones that scan, type and unlink.

Takes a state directory and commands on a Unix socket; gives an endpoint the stock client can dial, and a journal of
what the server saw. The server is a process of its own (``python -m wakit.sim``); ``client`` and ``endpoint`` are light
and run anywhere.
"""
