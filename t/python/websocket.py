"""A client of python3-websockets, for t/websocket.t.

    python3 websocket.py URL

Talks to an echo server in every way the library has, and says one JSON object:
what came out.  Offers compression, as it does by default.
"""
import asyncio
import json
import sys

import websockets


async def main(url):
    result = {}
    async with websockets.connect(url, max_size=None) as ws:
        result["extensions"] = [e.name for e in ws.extensions]
        texts = ["", "a", "x" * 125, "x" * 126, "gr\u00fc\u00dfe \u20ac \U0001f600",
                 "y" * 65535, "z" * 70000, "\u20ac" * 40000]
        wrong = 0
        for text in texts:
            await ws.send(text)
            wrong += await ws.recv() != text
        result["texts_wrong"] = wrong
        data = bytes(i * 7 & 255 for i in range(100000))
        await ws.send(data)
        result["binary"] = await ws.recv() == data
        await ws.send(["in ", "three ", "fragments"])
        result["fragments"] = await ws.recv()
        await ws.send([b"\x00\xff"] * 1000)
        result["many_fragments"] = await ws.recv() == b"\x00\xff" * 1000
        pong = await ws.ping(b"are you there")
        await asyncio.wait_for(pong, 10)
        result["pong"] = True
        for i in range(2000):
            await ws.send(str(i))
        result["in_order"] = [int(await ws.recv()) for _ in range(2000)] \
            == list(range(2000))
        await ws.close(4001, "that is all")
    result["code"] = ws.close_code

    ws = await websockets.connect(url)
    await ws.close()
    result["default_code"] = ws.close_code

    # Many at once.
    async def one(n):
        async with websockets.connect(url) as c:
            await c.send("client %d" % n)
            return await c.recv() == "client %d" % n
    result["many"] = sum(await asyncio.gather(*[one(n) for n in range(50)]))

    try:
        await websockets.connect(url, origin="http://evil.example")
        result["evil"] = "accepted"
    except websockets.exceptions.InvalidStatusCode as e:
        result["evil"] = e.status_code
    print(json.dumps(result))


asyncio.run(asyncio.wait_for(main(sys.argv[1]), 100))
