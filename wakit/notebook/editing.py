"""The verbs of a fleet that edit its file: the plan is said first, and the commit is left to the user."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from wakit.notebook.declaring import Declared
    from wakit.notebook.link import Link


class Editing:
    """What a fleet can do to its sessions.toml.

    Attributes:
        config: The file.

    Example:
        >>> fleet.declare("sales", enabled=False, dry_run=True)
        - park sales: enabled = false
        <BLANKLINE>
        --- a/sessions.toml
        +++ b/sessions.toml
        @@ -2,5 +2,6 @@
         state_dir = "."
        <BLANKLINE>
         [sessions.sales]
        +enabled = false
        <BLANKLINE>
         [sessions.support]
        <BLANKLINE>
        sessions.toml: not saved
    """

    config: Path
    _link: Link

    def declare(self, name: str, *, dry_run: bool = False, **keys: Any) -> Declared:
        """Write a session into sessions.toml, or change its keys; comments and order of the file are kept.

        Saving the file is what makes it so: the daemon sees it and acts. In a notebook the plan and the file's
        difference are shown first, then the file is saved, then the daemon's word on it is shown; all of it is
        returned, too. The commit is left to you.

        Args:
            name: The session; declared if it is not.
            dry_run: Only say what would follow.
            keys: Keys of ``[sessions.NAME]``, such as ``pairing="code"`` or ``labels={"team": "emea"}``. None takes a
                key out.

        Raises:
            DeclarationError: The file would not be a declaration any more; it is left as it was.

        Example:
            >>> fleet.declare("fieldwork", labels={"team": "emea"}, dry_run=True).plan
            ('+ create fieldwork: declared, never paired',)
        """
        from wakit.notebook.declaring import declare  # noqa: PLC0415

        return declare(self.config, self._link, name, keys, dry_run=dry_run)

    def retire(self, name: str, *, dry_run: bool = False) -> Declared:
        """Take a session out of sessions.toml; its credential goes where ``retire`` in the file says.

        Args:
            name: The session.
            dry_run: Only say what would follow.

        Raises:
            DeclarationError: The file does not declare it, or cannot be written.

        Example:
            >>> fleet.retire("support", dry_run=True).plan
            ('- retire support: no longer in the file; its credential is archived and can be revived',)
        """
        from wakit.notebook.declaring import retire  # noqa: PLC0415

        return retire(self.config, self._link, name, dry_run=dry_run)

    def rename(self, old: str, new: str, *, dry_run: bool = False) -> Declared:
        """Give a session another name in sessions.toml; its credential moves along, and nobody scans again.

        The old name stays in the file as ``renamed_from``, which tells the daemon where the credential is. The journal
        keeps what was written under the old name.

        Args:
            old: The session's name.
            new: Its name from now on.
            dry_run: Only say what would follow.

        Raises:
            DeclarationError: ``old`` is not declared, ``new`` is, or the file cannot be written.

        Example:
            >>> fleet.rename("sales", "shop", dry_run=True).plan
            ("~ rename shop from sales: renamed_from = 'sales'",)
        """
        from wakit.notebook.declaring import rename  # noqa: PLC0415

        return rename(self.config, self._link, old, new, dry_run=dry_run)
