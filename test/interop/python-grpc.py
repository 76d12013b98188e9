"""A gRPC server and client as Python programs have them, without generated code.

    python-grpc.py serve              prints its port
    python-grpc.py call HOST:PORT AUTHORITY [CA]   prints what it saw, as JSON
"""
import json
import sys
from concurrent import futures

import grpc

UNARY, PULL, PUSH, CHAT = (f"/test.Python/{name}" for name in ("Unary", "Pull", "Push", "Chat"))
LARGE = 2_000_000


class Handlers(grpc.GenericRpcHandler):
    def service(self, details):
        return {
            UNARY: grpc.unary_unary_rpc_method_handler(unary),
            PULL: grpc.unary_stream_rpc_method_handler(pull),
            PUSH: grpc.stream_unary_rpc_method_handler(push),
            CHAT: grpc.stream_stream_rpc_method_handler(chat),
        }.get(details.method)


def unary(request, context):
    given = dict(context.invocation_metadata())
    context.set_trailing_metadata((("x-length", str(len(request))), ("x-raw-bin", b"\x00\xff")))
    if request == b"fail":
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, "nicht möglich: 100 %")
    context.send_initial_metadata((("x-given", given.get("x-given", "")),))
    return request


def pull(request, _context):
    for i in range(int(request)):
        yield b"x" * i


def push(requests, _context):
    return str(sum(len(one) for one in requests)).encode()


def chat(requests, _context):
    yield from requests


def serve():
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    server.add_generic_rpc_handlers((Handlers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def call(target, authority, ca=None):
    options = (("grpc.default_authority", authority), ("grpc.ssl_target_name_override", authority))
    if ca is None:
        channel = grpc.insecure_channel(target, options)
    else:
        with open(ca, "rb") as file:
            credentials = grpc.ssl_channel_credentials(file.read())
        channel = grpc.secure_channel(target, credentials, options)
    with channel:
        reply, made = channel.unary_unary(UNARY).with_call(
            b"hello", metadata=(("x-given", "mine"),), timeout=10
        )
        trailers = dict(made.trailing_metadata())
        failure = None
        try:
            channel.unary_unary(UNARY)(b"fail", timeout=10)
        except grpc.RpcError as error:
            failure = [error.code().name, error.details()]
        large = channel.unary_unary(UNARY)(b"l" * LARGE, timeout=20)
        pulled = [len(one) for one in channel.unary_stream(PULL)(b"100", timeout=10)]
        pushed = channel.stream_unary(PUSH)((b"p" * 1000 for _ in range(100)), timeout=10)
        chatted = list(channel.stream_stream(CHAT)((b"a", b"b", b"c").__iter__(), timeout=10))
        try:
            channel.unary_unary("/test.Python/None")(b"", timeout=10)
        except grpc.RpcError as error:
            unknown = error.code().name
        seen = {
            "reply": reply.decode(),
            "given": dict(made.initial_metadata()).get("x-given"),
            "length": trailers.get("x-length"),
            "raw": list(trailers.get("x-raw-bin", b"")),
            "failure": failure,
            "large": len(large),
            "pulled": [len(pulled), sum(pulled)],
            "pushed": pushed.decode(),
            "chatted": b"".join(chatted).decode(),
            "unknown": unknown,
        }
        print(json.dumps(seen))


if sys.argv[1] == "serve":
    serve()
else:
    call(*sys.argv[2:])
