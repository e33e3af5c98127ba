"""WhatsApp as wakit sees it: a port of typed events, and the neonize adapter behind it.

Takes a session's start order, gives :class:`~wakit.whatsapp.port.SessionEvent`. The port is imported anywhere; the
``neonize_*`` modules only inside a worker process.
"""
