"""``python -m wakit.worker CHANNEL PARENT``: a worker process. Only the host starts one."""

from wakit.worker.child import main

main()
