"""Ways in which a credential's files get damaged, as disks, people and half-finished copies do it. All seeded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

PAGE = 4096


def flip(folder: Path, chance: Random) -> None:
    """One bit."""
    database = folder / "creds.db"
    content = bytearray(database.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    database.write_bytes(content)


def scribble(folder: Path, chance: Random) -> None:
    """Twenty bytes, at random places."""
    database = folder / "creds.db"
    content = bytearray(database.read_bytes())
    for _ in range(20):
        content[chance.randrange(len(content))] = chance.randrange(256)
    database.write_bytes(content)


def truncate(folder: Path, chance: Random) -> None:
    """The end is missing."""
    database = folder / "creds.db"
    content = database.read_bytes()
    database.write_bytes(content[: chance.randrange(len(content))])


def zero(folder: Path, chance: Random) -> None:
    """A block of zeros, as a lost write leaves it; now and then the whole file."""
    database = folder / "creds.db"
    content = bytearray(database.read_bytes())
    start = chance.choice([0, chance.randrange(len(content))])
    length = chance.choice([512, PAGE, len(content)])
    content[start : start + length] = bytes(len(content[start : start + length]))
    database.write_bytes(content)


def swap_pages(folder: Path, chance: Random) -> None:
    """Two pages in each other's place."""
    database = folder / "creds.db"
    content = bytearray(database.read_bytes())
    first, second = (PAGE * place for place in chance.sample(range(len(content) // PAGE), 2))
    one, other = content[first : first + PAGE], content[second : second + PAGE]
    content[first : first + PAGE], content[second : second + PAGE] = other, one
    database.write_bytes(content)


def deleting(*names: str) -> Callable[[Path, Random], None]:
    """The write-ahead log is gone, with whatever was only there; and what lies beside it, or not."""

    def delete(folder: Path, _chance: Random) -> None:
        for name in names:
            (folder / name).unlink(missing_ok=True)

    return delete


def wrong_file(folder: Path, chance: Random) -> None:
    """Something else under the name."""
    (folder / "creds.db").write_bytes(chance.choice([b"", b"not a database\n" * 50, chance.randbytes(3 * PAGE)]))


def missing(folder: Path, _chance: Random) -> None:
    """Nothing under the name."""
    (folder / "creds.db").unlink()


DAMAGES: dict[str, Callable[[Path, Random], None]] = {
    "flip": flip,
    "scribble": scribble,
    "truncate": truncate,
    "zero": zero,
    "swap pages": swap_pages,
    "delete -wal": deleting("creds.db-wal"),
    "delete -wal, -shm": deleting("creds.db-wal", "creds.db-shm"),
    "delete -wal, held": deleting("creds.db-wal", "held.wal"),
    "delete all three": deleting("creds.db-wal", "creds.db-shm", "held.wal"),
    "wrong file": wrong_file,
    "missing": missing,
}
