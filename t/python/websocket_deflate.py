"""A client of python3-websockets that compresses, for t/websocket_deflate.t.

    python3 websocket_deflate.py URL PATH...

Talks to the echo server at each path on several terms, and says one JSON list:
what came out of each.
"""
import asyncio
import json
import sys

import websockets
from websockets.extensions.permessage_deflate import \
    ClientPerMessageDeflateFactory

TERMS = [
    {},
    {"client_max_window_bits": True},
    {"client_max_window_bits": 11, "server_max_window_bits": 10},
    {"server_no_context_takeover": True},
    {"client_no_context_takeover": True, "client_max_window_bits": 12},
    {"server_no_context_takeover": True, "client_no_context_takeover": True},
]


def messages():
    for i in range(300):
        yield json.dumps({"type": "message", "seq": i,
                          "text": "hello gr\u00fc\u00dfe \u20ac " * (i % 30)})
    yield ""
    yield "x" * 100000
    yield bytes(i * i * 7 >> 3 & 255 for i in range(30000))
    yield bytes(70000)
    yield ["frag", "", "m" * 1000, "ents"]


async def row(url, path, terms):
    factory = ClientPerMessageDeflateFactory(**terms)
    result = {"path": path, "terms": str(terms)}
    async with websockets.connect(url + path, compression=None, max_size=None,
                                  extensions=[factory]) as ws:
        result["names"] = [e.name for e in ws.extensions]
        wrong = 0
        for m in messages():
            await ws.send(m)
            wrong += await ws.recv() != ("".join(m) if isinstance(m, list)
                                         else m)
        # Many under way at once.
        for i in range(1000):
            await ws.send("number %d of a thousand" % i)
        for i in range(1000):
            wrong += await ws.recv() != "number %d of a thousand" % i
        result["wrong"] = wrong
        ws.ping("x")
    result["code"] = ws.close_code
    return result


async def main(url, paths):
    rows = []
    for path in paths:
        for terms in TERMS:
            try:
                rows.append(await row(url, path, terms))
            except Exception as e:
                rows.append({"path": path, "terms": str(terms),
                             "error": repr(e)})
    print(json.dumps(rows))


asyncio.run(asyncio.wait_for(main(sys.argv[1], sys.argv[2:]), 100))
