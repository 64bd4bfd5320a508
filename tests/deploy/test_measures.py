"""That alerts and dashboard ask for what a node has: against a node with readers on all transports, and a Prometheus.

NODE is the binary of a node, PROMETHEUS that of Prometheus (without it, the names alone are looked at).
"""

import json
import os
import re
import socket
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import panels
from files import DEPLOY, EXAMPLE, ROOT

NODE = os.environ["NODE"]
PROMETHEUS = os.environ.get("PROMETHEUS")
TRANSPORTS = ["ws", "sse", "long-poll", "poll", "session"]


def free_port():
    """A port of this machine that nobody uses."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def get(url, **headers):
    """The body of an answer; an error's, too."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            return answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.read().decode()


def until(what, found, limit_s=20):
    """What `found` gives, once it gives something."""
    end = time.monotonic() + limit_s
    while time.monotonic() < end:
        try:
            if value := found():
                return value
        except OSError:
            pass
        time.sleep(0.1)
    raise AssertionError(f"{what}: not within {limit_s} s")


class Running:
    """A node with traffic, and a Prometheus that scrapes it by deploy/monitoring/prometheus.yml."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory()
        self.processes = []
        port, self.ops = free_port(), free_port()
        self.url, self.prometheus = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
        made = json.loads(subprocess.run([NODE, "key", "--json"], check=True, capture_output=True).stdout)
        self.key = made["key"]
        self.environment = {"TIDINGS_URL": self.url, "TIDINGS_TOKEN": self.key, "PATH": os.environ["PATH"]}
        variables = {
            "TIDINGS_LISTEN": f"127.0.0.1:{port}",
            "TIDINGS_OPS_LISTEN": f"127.0.0.1:{self.ops}",
            "TIDINGS_AUTH__API_KEYS": self.key,
            "TIDINGS_AUTH__JWT__HMAC_SECRET": EXAMPLE["TIDINGS_AUTH__JWT__HMAC_SECRET"],
        }
        self.start([NODE, "serve", "--config", str(DEPLOY / "tidings.toml")], variables)
        until("the node is ready", lambda: get(f"http://127.0.0.1:{self.ops}/readyz"))
        for transport in TRANSPORTS:
            self.start([NODE, "subscribe", "orders:1", "chat:1", "--transport", transport], self.environment)
        until("readers", lambda: 'door="session"' in self.metrics())

    def start(self, command, environment):
        log = open(Path(self.folder.name, f"{len(self.processes)}.log"), "wb")
        self.processes.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log, cwd=self.folder.name))
        log.close()

    def metrics(self):
        return get(f"http://127.0.0.1:{self.ops}/metrics")

    def publish(self):
        for channel in ["orders:1", "chat:1"]:
            command = [NODE, "publish", channel, "hello"]
            subprocess.run(command, env=self.environment, check=True, stdout=subprocess.DEVNULL)
        get(f"{self.url}/v1/channels/orders:1", Authorization="Bearer no")
        get(f"{self.url}/v1/channels/none:1")

    def scrape(self):
        """Starts Prometheus: its configuration, but for the address and how often."""
        text = (DEPLOY / "monitoring/prometheus.yml").read_text().split("  # Pods of deploy/kubernetes")[0]
        text = text.replace("127.0.0.1:9090", f"127.0.0.1:{self.ops}").replace("15s", "1s")
        Path(self.folder.name, "prometheus.yml").write_text(text)
        Path(self.folder.name, "alerts.yml").write_text((DEPLOY / "monitoring/alerts.yml").read_text())
        listen = self.prometheus.removeprefix("http://")
        flags = ["--config.file=prometheus.yml", "--storage.tsdb.path=tsdb", f"--web.listen-address={listen}"]
        self.start([PROMETHEUS, *flags], {})
        until("Prometheus is ready", lambda: "is Ready" in get(f"{self.prometheus}/-/ready"))

    def ask(self, query):
        """What Prometheus answers to a query."""
        answer = json.loads(get(f"{self.prometheus}/api/v1/query?query={urllib.parse.quote(query)}"))
        assert answer["status"] == "success", f"{query}: {answer}"
        return answer["data"]["result"]

    def end(self):
        for process in reversed(self.processes):
            process.terminate()
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.folder.cleanup()


class Measures(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.running = Running()
        cls.addClassCleanup(cls.running.end)
        cls.running.publish()

    def queries(self):
        yield from panels.alert_queries()
        yield from panels.dashboard_queries()
        yield from panels.variable_queries()

    def test_every_measure_that_is_asked_for_exists(self):
        there = set(re.findall(r"^(tidings_\w+)", self.running.metrics(), re.M)) | panels.OF_PROMETHEUS
        for name, query in self.queries():
            with self.subTest(name):
                asked = panels.measures(query.removeprefix("label_values(") if "label_values" in query else query)
                self.assertTrue(asked)
                self.assertLessEqual(asked, there)

    def test_every_measure_is_on_the_dashboard(self):
        there = set(re.findall(r"^(tidings_\w+)", self.running.metrics(), re.M))
        shown = set().union(*(panels.measures(query) for _, query in panels.dashboard_queries()))
        self.assertEqual(there - shown, set())

    def test_every_code_that_is_asked_for_exists(self):
        known = set(re.findall(r"^## ([a-z-]+)$", (ROOT / "docs/errors.md").read_text(), re.M))
        for name, query in self.queries():
            with self.subTest(name):
                self.assertLessEqual(panels.codes(query), known)

    # Where it is missing, scripts/lint-deploy says SKIP, which fails in CI.
    @unittest.skipUnless(PROMETHEUS, "SKIP: Prometheus is missing")
    def test_every_panel_shows_something(self):
        self.running.scrape()
        count = 'min(count_over_time(tidings_delivered_total{job="tidings"}[10s])) >= 4'
        end = time.monotonic() + 40
        while time.monotonic() < end:
            self.running.publish()
            if self.running.ask(count):
                break
        for name, query in panels.dashboard_queries():
            with self.subTest(name):
                self.assertTrue(self.running.ask(query), query)
        for name, query in panels.alert_queries():
            with self.subTest(name):
                self.assertEqual(self.running.ask(query), [], "a healthy node is no alert")


class Dashboard(unittest.TestCase):
    def test_every_panel_has_a_title_a_data_source_and_a_unit(self):
        for panel in panels.panels():
            with self.subTest(panel["title"]):
                self.assertTrue(panel["title"])
                for of in [panel, *panel["targets"]]:
                    self.assertEqual(of["datasource"], {"type": "prometheus", "uid": "${datasource}"})
                self.assertTrue(panel["fieldConfig"]["defaults"]["unit"])

    def test_panels_have_numbers_and_places_of_their_own(self):
        taken, numbers = set(), [panel["id"] for panel in panels.dashboard()["panels"]]
        self.assertEqual(len(numbers), len(set(numbers)))
        for panel in panels.dashboard()["panels"]:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24)
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            self.assertFalse(cells & taken, panel["title"])
            taken |= cells


if __name__ == "__main__":
    unittest.main()
