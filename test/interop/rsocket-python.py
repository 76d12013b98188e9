"""A program of rsocket-py that dials a broker, in both roles; told what to do line by line, in JSON."""

import asyncio
import base64
import json
import sys

from rsocket.awaitable.awaitable_rsocket import AwaitableRSocket
from rsocket.exceptions import RSocketProtocolError
from rsocket.extensions.helpers import composite, route
from rsocket.extensions.mimetypes import WellKnownMimeTypes
from rsocket.helpers import create_future, single_transport_provider
from rsocket.payload import Payload
from rsocket.request_handler import BaseRequestHandler
from rsocket.rsocket_client import RSocketClient
from rsocket.streams.stream_from_async_generator import StreamFromAsyncGenerator
from rsocket.transports.tcp import TransportTCP

STREAM_ITEMS = 5
CHANNEL_ITEMS = 3


def say(value):
    sys.stdout.write(json.dumps(value) + "\n")
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


class Responder(BaseRequestHandler):
    async def request_response(self, payload):
        return create_future(Payload(payload.data))

    async def request_stream(self, payload):
        async def items():
            for count in range(STREAM_ITEMS):
                yield Payload(payload.data), count == STREAM_ITEMS - 1

        return StreamFromAsyncGenerator(items)

    async def request_fire_and_forget(self, payload):
        say({"told": payload.data.decode()})

    async def request_channel(self, payload):
        echo = Echo(payload)
        return StreamFromAsyncGenerator(echo.generate), echo


async def ask(client, command):
    metadata = composite(route(command["key"]))
    data = command["data"]
    if command["op"] == "response":
        answer = await client.request_response(Payload(data.encode(), metadata))
        return [answer.data.decode()]
    if command["op"] == "stream":
        payload = Payload(data.encode(), metadata)
        items = await client.request_stream(payload, limit_rate=command["n"])
        return [item.data.decode() for item in items]
    if command["op"] == "fnf":
        await client.fire_and_forget(Payload(data.encode(), metadata))
        return []

    async def rest():
        for count in range(1, CHANNEL_ITEMS):
            yield Payload(f"{data}{count}".encode()), count == CHANNEL_ITEMS - 1

    first = Payload(f"{data}0".encode(), metadata)
    items = await client.request_channel(first, StreamFromAsyncGenerator(rest), limit_rate=8)
    return [item.data.decode() for item in items]


async def carry_out(client, command):
    try:
        items = await asyncio.wait_for(ask(client, command), 20)
    except RSocketProtocolError as error:
        items = [f"#{error.error_code.value:x} {error.data}"]
    except Exception as error:
        items = [f"!{type(error).__name__} {error}"]
    say({"id": command["id"], "items": items})


async def main(port, setup):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    client = RSocketClient(
        single_transport_provider(TransportTCP(reader, writer)),
        handler_factory=Responder,
        data_encoding=WellKnownMimeTypes.TEXT_PLAIN,
        metadata_encoding=WellKnownMimeTypes.MESSAGE_RSOCKET_COMPOSITE_METADATA,
        setup_payload=Payload(b"", base64.b64decode(setup)),
    )
    await client.connect()
    say({"up": True})
    commands = asyncio.StreamReader(limit=2**24)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := await commands.readline():
        asyncio.create_task(carry_out(AwaitableRSocket(client), json.loads(line)))
    await client.close()


asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
