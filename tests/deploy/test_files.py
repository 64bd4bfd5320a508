"""What the files of deploy/ say of each other and of the node. Run by scripts/lint-deploy.

NODE is the binary of a node, COMPOSE the program of tests/deploy/compose.
"""

import json
import os
import re
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

from docker.utils import exclude_paths

import files
from files import DEPLOY, ROOT, seconds

NODE = os.environ["NODE"]


class Configurations(unittest.TestCase):
    def check(self, toml, variables):
        """What `tidings check` says of a configuration."""
        with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
            file.write(toml)
            file.flush()
            command = [NODE, "check", "--json", "--config", file.name]
            said = subprocess.run(command, env=variables, capture_output=True, text=True)
        return json.loads(said.stdout)

    def test_each_place_starts_a_node_with_a_configuration_that_can_be_used(self):
        for place in files.places():
            with self.subTest(place.name):
                said = self.check(place.toml, place.variables)
                kind = place.variables.get("TIDINGS_BROKER__KIND")
                if "not in this version yet" in said.get("error", ""):
                    print(f"note: {place.name}: this node has no {kind} yet; the rest of its configuration is checked")
                    rest = {k: v for k, v in place.variables.items() if not k.startswith("TIDINGS_BROKER__")}
                    said = self.check(place.toml, rest)
                self.assertTrue(said["ok"], said)
                self.assertEqual(said.get("warnings", []), [])

    def test_a_configuration_that_cannot_be_used_is_noticed(self):
        self.assertFalse(self.check("shutdown_grce = '1s'", {})["ok"])

    def test_the_config_map_is_the_file(self):
        (config,) = files.kubernetes("config")
        self.assertEqual(config["data"]["tidings.toml"], (DEPLOY / "tidings.toml").read_text())

    def test_no_secret_stands_in_a_file(self):
        for path in DEPLOY.rglob("*"):
            if path.is_file() and not path.name.endswith(".example") and path.name != ".env.example":
                self.assertNotRegex(path.read_text(), r"sk_[A-Za-z0-9_-]{20}|BEGIN [A-Z ]*PRIVATE KEY", path)


class Times(unittest.TestCase):
    """What must be longer than what."""

    def setUp(self):
        self.toml = tomllib.loads((DEPLOY / "tidings.toml").read_text())

    def test_nobody_kills_a_node_before_its_grace_is_over(self):
        grace = seconds(self.toml["shutdown_grace"])
        for place in files.places():
            if place.name != "Dockerfile":  # `docker run` alone: --stop-timeout, says deploy/README.md
                with self.subTest(place.name):
                    self.assertGreaterEqual(place.stop_s, grace + 5)

    def test_no_proxy_gives_up_a_stream_between_two_heartbeats(self):
        least = 2 * seconds(self.toml["heartbeat"]) + 10
        haproxy = (DEPLOY / "compose/haproxy.cfg").read_text()
        nginx = (DEPLOY / "nginx/tidings.conf").read_text()
        ingress = (DEPLOY / "kubernetes/ingress.yaml").read_text()
        waits = [seconds(time) for time in re.findall(r"timeout (?:client|server|tunnel) +(\w+)", haproxy)]
        waits += [seconds(time) for time in re.findall(r"(?:proxy_read|proxy_send|send)_timeout (\w+);", nginx)]
        waits += [int(time) for time in re.findall(r'proxy-(?:read|send)-timeout: "(\d+)"', ingress)]
        self.assertEqual(len(waits), 8)
        self.assertGreaterEqual(min(waits), least)


class Kubernetes(unittest.TestCase):
    def test_pods_are_not_root_and_write_nowhere_but_to_their_volume(self):
        for name in ["cluster", "disk"]:
            with self.subTest(name):
                spec = files.pod(name)
                (container,) = spec["containers"]
                self.assertIs(spec["enableServiceLinks"], False)
                self.assertIs(spec["automountServiceAccountToken"], False)
                self.assertIs(spec["securityContext"]["runAsNonRoot"], True)
                rights = container["securityContext"]
                self.assertIs(rights["readOnlyRootFilesystem"], True)
                self.assertIs(rights["allowPrivilegeEscalation"], False)
                self.assertEqual(rights["capabilities"]["drop"], ["ALL"])
                self.assertEqual(container["livenessProbe"]["httpGet"], {"path": "/healthz", "port": "ops"})
                self.assertEqual(container["readinessProbe"]["httpGet"], {"path": "/readyz", "port": "ops"})

    def test_a_rollout_never_has_fewer_nodes(self):
        (deployment,) = [o for o in files.kubernetes("cluster") if o["kind"] == "Deployment"]
        self.assertEqual(deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"], 0)

    def test_what_selects_pods_selects_these(self):
        for name in ["cluster", "disk"]:
            objects = files.kubernetes(name)
            (labels,) = [o["spec"]["template"]["metadata"]["labels"] for o in objects if "template" in o["spec"]]
            for o in objects + files.kubernetes("ingress"):
                selector = o["spec"].get("selector") or o["spec"].get("podSelector")
                if selector:
                    self.assertEqual(selector.get("matchLabels", selector), labels, o["kind"])


class Image(unittest.TestCase):
    """What the engine would be sent, and what the build needs of it."""

    def setUp(self):
        lines = (DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
        patterns = [line for line in lines if line and not line.startswith("#")]
        # As a clone has it: what git does not know is not looked for.
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True)
        tracked = set(listed.stdout.splitlines())
        self.context = tracked & set(exclude_paths(str(ROOT), patterns))

    def test_the_context_is_small_and_has_what_the_build_copies(self):
        self.assertIn("Cargo.lock", self.context)
        self.assertIn("deploy/tidings.toml", self.context)
        self.assertFalse([path for path in self.context if path.startswith((".git/", "target/", "docs/", "fuzz/"))])

    def test_all_that_the_sources_include_is_in_the_context(self):
        for path in sorted(self.context):
            if path.endswith(".rs") and "/src/" in path:
                source = (ROOT / path).read_text()
                for name in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', source):
                    included = os.path.normpath(Path(path).parent / name)
                    self.assertTrue(included in self.context, f"{path} includes {included}: add it to Dockerfile.dockerignore")

    def test_cargo_finds_its_workspace_in_the_context(self):
        with tempfile.TemporaryDirectory() as folder:
            for path in self.context:
                copy = Path(folder, path)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes((ROOT / path).read_bytes())
            command = ["cargo", "metadata", "--no-deps", "--locked", "--offline", "--format-version", "1"]
            subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)


if __name__ == "__main__":
    unittest.main()
