"""The adapter: one stock neonize client, run on one thread of ours. Importing this loads the Go library.

Only a worker process imports it, after the environment is as Go should read it and before any client starts.

The library's own ``connect()`` runs the blocking FFI call on a second thread and polls five times a second for Ctrl-C;
with a hundred sessions that is two hundred threads and a busy process. Ctrl-C never reaches a worker, so the same call
is made here directly, with the same arguments (``NewClient.connect_with_proxy`` of the pinned release).

What else is done differently from what the library's documentation suggests, and why:

- ``stop()`` is never called. It deletes from Go maps that other threads read without a lock, and it blocks while a dial
  is pending. :meth:`NeonizeClient.disconnect` only reads them; the process's end does the rest.
- For the same reason the client's finalizer, which calls ``stop()``, is detached, and every client, handler and
  callback is referenced for the life of the process.
- A fresh uuid names each start, so that nothing left of an older start can be meant.
- No method that looks a client up is called before that client's first dial: an unknown uuid aborts the process.

What the library says is given to a :class:`~wakit.whatsapp.translation.Translator`; calls come from Go's threads.
"""

from __future__ import annotations

import ctypes
import re
import threading
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pylibmagic  # noqa: F401 - must come before neonize: it tells the loader where libmagic is

from wakit.core.declaration import Pairing
from wakit.redact import scrub
from wakit.whatsapp.deferred import deferred
from wakit.whatsapp.port import News, PairingFailed, SessionStart
from wakit.whatsapp.sentences import BAN_NUMBERS, FAILURE_NUMBERS
from wakit.whatsapp.translation import Ear, Translator

_UNUSED: Final[Mapping[str, tuple[str, ...]]] = {
    "httpx": (),
    "requests": (),
    "linkpreview": ("link_preview",),
    "tqdm": ("tqdm",),
    "PIL": ("Image", "ImageSequence"),
    "magic": (),
    "segno": (),
    "phonenumbers": ("PhoneNumberFormat", "format_number", "parse"),
    "neonize.ext.interactive_message.base": ("CustomInteractiveMessage",),
}
"""What the library imports for calls that a session does not make, and what it takes from each by name."""

with deferred(_UNUSED):
    from neonize._binder import (
        ProxySettings,
        func_callback_bytes,
        func_callback_bytes2,
        func_string,
        gocode,
    )
    from neonize.client import NewClient
    from neonize.exc import GetStatusPrivacyError, LogoutError, PairPhoneError
    from neonize.proto import Neonize_pb2 as wire
    from neonize.proto.waCompanionReg.WAWebProtobufsCompanionReg_pb2 import DeviceProps
    from neonize.utils.enum import ClientName, ClientType

_PLAIN_PATH: Final = re.compile(r"/[^?#%\x00]*")
_PARAMETERS: Final = "?_foreign_keys=on&_journal_mode=WAL&_busy_timeout=10000&_x="

_REFUSED: Final = "info query returned status"
"""How the library words an answer that says no (whatsmeow's errors.go): it is an answer."""


def database_name(directory: str) -> str:
    """Return the name under which the library opens ``creds.db`` of this folder.

    The library pastes it unescaped into a SQLite URI, ``file:NAME?_foreign_keys=on``; so a path with ``?``, ``#`` or
    ``%`` would mean another file, and the parameters that turn WAL on can be added in front of the library's own.

    Raises:
        ValueError: The path is relative, or has one of those characters.

    Example:
        >>> database_name("/state/sales")
        '/state/sales/creds.db?_foreign_keys=on&_journal_mode=WAL&_busy_timeout=10000&_x='
    """
    path = Path(directory, "creds.db")
    if ".." in path.parts or not _PLAIN_PATH.fullmatch(str(path)):
        raise ValueError("the library cannot open a path that is relative or contains ?, # or %")
    return f"{path}{_PARAMETERS}"


class NeonizeClient:
    """One session's client.

    Args:
        start: The order.
        proxy: The relay's URL for this session.
        ear: Who hears it.

    Raises:
        ValueError: The credential's path is one the library would misread.
    """

    def __init__(self, start: SessionStart, proxy: str, ear: Ear) -> None:
        self._start, self._proxy, self._ear = start, proxy, ear
        self._translator = Translator(start.pairing, ear.last_dial)
        # The translator is spoken to by several of Go's threads; a verdict must be given once.
        self._one_at_a_time = threading.Lock()
        self._library = NewClient(database_name(start.directory), uuid=uuid.uuid4().hex)
        self._library._stop_finalizer.detach()  # noqa: SLF001 - see above
        self._subscribe()

    def run(self) -> None:
        """Run the client; blocks its thread until it gives up, or for ever."""
        properties = DeviceProps(os=self._start.device_name, platformType=DeviceProps.CHROME).SerializeToString()
        settings = ProxySettings(self._proxy)._to_c_struct()  # noqa: SLF001 - as connect_with_proxy does
        subscriptions = bytes(self._library.event.list_func)
        # Referenced for ever, since Go calls them for as long as the process lives.
        self._callbacks = (
            func_string(self._on_qr),
            func_string(self._on_login_status),
            func_callback_bytes(self._on_event),
            func_callback_bytes2(self._on_log),
        )
        error: bytes = gocode.Neonize(
            self._library.name.encode(),
            self._library.uuid,
            b"",
            0,
            0,
            b"INFO",
            *self._callbacks,
            subscriptions,
            len(subscriptions),
            properties,
            len(properties),
            b"",
            0,
            ctypes.byref(settings),
        )
        self._tell(lambda translator: translator.returned(error.decode("utf-8", "replace")))
        self._ear.settled()

    def disconnect(self) -> None:
        """Close the connection for good; may block for as long as a dial is pending."""
        self._library.disconnect()

    def logout(self) -> str:
        """Unlink the device at WhatsApp; return "" or why it failed, scrubbed. Blocks until WhatsApp answers."""
        try:
            self._library.logout()
        except LogoutError as error:
            return scrub(str(error))
        return ""

    def ask(self) -> str:
        """Ask WhatsApp something small; return "" if it answered, else why not, scrubbed.

        Blocks for 75 seconds when no answer comes (whatsmeow's request.go), and for ever in a library that hangs. The
        question (who may see status updates) changes nothing, and its answer is a few bytes that are thrown away.
        """
        try:
            self._library.get_status_privacy()
        except GetStatusPrivacyError as error:
            why = scrub(str(error))
            return "" if _REFUSED in why else why
        return ""

    def _tell(self, translate: Callable[[Translator], News | None]) -> None:
        with self._one_at_a_time:
            event = translate(self._translator)
            if event is not None:
                self._ear.tell(event)

    # --- what Go calls

    def _on_qr(self, _uuid: int, payload: int) -> None:
        text = ctypes.string_at(payload).decode()
        self._tell(lambda translator: translator.qr(text, datetime.now(UTC)))
        if self._translator.wants_code:
            # Not on this thread: WhatsApp's answer takes its time, and this one feeds the QR channel.
            threading.Thread(target=self._ask_for_code, daemon=True).start()
        elif self._start.pairing is not Pairing.CODE:
            self._ear.settled()

    def _on_login_status(self, _uuid: int, word: int) -> None:
        text = ctypes.string_at(word).decode("utf-8", "replace")
        self._tell(lambda translator: translator.login_status(text, datetime.now(UTC)))

    def _on_event(self, client: int, data: int, size: int, code: int) -> None:
        self._library.event.execute(client, data, size, code)
        if code == 0:  # the identity, which the library keeps for itself
            with self._one_at_a_time:
                self._translator.identity(self._library.me.JID.User)
            self._ear.settled()

    def _on_log(self, data: int, size: int) -> None:
        entry = wire.LogEntry.FromString(ctypes.string_at(data, size))
        self._ear.log(f"{entry.Level} {entry.Name}: {scrub(entry.Message)}")
        self._tell(lambda translator: translator.log(entry.Message))

    def _ask_for_code(self) -> None:
        phone = self._start.phone
        try:
            if phone is None:
                self._ear.tell(PairingFailed(why="pairing by code needs the account's phone number"))
                return
            code = self._library.PairPhone(
                phone.digits, show_push_notification=True, client_name=ClientName.LINUX, client_type=ClientType.CHROME
            )
            self._tell(lambda translator: translator.code(code, datetime.now(UTC)))
        except PairPhoneError as error:
            why = str(error)
            self._tell(lambda translator: translator.code_refused(why))
        finally:
            self._ear.settled()

    def _subscribe(self) -> None:
        """Register a handler for every event of a session's life; plain functions, since methods are held weakly."""

        def on(kind: Any, translate: Callable[[Translator, Any], News | None]) -> None:
            def handle(_client: NewClient, message: Any) -> None:
                self._tell(lambda translator: translate(translator, message))

            self._library.event(kind)(handle)

        on(wire.PairStatus, _read_pairing)
        on(wire.Connected, lambda t, _: t.connected())
        on(wire.KeepAliveTimeout, lambda t, m: t.keepalive_failed(m.ErrorCount))
        on(wire.KeepAliveRestored, lambda t, _: t.keepalive_restored())
        on(wire.LoggedOut, lambda t, m: t.logged_out(_number(FAILURE_NUMBERS, m.Reason), on_connect=m.OnConnect))
        on(wire.StreamReplaced, lambda t, _: t.replaced())
        on(wire.TemporaryBan, lambda t, m: t.banned(_number(BAN_NUMBERS, m.Code), float(m.Expire)))
        on(wire.ConnectFailure, lambda t, m: t.refused(_number(FAILURE_NUMBERS, m.Reason), m.Message))
        on(wire.ClientOutdated, lambda t, _: t.outdated())
        on(wire.StreamError, lambda t, m: t.stream_error(m.Code))
        on(wire.Disconnected, lambda t, _: t.disconnected())
        # Never wire.Receipt: one of a type that this release does not number ends the client (docs/design/health.md).
        on(wire.Message, lambda t, m: _read_message(t, m.Info))
        on(wire.UndecryptableMessage, lambda t, m: _read_message(t, m.Info))


def _number(numbers: dict[int, int], value: int) -> str:
    return str(numbers.get(value, value))


def _read_pairing(translator: Translator, message: Any) -> News | None:
    if message.Status == wire.PairStatus.SUCCESS:
        return translator.paired(message.ID.User)
    return translator.pairing_failed(message.Error)


def _read_message(translator: Translator, info: Any) -> News | None:
    source = info.MessageSource
    return translator.message(
        from_me=source.IsFromMe,
        device=source.Sender.Device,
        sent_at=datetime.fromtimestamp(info.Timestamp / 1000, UTC),
        now=datetime.now(UTC),
    )
