"""Python clients that know nothing of Tidings: `websockets` and `httpx-sse` read and resume."""

import json
import unittest

import httpx
import websockets
from httpx_sse import aconnect_sse

from node import NODE, WS_NODE, new_channel, publish, within


class Sse:
    """An event stream as httpx-sse reads it; it comes back with the id that it had last."""

    def __init__(self, path):
        self.path, self.last_id = path, ""

    async def __aenter__(self):
        self.client = httpx.AsyncClient(base_url=NODE, timeout=20)
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        self.connection = aconnect_sse(self.client, "GET", self.path, headers=headers)
        source = await self.connection.__aenter__()
        source.response.raise_for_status()
        self.delivery = source.response.headers["Tidings-Delivery"]
        self.events = source.aiter_sse()
        return self

    async def __aexit__(self, *fault):
        await self.events.aclose()
        await self.connection.__aexit__(*fault)
        await self.client.aclose()

    async def read(self, count):
        """The next `count` events that have data; the greeting is an id alone."""
        got = []
        while len(got) < count:
            event = await within(20, anext(self.events))
            self.last_id = event.id or self.last_id
            if event.data:
                got.append(event)
        return got


async def read_frames(socket, count):
    """The next `count` frames that are messages."""
    got = []
    while len(got) < count:
        frame = json.loads(await within(20, socket.recv()))
        assert "gap" not in frame, frame
        if "data" in frame:
            got.append(frame)
    return got


class HttpxSse(unittest.IsolatedAsyncioTestCase):
    async def test_reads_and_resumes(self):
        channel = new_channel("sse")
        stream = Sse(f"/v1/channels/{channel}")
        async with stream:
            self.assertRegex(stream.delivery, "^at-(most|least)-once")
            reply = await publish(channel, 1, 3)
            events = await stream.read(3)
            self.assertEqual([json.loads(event.data)["n"] for event in events], [1, 2, 3])
            self.assertEqual(events[-1].id, reply["cursor"])
        await publish(channel, 4, 6)
        async with stream:
            await publish(channel, 7, 7)
            events = await stream.read(4)
            self.assertEqual([json.loads(event.data)["n"] for event in events], [4, 5, 6, 7])

    async def test_resumes_over_several_channels(self):
        a, b = new_channel("a"), new_channel("b")
        stream = Sse(f"/v1/subscribe?channel={a}&channel={b}")
        async with stream:
            await publish(a, 1, 2)
            await publish(b, 1, 1)
            await stream.read(3)
        await publish(a, 3, 3)
        await publish(b, 2, 3)
        async with stream:
            messages = [json.loads(event.data) for event in await stream.read(3)]
        self.assertEqual([m["data"]["n"] for m in messages if m["channel"] == a], [3])
        self.assertEqual([m["data"]["n"] for m in messages if m["channel"] == b], [2, 3])


class Websockets(unittest.IsolatedAsyncioTestCase):
    async def test_reads_and_resumes(self):
        channel = new_channel("ws")
        url = f"{WS_NODE}/v1/channels/{channel}"
        async with websockets.connect(url) as socket:
            self.assertRegex(socket.response.headers["Tidings-Delivery"], "^at-(most|least)-once")
            self.assertIn("subscribed", json.loads(await within(20, socket.recv())))
            await publish(channel, 1, 3)
            messages = await read_frames(socket, 3)
            self.assertEqual([m["data"]["n"] for m in messages], [1, 2, 3])
        await publish(channel, 4, 6)
        async with websockets.connect(f"{url}?after={messages[-1]['cursor']}") as socket:
            greeting = json.loads(await within(20, socket.recv()))
            self.assertTrue(greeting["subscribed"]["recovered"])
            await publish(channel, 7, 7)
            self.assertEqual([m["data"]["n"] for m in await read_frames(socket, 4)], [4, 5, 6, 7])

    async def test_publishes(self):
        channel = new_channel("ws")
        async with websockets.connect(f"{WS_NODE}/v1/channels/{channel}") as socket:
            await socket.send(json.dumps({"data": {"n": 1}, "event": "hello", "id": "one"}))
            seen = {}
            while not {"published", "data"} <= seen.keys():  # in either order
                seen |= json.loads(await within(20, socket.recv()))
        self.assertEqual(seen["published"]["cursor"], seen["cursor"])
        self.assertEqual((seen["event"], seen["id"], seen["data"]), ("hello", "one", {"n": 1}))

    async def test_a_cursor_moves_from_websocket_to_sse(self):
        channel = new_channel("move")
        async with websockets.connect(f"{WS_NODE}/v1/channels/{channel}") as socket:
            # The greeting's cursor is enough: nothing was read yet.
            cursor = json.loads(await within(20, socket.recv()))["subscribed"]["cursor"]
        await publish(channel, 1, 2)
        async with Sse(f"/v1/channels/{channel}?after={cursor}") as stream:
            self.assertEqual([json.loads(event.data)["n"] for event in await stream.read(2)], [1, 2])


if __name__ == "__main__":
    unittest.main()
