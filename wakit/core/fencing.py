"""Whose turn is it? One credential that lies in several folders may go on in one of them only.

The library changes a credential's keys with every message. Of two copies, the one that was not used last has keys that
are over: starting it breaks what the other one has agreed with its contacts since. So it is remembered where each
credential was started last, and a start elsewhere is judged by that.

What is the same place survives moving and renaming, and does not survive copying: the folder's lock file, which is
never replaced, known by its inode and by when it was made (an inode alone is given again as soon as a file is deleted).
The path only helps to tell whether the other place still exists.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Turn(StrEnum):
    """What a credential that is about to start is, compared with where it was started last."""

    FIRST = "first"  # nothing is known of it
    SAME = "same"  # this very folder, wherever it lies now
    NEWER = "newer"  # another folder that has seen more starts: it was in use where nobody noted it here
    MOVED = (
        "moved"  # another folder that has seen as many starts and the end of the last, and the one used last is gone
    )
    COPY = "copy"  # another folder, and its keys are over
    BEHIND = "behind"  # this very folder, put back to an earlier state


ALLOWED: Final = frozenset({Turn.FIRST, Turn.SAME, Turn.NEWER, Turn.MOVED})
"""What may start by itself; the others wait for a person's word."""


@dataclass(frozen=True, slots=True)
class Mark:
    """A folder's identity, and which starts its credential has seen.

    Attributes:
        inode: Of its lock file.
        born: When that file was made; 0 where nobody knows.
        epoch: The number of its last start.
    """

    inode: int
    born: int
    epoch: int

    def same_place(self, other: Mark) -> bool:
        """Return whether both are one folder, as far as numbers tell."""
        return self.inode == other.inode and (self.born == other.born or not self.born or not other.born)


def judge(here: Mark, last: Mark | None, *, rival: bool, gone: bool, rested: bool, ended: bool) -> Turn:
    """Judge a credential that is about to start.

    Args:
        here: The folder it lies in, before this start is counted.
        last: The folder it was started in last, as it was then.
        rival: That folder still lies where it was, and is not this one.
        gone: Nothing lies any more where that folder was.
        rested: What is here saw the end of the last start, so it is no copy that was made while it ran.
        ended: There was such an end; after a crash nobody could note one.

    Example:
        >>> judge(Mark(7, 0, 3), Mark(5, 0, 3), rival=True, gone=False, rested=True, ended=True)
        <Turn.COPY: 'copy'>
        >>> judge(Mark(5, 0, 3), Mark(5, 0, 3), rival=False, gone=True, rested=False, ended=False)
        <Turn.SAME: 'same'>
    """
    if last is None:
        return Turn.FIRST
    # The number of starts alone does not tell states apart that are of one start, from while it ran and from after.
    as_new = here.epoch == last.epoch and (rested or not ended)
    # A cloned disk has the same inodes; then the one that still lies where it was is the one that was used.
    if here.same_place(last) and not rival:
        return Turn.SAME if as_new or here.epoch > last.epoch else Turn.BEHIND
    if here.epoch > last.epoch:
        return Turn.NEWER
    return Turn.MOVED if gone and as_new and rested else Turn.COPY
