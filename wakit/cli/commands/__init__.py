"""The commands: each takes what typer parsed and hands it to the module that does the work.

Options and help stand here, in one module a job; ``wakit.cli.app`` lists them all and imports the one that is typed.
"""

from __future__ import annotations
