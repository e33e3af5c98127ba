"""Sealing for age and ssh keys and with a passphrase, and what is told when it cannot be opened."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from pyrage import x25519

from wakit.redact import Secret
from wakit.vault.sealing import SealError, check_recipients, fingerprints, seal, seal_with_passphrase, unseal

DATA = bytes(range(256)) * 1000


class Key:
    """A key pair: the public text, and a file with the private one."""

    def __init__(self, public: str, private: bytes, folder: Path) -> None:
        self.public = public
        self.file = folder / f"key-{len(list(folder.iterdir()))}"
        self.file.write_bytes(private)


def age_key(folder: Path) -> Key:
    identity = x25519.Identity.generate()
    public = str(identity.to_public())
    return Key(public, f"# created: today\n# public key: {public}\n{identity}\n".encode(), folder)


def ssh_key(folder: Path, kind: str, passphrase: bytes = b"") -> Key:
    private = {
        "ed25519": ed25519.Ed25519PrivateKey.generate,
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
    }[kind]()
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    if passphrase:
        text = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(passphrase))
    else:
        text = private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    return Key(f"{public} me@host", text, folder)


@pytest.fixture
def key(tmp_path: Path) -> Key:
    return age_key(tmp_path)


@pytest.mark.parametrize("data", [b"", b"x", DATA], ids=["nothing", "a byte", "pieces"])
@pytest.mark.parametrize("kind", ["age", "ed25519", "rsa"])
def test_the_holder_of_the_key_opens_it(tmp_path: Path, kind: str, data: bytes) -> None:
    key = age_key(tmp_path) if kind == "age" else ssh_key(tmp_path, kind)
    sealed = seal(data, [key.public])
    assert len(data) < 9 or data[:9] not in sealed
    assert unseal(sealed, identities=[key.file]) == data


def test_each_of_several_holders_opens_it(tmp_path: Path) -> None:
    keys = [age_key(tmp_path), ssh_key(tmp_path, "ed25519"), age_key(tmp_path)]
    sealed = seal(DATA, [key.public for key in keys])
    for key in keys:
        assert unseal(sealed, identities=[key.file]) == DATA
    other = age_key(tmp_path)
    assert unseal(sealed, identities=[other.file, keys[1].file]) == DATA, "any one of the given is enough"


@pytest.fixture(scope="module")
def with_passphrase() -> bytes:
    return seal_with_passphrase(DATA, Secret("correct horse"))


def test_a_passphrase_opens_it(with_passphrase: bytes) -> None:
    assert unseal(with_passphrase, passphrase=Secret("correct horse")) == DATA
    with pytest.raises(SealError, match="passphrase is wrong") as caught:
        unseal(with_passphrase, passphrase=Secret("battery"))
    assert "battery" not in str(caught.value)
    with pytest.raises(SealError, match="none was given"):
        unseal(with_passphrase)


def test_a_passphrase_that_would_take_for_ever_is_refused(with_passphrase: bytes) -> None:
    header, _, rest = with_passphrase.partition(b"\n---")
    stanza = header.splitlines()[1]
    costly = b" ".join([*stanza.split(b" ")[:-1], b"40"])
    with pytest.raises(SealError, match="stretched further than this machine"):
        unseal(header.replace(stanza, costly) + b"\n---" + rest, passphrase=Secret("x"))


def test_a_machine_that_was_busy_for_a_moment_opens_it_all_the_same(
    with_passphrase: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def busy_at_first(data: bytes, passphrase: str) -> bytes:
        asked.append(len(data))
        if len(asked) < 3:
            raise pyrage.DecryptError(
                "Excessive work parameter for passphrase.\nDecryption would take around 64 seconds."
            )
        return decrypt(data, passphrase)

    decrypt = pyrage.passphrase.decrypt
    monkeypatch.setattr(pyrage.passphrase, "decrypt", busy_at_first)
    assert unseal(with_passphrase, passphrase=Secret("correct horse")) == DATA
    assert len(asked) == 3


def test_an_empty_passphrase_and_no_recipient_are_refused() -> None:
    with pytest.raises(SealError, match="empty"):
        seal_with_passphrase(DATA, Secret(""))
    with pytest.raises(SealError, match="no public key"):
        seal(DATA, [])


def test_somebody_else_does_not_open_it(tmp_path: Path, key: Key) -> None:
    other = age_key(tmp_path)
    with pytest.raises(SealError, match="none of the keys fits"):
        unseal(seal(DATA, [key.public]), identities=[other.file])
    with pytest.raises(SealError, match="none was given") as caught:
        unseal(seal(DATA, [key.public]))
    assert "--identity" in caught.value.hint


def test_a_secret_key_is_no_recipient_and_is_not_repeated(key: Key) -> None:
    secret = key.file.read_text().splitlines()[-1]
    with pytest.raises(SealError, match="Recipient 2") as caught:
        check_recipients([key.public, secret])
    assert secret not in str(caught.value) + caught.value.hint


@pytest.mark.parametrize("text", ["", " ", "age1", "age1xyz", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-dss AAAA", "\0"])
def test_what_is_no_public_key_is_told(text: str) -> None:
    with pytest.raises(SealError, match="Recipient 1 cannot be used"):
        seal(DATA, [text])


def test_a_kind_of_key_that_age_does_not_take_is_told(tmp_path: Path) -> None:
    with pytest.raises(SealError, match="Recipient 1"):
        check_recipients([ssh_key(tmp_path, "ecdsa").public])


def test_key_files_that_cannot_be_used_are_told(tmp_path: Path, key: Key) -> None:
    sealed = seal(DATA, [key.public])
    cases = {
        "none": None,
        "empty": b"",
        "comment": b"# nothing\n",
        "public": key.public.encode(),
        "damaged": b"AGE-SECRET-KEY-1XXX\n",
        "binary": bytes(range(256)),
        "ssh": b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n",
        "endless": b"#" * (2 << 20),
    }
    for name, content in cases.items():
        path = tmp_path / name
        if content is not None:
            path.write_bytes(content)
        with pytest.raises(SealError, match="key file") as caught:
            unseal(sealed, identities=[path])
        assert str(path) in str(caught.value)
        assert caught.value.hint
    locked = ssh_key(tmp_path, "ed25519", b"secret")
    with pytest.raises(SealError, match="passphrase") as caught:
        unseal(sealed, identities=[locked.file])
    assert "ssh-keygen -p" in caught.value.hint


def test_fingerprints_name_the_keys_and_not_their_comments(tmp_path: Path) -> None:
    one, two = ssh_key(tmp_path, "ed25519").public, age_key(tmp_path).public
    assert fingerprints([one, two]) == fingerprints([two, one.removesuffix(" me@host"), two])
    assert fingerprints([one]) != fingerprints([two])
    assert fingerprints([]) == ()


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, Path]:
    key = age_key(tmp_path_factory.mktemp("key"))
    return seal(DATA[:500], [key.public]), key.file


def test_every_flipped_byte_is_found(sealed: tuple[bytes, Path]) -> None:
    data, file = sealed
    for position in range(len(data)):
        flipped = bytearray(data)
        flipped[position] ^= 1
        with pytest.raises(SealError):
            unseal(bytes(flipped), identities=[file])


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_nothing_malformed_is_opened(sealed: tuple[bytes, Path], data: st.DataObject) -> None:
    whole, file = sealed
    start = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(start, len(whole)))
    changed = whole[:start] + data.draw(st.binary(max_size=50)) + whole[end:]
    if changed != whole:
        with pytest.raises(SealError):
            unseal(changed, identities=[file])


def test_the_library_is_loaded_when_it_is_needed() -> None:
    code = "import sys, wakit.vault.backups; sys.exit('pyrage' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
