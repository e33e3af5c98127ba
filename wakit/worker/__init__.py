"""Workers: the only processes in which the Go library runs, and the host that starts, watches and ends them.

Takes :class:`~wakit.whatsapp.port.WorkerLaunch`, gives :data:`~wakit.whatsapp.port.WorkerReport`. ``host``, ``link``,
``placement`` and ``exits`` run in the daemon; ``child`` and what only it imports (``relay``, ``dialing``, ``starting``,
``custody``) in a worker process; ``messages`` in both.
"""
