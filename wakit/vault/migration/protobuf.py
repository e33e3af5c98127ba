"""The one protobuf message that has to be written here: the fingerprint of an app-state sync key.

Baileys keeps it as JSON, the library as WhatsApp's ``AppStateSyncKeyFingerprint``: ``rawID`` 1, ``currentIndex`` 2,
``deviceIndexes`` 3 (packed). The message classes come with the library, which nothing outside a worker may load.
"""

from __future__ import annotations

from typing import Any, Final

from wakit.vault.migration.octets import member, whole

_VARINT, _BYTES = 0, 2  # wire types (protobuf.dev/programming-guides/encoding)
_MOST: Final = (1 << 32) - 1
_SEVEN_BITS: Final = 0x7F


def fingerprint(value: Any) -> bytes:
    """Encode a fingerprint; what is missing or no number is left out, as if it had not been sent.

    Example:
        >>> fingerprint({"rawId": 300, "currentIndex": 1, "deviceIndexes": [0, 1]}).hex()
        '08ac0210011a020001'
    """
    encoded = b""
    for number, name in ((1, "rawId"), (2, "currentIndex")):
        found = whole(member(value, name), 0, _MOST)
        if found is not None:
            encoded += bytes((number << 3 | _VARINT,)) + _varint(found)
    listed = member(value, "deviceIndexes")
    indexes = [whole(each, 0, _MOST) for each in listed] if isinstance(listed, list) else []
    packed = b"".join(_varint(each) for each in indexes if each is not None)
    return encoded + bytes((3 << 3 | _BYTES,)) + _varint(len(packed)) + packed if packed else encoded


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > _SEVEN_BITS:
        encoded.append(value & _SEVEN_BITS | 0x80)
        value >>= 7
    return bytes((*encoded, value))
