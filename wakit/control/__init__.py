"""The daemon's door: JSON over HTTP and a live WebSocket, on a Unix socket of mode 0600.

Takes a :class:`~wakit.control.port.Fleet` from the composition root and serves it (``server``, daemon process only);
gives a typed client (``client``) that the command line and the notebook share.
"""
