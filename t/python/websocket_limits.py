"""A client of python3-websockets, for t/websocket_clients.t.

    python3 websocket_limits.py URL on|off PATH...

Talks to the echo server at each path, with compression or without: large
messages, every close code, a message too big.  Says one line
{"event":"row",...} for each, then {"event":"waiting"} with a connection open at
each path, and {"event":"gone","codes":[...]} when the server has closed them.
"""
import asyncio
import json
import random
import sys

import websockets

URL, COMPRESSION, PATHS = sys.argv[1], sys.argv[2], sys.argv[3:]
CODES = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
         1014, 3000, 3999, 4000, 4999]


def say(line):
    print(json.dumps(line), flush=True)


def connect(path):
    return websockets.connect(
        URL + path, max_size=None, ping_interval=None,
        compression="deflate" if COMPRESSION == "on" else None)


def data(n):
    """Half of it is easy to compress, half is not."""
    noise = random.Random(n).randbytes(4096)
    return (noise + b"linnet " * 585 + b"!")[:8192] * (n // 8192) \
        + b"." * (n % 8192)


def text(n):
    return "gr\u00fc\u00dfe \u20ac \U0001f600 " * (n // 16)


async def row(path):
    result = {"event": "row", "path": path, "wrong": [], "codes": {}}
    ws = await connect(path)
    result["extensions"] = [e.name for e in ws.extensions]
    for n in [0, 1, 125, 126, 65535, 65536, 1 << 20, 16 << 20]:
        await ws.send(data(n))
        if await ws.recv() != data(n):
            result["wrong"].append("binary %d" % n)
    for n in [16, 65536, 4 << 20]:
        await ws.send(text(n))
        if await ws.recv() != text(n):
            result["wrong"].append("text %d" % n)
    parts = [data(100000)] * 20
    await ws.send(parts)
    if await ws.recv() != b"".join(parts):
        result["wrong"].append("fragments")
    await ws.close()
    result["no_code"] = ws.close_code

    for code in CODES:
        ws = await connect(path)
        await ws.close(code, "because of \u00fc")
        result["codes"][code] = ws.close_code

    ws = await connect(path)
    try:
        await ws.send(bytes((16 << 20) + 1))
        await ws.recv()
    except websockets.exceptions.ConnectionClosed:
        pass
    await ws.wait_closed()
    result["too_big"], result["reason"] = ws.close_code, ws.close_reason
    return result


async def main():
    for path in PATHS:
        try:
            say(await row(path))
        except Exception as e:
            say({"event": "row", "path": path, "error": repr(e)})
    all_open = [await connect(path) for path in PATHS]
    say({"event": "waiting"})
    for ws in all_open:
        await ws.wait_closed()
    say({"event": "gone", "codes": [ws.close_code for ws in all_open]})


asyncio.run(asyncio.wait_for(main(), 300))
