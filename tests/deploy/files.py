"""What stands in deploy/, read: each place that runs a node, with its configuration and how long it may take to stop."""

import json
import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE = ["one", "redis", "nats", "kafka"]


def names(path):
    """The variables that an example file asks for."""
    return [line.split("=", 1)[0] for line in path.read_text().splitlines() if line and not line.startswith("#")]


# What stands in a .env that somebody has filled in.
KEY = '{ sha256 = "7d1a54127b222502f5b79b5fb0803061152a44f92b37e23c6527baf665d4da9a", rights = ["publish"], name = "a" }'
EXAMPLE = {
    "TIDINGS_AUTH__API_KEYS": f"[{KEY}]",
    "TIDINGS_AUTH__JWT__HMAC_SECRET": "bm90IGEgc2VjcmV0IG9mIGFueWJvZHkgYXQgYWxsISE=",
    "BROKER_PASSWORD": "0123456789abcdef",
}
# What the secret of Kubernetes holds, as deploy/README.md makes it.
SECRET = {
    "api-keys": EXAMPLE["TIDINGS_AUTH__API_KEYS"],
    "hmac-secret": EXAMPLE["TIDINGS_AUTH__JWT__HMAC_SECRET"],
    "broker-url": f"redis://:{EXAMPLE['BROKER_PASSWORD']}@redis.example:6379",
}


@dataclass
class Place:
    """A place that starts a node: its file, its variables, and the seconds from being told to stop to being killed."""

    name: str
    toml: str
    variables: dict
    stop_s: float


def seconds(text):
    """"30s" or "2m" as a number."""
    parts = re.findall(r"(\d+)(ms|s|m|h)", text)
    assert parts and "".join(n + u for n, u in parts) == text, f"not a time: {text}"
    return sum(int(n) * {"ms": 0.001, "s": 1, "m": 60, "h": 3600}[u] for n, u in parts)


def compose(name):
    """A compose file as Docker Compose understands it; COMPOSE is the program that tells."""
    program = os.environ["COMPOSE"]
    environment = {name: EXAMPLE[name] for name in names(DEPLOY / "compose/.env.example")}
    command = [program, str(DEPLOY / f"compose/{name}.yaml")]
    return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)


def kubernetes(name):
    """The objects of a manifest."""
    return list(yaml.safe_load_all((DEPLOY / f"kubernetes/{name}.yaml").read_text()))


def pod(name):
    """The pod that a manifest makes."""
    (found,) = [o["spec"]["template"]["spec"] for o in kubernetes(name) if o["kind"] in ("Deployment", "StatefulSet")]
    return found


def unit():
    """The settings of the systemd unit: each with all its values."""
    settings = {}
    for line in (DEPLOY / "systemd/tidings.service").read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            key, value = line.split("=", 1)
            settings.setdefault(key, []).append(value)
    return settings


def places():
    """Every place of deploy/ that starts a node."""
    toml = (DEPLOY / "tidings.toml").read_text()
    image = dict(re.findall(r"^ENV (TIDINGS_\w+)=(\S+)$", (DEPLOY / "Dockerfile").read_text(), re.M))
    secrets = {name: EXAMPLE[name] for name in names(DEPLOY / "systemd/tidings.env.example")}
    yield Place("Dockerfile", toml, image | secrets, 10)
    for name in COMPOSE:
        for service, value in compose(name)["services"].items():
            if service.startswith("tidings"):
                variables = image | value["environment"]
                yield Place(f"compose/{name}.yaml {service}", toml, variables, seconds(value["stop_grace_period"]))
    (config,) = kubernetes("config")
    for name in ["cluster", "disk"]:
        spec = pod(name)
        (container,) = spec["containers"]
        variables = dict(image)
        for variable in container["env"]:
            reference = variable.get("valueFrom", {}).get("secretKeyRef")
            variables[variable["name"]] = SECRET[reference["key"]] if reference else variable["value"]
        grace = spec["terminationGracePeriodSeconds"] - container["lifecycle"]["preStop"]["sleep"]["seconds"]
        yield Place(f"kubernetes/{name}.yaml", config["data"]["tidings.toml"], variables, grace)
    service = unit()
    variables = dict(v.replace("%S", "/var/lib").split("=", 1) for v in service["Environment"])
    yield Place("systemd/tidings.service", toml, variables | secrets, seconds(service["TimeoutStopSec"][0]))
