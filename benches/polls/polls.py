#!/usr/bin/env python3
"""What a poll, a held long-poll and a connection that is kept alive cost a node: the figures of `tidings advise`.

    python3 benches/polls/polls.py target/release/tidings

Starts a node for each figure, on a free port, in a temporary folder. CPU is that of the node's process (/proc/PID/stat),
memory its resident pages (/proc/PID/smaps_rollup). Linux, Python 3.9 or later, about a minute.
"""

import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

POLLS = 40_000
CONNECTIONS = 20
HELD = 4_000
AT_ONCE = 200


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def cpu_s(pid):
    fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident(pid):
    rows = open(f"/proc/{pid}/smaps_rollup").read().splitlines()
    return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("Rss:"))


def request(port, query):
    return f"GET /v1/channels/durable:polls?{query} HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n\r\n".encode()


async def read_reply(reader):
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    await reader.readexactly(length)


async def polls(port, pid):
    """Microseconds of the node for one poll of a channel without news, on connections that are kept alive."""
    ask = request(port, "after=latest")

    async def client():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(POLLS // CONNECTIONS):
            writer.write(ask)
            await read_reply(reader)
        writer.close()

    before = cpu_s(pid)
    await asyncio.gather(*(client() for _ in range(CONNECTIONS)))
    return (cpu_s(pid) - before) / POLLS * 1e6


async def connections(port, pid, query, answered):
    """Resident bytes for each connection; `answered`: it is idle after its reply, else its request is held."""
    held = []

    async def client():
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request(port, query))
        if answered:
            await read_reply(reader)
        held.append((reader, writer))

    before = resident(pid)
    for _ in range(HELD // AT_ONCE):
        await asyncio.gather(*(client() for _ in range(AT_ONCE)))
        await asyncio.sleep(0.1)
    await asyncio.sleep(3)
    grown = (resident(pid) - before) / HELD
    for _, writer in held:
        writer.close()
    await asyncio.sleep(1)
    return grown


async def on_a_fresh_node(binary, measure):
    """What one held before would be there for the next: each is measured on a node of its own."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        node = subprocess.Popen([binary, "serve", "--dev", "--listen", f"127.0.0.1:{port}"], cwd=folder,
                                stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            for _ in range(100):
                try:
                    urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1).close()
                    break
                except OSError:
                    time.sleep(0.1)
            return await measure(port, node.pid)
        finally:
            node.terminate()
            node.wait(20)


async def main(binary):
    held = await on_a_fresh_node(binary, lambda port, pid: connections(port, pid, "wait=60&after=latest", False))
    print(f"held long-poll: {held:,.0f} B resident")
    kept = await on_a_fresh_node(binary, lambda port, pid: connections(port, pid, "after=latest", True))
    print(f"kept alive between polls: {kept:,.0f} B resident")
    print(f"poll without news: {await on_a_fresh_node(binary, polls):.0f} us of CPU")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    asyncio.run(main(os.path.realpath(sys.argv[1])))
