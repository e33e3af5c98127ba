"""The server towards a client of the tests' own making: honest ones are served, others are told so and go."""

from __future__ import annotations

import asyncio
import random
import ssl

import pytest
from raw_client import Companion, dial, open_websocket, raw_client
from support.whatsapp import LoopbackWhatsApp, fresh_number
from websockets.exceptions import ConnectionClosed, InvalidStatus

from wakit.errors import WakitError
from wakit.sim.codec import TokenTable
from wakit.sim.curve import KeyPair
from wakit.sim.frames import frame
from wakit.sim.nodes import Jid, Node
from wakit.sim.noise import PROLOGUE
from wakit.sim.requests import Linked, What
from wakit.sim.scenarios import Failure, StreamError, Target


async def link(whatsapp: LoopbackWhatsApp, tokens: TokenTable, number: str) -> Companion:
    """Pair a fresh companion by QR."""
    companion = Companion()
    async with raw_client(whatsapp, tokens, companion, companion.registration()) as client:
        refs = await client.refs()
        linking = asyncio.create_task(asyncio.to_thread(whatsapp.sim.scan, number, companion.qr(refs[0])))
        await client.accept_link(companion)
        assert (await client.receive()).text("code") == "515"
        assert (await linking).device == companion.device
    return companion


async def logged_in_answer(whatsapp: LoopbackWhatsApp, tokens: TokenTable, companion: Companion, iq: Node) -> Node:
    async with raw_client(whatsapp, tokens, companion, companion.login()) as client:
        assert (await client.receive()).tag == "success"
        return await client.ask(iq)


async def test_a_companion_is_linked_and_logs_in(whatsapp: LoopbackWhatsApp, tokens: TokenTable) -> None:
    number = fresh_number()
    companion = await link(whatsapp, tokens, number)
    assert companion.user == number.removeprefix("+")
    async with raw_client(whatsapp, tokens, companion, companion.login()) as client:
        success = await client.receive()
        assert success.tag == "success"
        lid = success.jid("lid")
        assert lid is not None
        assert (lid.server, lid.device) == ("lid", companion.device)
        assert [(await client.receive()).children[0].tag for _ in range(2)] == ["offline_preview", "offline"]
        assert (await client.ask(Node("iq", {"type": "get", "xmlns": "w:p"}))).text("type") == "result"


async def test_refs_are_as_many_as_wanted_and_all_good(sim: LoopbackWhatsApp, tokens: TokenTable) -> None:
    sim.sim.set_refs(2)
    companion = Companion()
    async with raw_client(sim, tokens, companion, companion.registration()) as client:
        refs = await client.refs()
        assert len(set(refs)) == 2
        linking = asyncio.create_task(asyncio.to_thread(sim.sim.scan, fresh_number(), companion.qr(refs[1])))
        await client.accept_link(companion)
        assert isinstance(await linking, Linked)


@pytest.mark.parametrize("forged", ["noise", "identity", "ref", "text"])
async def test_a_forged_qr_code_links_nothing(whatsapp: LoopbackWhatsApp, tokens: TokenTable, forged: str) -> None:
    companion, other = Companion(), Companion()
    async with raw_client(whatsapp, tokens, companion, companion.registration()) as client:
        ref = (await client.refs())[0]
        shown = {
            "noise": Companion(noise=other.noise, identity=companion.identity).qr(ref),
            "identity": Companion(noise=companion.noise, identity=other.identity).qr(ref),
            "ref": companion.qr("2@somethingelse"),
            "text": "https://example.com/#not,a,qr,code",
        }[forged]
        number = fresh_number()
        with pytest.raises(WakitError):
            await asyncio.to_thread(whatsapp.sim.scan, number, shown)
    account = whatsapp.sim.status().account(number)
    assert account is not None
    assert account.devices == ()


async def test_a_companion_that_signs_with_another_key_is_not_linked(
    whatsapp: LoopbackWhatsApp, tokens: TokenTable
) -> None:
    companion, number = Companion(), fresh_number()
    async with raw_client(whatsapp, tokens, companion, companion.registration()) as client:
        ref = (await client.refs())[0]
        linking = asyncio.create_task(asyncio.to_thread(whatsapp.sim.scan, number, companion.qr(ref)))
        await client.accept_link(companion, signer=KeyPair.generate())
        with pytest.raises(WakitError, match="signature"):
            await linking


async def test_a_registration_with_a_forged_prekey_is_refused(whatsapp: LoopbackWhatsApp, tokens: TokenTable) -> None:
    companion = Companion()
    payload = companion.registration().replace(companion.signed_prekey.public, KeyPair.generate().public)
    async with raw_client(whatsapp, tokens, companion, payload) as client:
        assert (await client.receive()).tag == "stream:error"


async def test_an_unknown_device_is_refused_with_401(whatsapp: LoopbackWhatsApp, tokens: TokenTable) -> None:
    stranger = Companion(user="34999999999", device=3)
    async with raw_client(whatsapp, tokens, stranger, stranger.login()) as client:
        answer = await client.receive()
        assert (answer.tag, answer.text("reason")) == ("failure", "401")


async def test_a_known_device_with_another_key_is_refused_with_401(
    whatsapp: LoopbackWhatsApp, tokens: TokenTable
) -> None:
    companion = await link(whatsapp, tokens, fresh_number())
    thief = Companion(user=companion.user, device=companion.device)
    async with raw_client(whatsapp, tokens, thief, thief.login()) as client:
        assert (await client.receive()).text("reason") == "401"


async def test_the_second_login_replaces_the_first(whatsapp: LoopbackWhatsApp, tokens: TokenTable) -> None:
    number = fresh_number()
    companion = await link(whatsapp, tokens, number)
    async with raw_client(whatsapp, tokens, companion, companion.login()) as first:
        assert (await first.receive()).tag == "success"
        async with raw_client(whatsapp, tokens, companion, companion.login()) as second:
            assert (await second.receive()).tag == "success"
            await first.receive()
            await first.receive()
            conflict = (await first.receive()).child("conflict")
            assert conflict is not None
            assert conflict.text("type") == "replaced"
            assert whatsapp.sim.status().connected(number) == 1
    account = whatsapp.sim.status().account(number)
    assert account is not None
    assert (account.devices[0].replaced, account.devices[0].most_at_once) == (1, 2)


async def test_an_unlinked_device_is_told_and_stays_out(whatsapp: LoopbackWhatsApp, tokens: TokenTable) -> None:
    number = fresh_number()
    companion = await link(whatsapp, tokens, number)
    async with raw_client(whatsapp, tokens, companion, companion.login()) as client:
        for _ in range(3):
            await client.receive()
        assert await asyncio.to_thread(whatsapp.sim.unlink, number) == 1
        last = await client.receive()
        conflict = last.child("conflict")
        assert conflict is not None
        assert (last.text("code"), conflict.text("type")) == ("401", "device_removed")
    async with raw_client(whatsapp, tokens, companion, companion.login()) as client:
        assert (await client.receive()).text("reason") == "401"


async def test_a_device_can_unlink_itself(whatsapp: LoopbackWhatsApp, tokens: TokenTable) -> None:
    number = fresh_number()
    companion = await link(whatsapp, tokens, number)
    logout = Node(
        "iq", {"type": "set", "xmlns": "md"}, (Node("remove-companion-device", {"reason": "user_initiated"}),)
    )
    assert (await logged_in_answer(whatsapp, tokens, companion, logout)).text("type") == "result"
    account = whatsapp.sim.status().account(number)
    assert account is not None
    assert account.devices == ()


async def test_prekeys_are_kept_counted_and_given_away_once(whatsapp: LoopbackWhatsApp, tokens: TokenTable) -> None:
    companion = await link(whatsapp, tokens, fresh_number())
    one = KeyPair.generate().public
    signed = companion.registration()
    signature = signed[signed.index(b"\x32\x40") + 2 :][:64]  # field 6, 64 bytes
    skey = Node(
        "skey",
        {},
        (
            Node("id", {}, b"\0\0\1"),
            Node("value", {}, companion.signed_prekey.public),
            Node("signature", {}, signature),
        ),
    )
    upload = Node(
        "iq",
        {"type": "set", "xmlns": "encrypt"},
        (
            Node("registration", {}, b"\0\0\0\7"),
            Node("type", {}, b"\5"),
            Node("identity", {}, companion.identity.public),
            Node("list", {}, (Node("key", {}, (Node("id", {}, b"\0\0\2"), Node("value", {}, one))),)),
            skey,
        ),
    )
    assert (await logged_in_answer(whatsapp, tokens, companion, upload)).text("type") == "result"
    count = Node("iq", {"type": "get", "xmlns": "encrypt"}, (Node("count"),))
    counted = (await logged_in_answer(whatsapp, tokens, companion, count)).child("count")
    assert counted is not None
    assert counted.text("value") == "800"  # a floor: see the answer itself
    account = whatsapp.sim.status().account(f"+{companion.user}")
    assert account is not None
    assert account.devices[0].prekeys == 1
    jid = Jid(companion.user, "s.whatsapp.net", companion.device)
    bundle = Node("iq", {"type": "get", "xmlns": "encrypt"}, (Node("key", {}, (Node("user", {"jid": jid}),)),))
    for expected in (one, None):
        given = (await logged_in_answer(whatsapp, tokens, companion, bundle)).child("list", "user")
        assert given is not None
        key = given.child("key", "value")
        assert (key.data if key else None) == expected
    forged = Node("iq", upload.attrs, (*upload.content[:2], Node("identity", {}, one), *upload.content[3:]))  # type: ignore[index]
    assert (await logged_in_answer(whatsapp, tokens, companion, forged)).text("type") == "error"


async def test_usync_knows_devices_numbers_and_strangers(whatsapp: LoopbackWhatsApp, tokens: TokenTable) -> None:
    companion = await link(whatsapp, tokens, fresh_number())
    users = (
        Node("user", {"jid": Jid(companion.user, "s.whatsapp.net")}),
        Node("user", {}, (Node("contact", {}, f"+{companion.user}"),)),
        Node("user", {}, (Node("contact", {}, "+34999999998"),)),
    )
    query = Node("query", {}, (Node("devices", {"version": "2"}), Node("contact"), Node("lid")))
    question = Node("usync", {"sid": "1", "mode": "query", "context": "message"}, (query, Node("list", {}, users)))
    answer = await logged_in_answer(
        whatsapp, tokens, companion, Node("iq", {"type": "get", "xmlns": "usync"}, (question,))
    )
    listed = answer.child("usync", "list")
    assert listed is not None
    devices = listed.children[0].child("devices", "device-list")
    assert devices is not None
    assert [each.text("id") for each in devices.children] == ["0", str(companion.device)]
    contacts = [user.child("contact") for user in listed.children]
    assert [contact.text("type") for contact in contacts if contact] == ["in", "in", "out"]


async def test_messages_are_acknowledged(whatsapp: LoopbackWhatsApp, tokens: TokenTable) -> None:
    companion = await link(whatsapp, tokens, fresh_number())
    async with raw_client(whatsapp, tokens, companion, companion.login()) as client:
        for _ in range(3):
            await client.receive()
        await client.send(Node("message", {"id": "m1", "to": Jid("34999999998", "s.whatsapp.net")}, b"?"))
        ack = await client.receive()
        assert (ack.tag, ack.text("class"), ack.text("id")) == ("ack", "message", "m1")


async def test_a_failure_meets_only_its_target(whatsapp: LoopbackWhatsApp, tokens: TokenTable) -> None:
    number, other = fresh_number(), fresh_number()
    met, spared = await link(whatsapp, tokens, number), await link(whatsapp, tokens, other)
    target = Target(number=whatsapp.sim.status().account(number).number)  # type: ignore[union-attr]
    whatsapp.sim.arm(Failure(402, code=101, expire=60), target)
    async with raw_client(whatsapp, tokens, spared, spared.login()) as client:
        assert (await client.receive()).tag == "success"
    async with raw_client(whatsapp, tokens, met, met.login()) as client:
        answer = await client.receive()
        assert [answer.text(name) for name in ("reason", "code", "expire")] == ["402", "101", "60"]
    async with raw_client(whatsapp, tokens, met, met.login()) as client:
        assert (await client.receive()).tag == "success"


async def test_an_armed_stream_error_comes_once_the_client_is_active(
    whatsapp: LoopbackWhatsApp, tokens: TokenTable
) -> None:
    number = fresh_number()
    companion = await link(whatsapp, tokens, number)
    account = whatsapp.sim.status().account(number)
    assert account is not None
    whatsapp.sim.arm(StreamError(503), Target(number=account.number))
    async with raw_client(whatsapp, tokens, companion, companion.login()) as client:
        active = Node("iq", {"type": "set", "xmlns": "passive"}, (Node("active"),))
        assert (await client.ask(active)).text("type") == "result"
        told = [await client.receive() for _ in range(3)]
        assert [node.tag for node in told] == ["ib", "ib", "stream:error"]
        assert told[-1].text("code") == "503"


@pytest.mark.parametrize("authority", ["example.com:443", "web.whatsapp.com:80", "127.0.0.1:22", ""])
async def test_the_proxy_leads_nowhere_else(whatsapp: LoopbackWhatsApp, authority: str) -> None:
    connection, status = await dial(whatsapp, authority)
    connection.close()
    assert status == b"HTTP/1.1 403 Forbidden"


async def test_another_path_is_not_found(whatsapp: LoopbackWhatsApp) -> None:
    with pytest.raises(InvalidStatus):
        async with open_websocket(whatsapp, "/elsewhere"):
            pass


async def test_text_messages_are_refused(whatsapp: LoopbackWhatsApp) -> None:
    async with open_websocket(whatsapp) as websocket:
        await websocket.send("hello")
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1003


def malformed_streams() -> list[bytes]:
    chance = random.Random(2)
    greeting = PROLOGUE
    return [
        b"GET / HTTP/1.1\r\n\r\n",
        b"WA\x05\x02" + frame(b""),
        greeting + frame(b""),
        greeting + frame(b"\x12\x02\x0a\x00"),
        greeting + frame(b"\x12\x22\x0a\x20" + b"\0" * 32),  # a key of low order
        *(greeting + frame(chance.randbytes(size)) for size in (1, 40, 4000, 100_000)),
    ]


@pytest.mark.parametrize("stream", malformed_streams(), ids=range(9))
async def test_a_malformed_handshake_is_closed_clearly(whatsapp: LoopbackWhatsApp, stream: bytes) -> None:
    async with open_websocket(whatsapp) as websocket:
        await websocket.send(stream)
        with pytest.raises(ConnectionClosed) as closed:
            await websocket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1002


@pytest.mark.parametrize("seed", range(8))
async def test_malformed_nodes_are_answered_and_closed(
    whatsapp: LoopbackWhatsApp, tokens: TokenTable, seed: int
) -> None:
    chance = random.Random(seed)
    companion = Companion()
    async with raw_client(whatsapp, tokens, companion, companion.registration()) as client:
        await client.refs()
        await client.send_plaintext(bytes((chance.choice((0, 2)),)) + b"\xf7" + chance.randbytes(chance.randrange(100)))
        answer = await client.receive()
        assert (answer.tag, answer.children[0].tag) == ("stream:error", "xml-not-well-formed")
        with pytest.raises(ConnectionClosed):
            await client.receive()


async def test_tls_from_nobody_leaves_the_server_well(whatsapp: LoopbackWhatsApp, tokens: TokenTable) -> None:
    since = whatsapp.sim.status().seq
    connection, status = await dial(whatsapp, dialer="broken")
    assert b" 200 " in status
    await asyncio.get_running_loop().sock_sendall(connection, b"this is not TLS\r\n\r\n" * 10)
    connection.close()
    await asyncio.to_thread(whatsapp.sim.wait_for, What.CLOSED, since=since)
    await link(whatsapp, tokens, fresh_number())


async def test_a_client_that_does_not_trust_the_authority_sees_a_certificate_error(whatsapp: LoopbackWhatsApp) -> None:
    connection, _ = await dial(whatsapp)
    with pytest.raises(ssl.SSLCertVerificationError):
        await asyncio.open_connection(
            sock=connection, ssl=ssl.create_default_context(), server_hostname="web.whatsapp.com"
        )
