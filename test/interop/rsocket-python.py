"""Programs of rsocket-py that dial a broker, in both roles; told what to do as rsocket-foreign.ts says."""

import asyncio
import base64
import ssl
import sys
from urllib.parse import quote, unquote

from reactivestreams.subscriber import DefaultSubscriber
from rsocket.awaitable.awaitable_rsocket import AwaitableRSocket
from rsocket.exceptions import RSocketProtocolError
from rsocket.extensions.helpers import composite, route
from rsocket.extensions.mimetypes import WellKnownMimeTypes
from rsocket.helpers import create_error_future, create_future, single_transport_provider
from rsocket.lease import SingleLeasePublisher
from rsocket.payload import Payload
from rsocket.request_handler import BaseRequestHandler
from rsocket.rsocket_client import RSocketClient
from rsocket.streams.stream_from_async_generator import StreamFromAsyncGenerator
from rsocket.transports.aiohttp_websocket import TransportAioHttpClient
from rsocket.transports.tcp import TransportTCP

STREAM_ITEMS = 200
CHANNEL_ITEMS = 3


def say(*fields):
    sys.stdout.write(" ".join(quote(field, safe="") for field in fields) + "\n")
    sys.stdout.flush()


class Echo:
    """Both halves of a channel: what comes in goes out again."""

    def __init__(self, first):
        self.items = asyncio.Queue()
        self.items.put_nowait((first, False))
        self.subscription = None

    async def generate(self):
        while True:
            payload, is_last = await self.items.get()
            if payload is None:
                yield Payload(b""), True
                return
            yield Payload(payload.data), is_last
            if is_last:
                return

    def on_subscribe(self, subscription):
        self.subscription = subscription
        subscription.request(CHANNEL_ITEMS)

    def on_next(self, value, is_complete=False):
        self.items.put_nowait((value, is_complete))

    def on_complete(self):
        self.items.put_nowait((None, True))

    def on_error(self, exception):
        self.items.put_nowait((None, True))


class First(DefaultSubscriber):
    """Asks for one item, and gives the stream up when it has come."""

    def __init__(self):
        super().__init__()
        self.item = create_future()

    def on_next(self, value, is_complete=False):
        self.subscription.cancel()
        self.item.set_result(value)

    def on_error(self, exception):
        self.item.set_exception(exception)


class Responder(BaseRequestHandler):
    def __init__(self, connection):
        super().__init__()
        self.connection = connection

    async def request_response(self, payload):
        if payload.data == b"fail":
            return create_error_future(Exception("told to"))
        return create_future(Payload(payload.data))

    async def request_stream(self, payload):
        async def items():
            for count in range(STREAM_ITEMS):
                yield Payload(payload.data), count == STREAM_ITEMS - 1

        return StreamFromAsyncGenerator(items)

    async def request_fire_and_forget(self, payload):
        say("told", self.connection, payload.data.decode())

    async def request_channel(self, payload):
        echo = Echo(payload)
        return StreamFromAsyncGenerator(echo.generate), echo


async def ask(socket, op, initial_n, key, data):
    client = AwaitableRSocket(socket)
    metadata = composite(route(key))
    payload = Payload(data.encode(), metadata)
    if op == "rr":
        answer = await client.request_response(payload)
        return [answer.data.decode()]
    if op == "stream":
        items = await client.request_stream(payload, limit_rate=initial_n)
        return [item.data.decode() for item in items]
    if op == "first":
        first = First()
        socket.request_stream(payload).initial_request_n(1).subscribe(first)
        return [(await first.item).data.decode()]
    if op == "fnf":
        await client.fire_and_forget(payload)
        return []

    async def rest():
        for count in range(1, CHANNEL_ITEMS):
            yield Payload(f"{data}{count}".encode()), count == CHANNEL_ITEMS - 1

    first = Payload(f"{data}0".encode(), metadata)
    source = StreamFromAsyncGenerator(rest)
    items = await client.request_channel(first, source, limit_rate=initial_n)
    return [item.data.decode() for item in items]


async def carry_out(socket, number, op, initial_n, key, data):
    try:
        items = await asyncio.wait_for(ask(socket, op, int(initial_n), key, data), 20)
    except RSocketProtocolError as error:
        items = [f"#{error.error_code.value:x} {error.data}"]
    except RuntimeError as error:
        # What it makes of APPLICATION_ERROR.
        items = [f"#201 {error}"]
    except Exception as error:
        items = [f"!{type(error).__name__} {error}"]
    say("answer", number, *items)


async def transport_of(carrier, port, ca_file):
    if carrier == "ws":
        return TransportAioHttpClient(f"ws://127.0.0.1:{port}/")
    security = {}
    if carrier == "tls":
        context = ssl.create_default_context(cafile=ca_file)
        security = {"ssl": context, "server_hostname": "localhost"}
    return TransportTCP(*await asyncio.open_connection("127.0.0.1", int(port), **security))


async def dial(connection, carrier, port, ca_file, setup, lease, fragment):
    publisher = SingleLeasePublisher(int(lease)) if lease not in ("-", "0") else None
    client = RSocketClient(
        single_transport_provider(await transport_of(carrier, port, ca_file)),
        handler_factory=lambda: Responder(connection),
        honor_lease=lease != "-",
        lease_publisher=publisher,
        data_encoding=WellKnownMimeTypes.TEXT_PLAIN,
        metadata_encoding=WellKnownMimeTypes.MESSAGE_RSOCKET_COMPOSITE_METADATA,
        setup_payload=Payload(b"", base64.b64decode(setup)),
        fragment_size_bytes=None if fragment == "-" else int(fragment),
    )
    await client.connect()
    say("up", connection)
    return client


async def main():
    clients = {}
    commands = asyncio.StreamReader(limit=2**24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    tasks = set()
    while line := await commands.readline():
        word, *fields = [unquote(field) for field in line.decode().rstrip("\n").split(" ")]
        if word == "dial":
            clients[fields[0]] = await dial(*fields)
        elif word == "close":
            await clients.pop(fields[0]).close()
        else:
            number, connection, *rest = fields
            task = asyncio.create_task(carry_out(clients[connection], number, *rest))
            tasks.add(task)
            task.add_done_callback(tasks.discard)


asyncio.run(main())
