"""Workers: the only processes in which the Go library runs, and the host that starts, watches and ends them.

Takes :class:`~wakit.whatsapp.port.WorkerLaunch`, gives :data:`~wakit.whatsapp.port.WorkerReport`. ``host``, ``link``,
``placement`` and what they join run in the daemon; ``child``, ``service`` and what they join in a worker process;
``messages`` in both. Which module does what stands in docs/design/worker.md.
"""
