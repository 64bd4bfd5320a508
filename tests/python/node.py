"""The node under test, and what every test does with it."""

import asyncio
import logging
import os
import uuid

import httpx

NODE = os.environ.get("TIDINGS_URL", "http://127.0.0.1:8080").rstrip("/")
WS_NODE = NODE.replace("http", "ws", 1)

# unittest turns asyncio's debug mode on, which then reports how long a client takes to set itself up.
logging.getLogger("asyncio").setLevel(logging.ERROR)


def new_channel(name):
    """A channel of its own for each test, so that tests do not meet."""
    return f"demo:{name}-{uuid.uuid4().hex[:8]}"


async def publish(channel, first, last):
    """Publishes {"n": n} for each n from `first` up to `last`; returns the last reply."""
    async with httpx.AsyncClient(base_url=NODE) as client:
        for n in range(first, last + 1):
            reply = await client.post(f"/v1/channels/{channel}", json={"n": n})
            reply.raise_for_status()
        return reply.json()


def within(seconds, awaitable):
    """A test that waits for a message that never comes must end."""
    return asyncio.wait_for(awaitable, seconds)
