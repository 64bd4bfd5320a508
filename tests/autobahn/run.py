"""Autobahn's WebSocket cases against an echo URL.

    python tests/autobahn/run.py --url ws://127.0.0.1:8080/dev/echo [--full]

A dev node echoes at /dev/echo through the WebSocket code that also serves
channels. The default set fits into `make test`; --full runs every case that
the suite has, with all of its messages.
"""

import argparse
import fnmatch
import json
import sys
import time
from pathlib import Path

from driver import failure, reactor, start
from port import port

CASES = Path(__file__).resolve().parents[2] / ".tests" / "autobahn-cases"

# Framing, pings, reserved bits, opcodes, fragmentation, UTF-8, closing, and of the
# large and many messages (9.*) one of each kind.
DEFAULT = ["[1-7].*", "10.*", "9.1.1", "9.1.2", "9.2.1", "9.2.2", "9.3.4", "9.5.4", "9.7.1", "9.8.1"]
# permessage-deflate, which a node agrees to where `websocket.deflate` is set. Of each kind and size, one.
COMPRESSION = ["12.*", "13.*"]
DEFAULT_COMPRESSION = ["12.[1-5].1", "12.1.9", "12.4.9", "12.5.9", "13.[1-7].1", "13.3.7"]
# These send much: one at a time, or they measure each other.
HEAVY = ["9.*"]

GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}


def matches(name, patterns):
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def load():
    """All cases of the suite by name, `6.4.1`, in its order."""
    port(CASES)
    # Only now: a path that is searched before it exists is remembered as empty.
    sys.path.insert(0, str(CASES))
    import case
    from case.case import Case

    Case.compare = lambda self, left, right: left == right  # pickles of equals may differ in Python 3
    named = {cls.__name__.removeprefix("Case").replace("_", "."): cls for cls in case.Cases}
    return dict(sorted(named.items(), key=lambda item: [int(part) for part in item[0].split(".")]))


class Run:
    """Keeps up to `parallel` cases under way until none is left or the time is up."""

    def __init__(self, options, cases):
        self.options, self.cases = options, cases
        self.waiting, self.running, self.verdicts = list(cases), 0, {}

    def pump(self):
        while self.waiting:
            heavy = matches(self.waiting[0], HEAVY)
            if self.running >= (1 if heavy else self.options.parallel):
                return
            name = self.waiting.pop(0)
            self.running += 1
            start(self.options.url, self.cases[name], self.options.messages, lambda v, n=name: self.end(n, v))
        if not self.running:
            reactor.stop()

    def end(self, name, verdict):
        self.verdicts[name] = verdict
        self.running -= 1
        reactor.callLater(0, self.pump)  # not at once: this is still inside the connection's own callback

    def go(self):
        reactor.callWhenRunning(self.pump)
        reactor.callLater(self.options.seconds, reactor.stop)
        reactor.run()
        for name in self.cases:
            self.verdicts.setdefault(name, failure(f"no verdict within {self.options.seconds} s"))


def report(options, verdicts, skipped, seconds):
    failed = [name for name, v in verdicts.items() if not {v["behavior"], v["close"]} <= GOOD]
    for name in failed:
        v = verdicts[name]
        print(f"FAIL {name}: {v['behavior']}, close {v['close']}: {' '.join(v['result'].split())[:300]}")
    kinds = {}
    for v in verdicts.values():
        kinds[v["behavior"]] = kinds.get(v["behavior"], 0) + 1
    if skipped:
        print(f"# {skipped} compression cases (12.*, 13.*) left out: add --compression for a node that has it")
    print(f"# {', '.join(f'{kind} {count}' for kind, count in sorted(kinds.items()))}; {seconds:.1f} s")
    print(f"autobahn: {len(verdicts) - len(failed)} passed, {len(failed)} failed")
    if options.report:
        summary = {"url": options.url, "compression_cases_left_out": skipped, "failed": failed, "cases": verdicts}
        Path(options.report).write_text(json.dumps(summary, indent=1) + "\n")
    return 1 if failed or not verdicts else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="ws://127.0.0.1:8080/dev/echo")
    parser.add_argument("--full", action="store_true", help="every case, all messages")
    parser.add_argument("--compression", action="store_true", help="the cases of permessage-deflate: alone, or with --full those, too")
    parser.add_argument("--only", metavar="PATTERN", nargs="+", help="these cases, such as '6.4.*'")
    parser.add_argument("--parallel", type=int, default=8)
    parser.add_argument("--report", metavar="FILE", help="write every verdict to FILE as JSON")
    options = parser.parse_args()
    # The suite sends 1,000 messages in each case of 9.7 and 9.8; 0 leaves it so.
    options.messages = 0 if options.full else 200
    options.seconds = 3600 if options.full else 60

    began = time.monotonic()
    everything = load()
    wanted = options.only or (["*"] if options.full else DEFAULT_COMPRESSION if options.compression else DEFAULT)
    chosen = {name: cls for name, cls in everything.items() if matches(name, wanted) and (options.compression or not matches(name, COMPRESSION))}
    skipped = 0 if options.compression else sum(matches(name, COMPRESSION) for name in everything)
    run = Run(options, chosen)
    run.go()
    return report(options, run.verdicts, skipped, time.monotonic() - began)


if __name__ == "__main__":
    sys.exit(main())
