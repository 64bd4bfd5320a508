"""The queries of the alerts and of the dashboard."""

import json
import re

import yaml

from files import DEPLOY

# Prometheus makes it for each target by itself.
OF_PROMETHEUS = {"up"}
# What Grafana fills in.
FILLED_IN = {"$__rate_interval": "10s", "$job": "tidings", "$instance": ".*"}


def dashboard():
    """The dashboard."""
    return json.loads((DEPLOY / "monitoring/dashboard.json").read_text())


def panels():
    """Its panels, without the rows between them."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def dashboard_queries():
    """Title and query, as Grafana sends it."""
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in FILLED_IN.items():
                query = query.replace(name, value)
            yield panel["title"], query


def alert_queries():
    """Name and query."""
    for group in yaml.safe_load((DEPLOY / "monitoring/alerts.yml").read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


def variable_queries():
    """The queries behind the choices at the dashboard's top."""
    for variable in dashboard()["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["name"], variable["query"]["query"].replace("$job", "tidings")


def measures(query):
    """The measures that a query names."""
    query = re.sub(r'"[^"]*"', '""', query)
    return set(re.findall(r"\btidings_\w+", query)) | set(re.findall(r"([A-Za-z_]\w*)\s*[{\[]", query))


def codes(query):
    """The error codes that a query looks for."""
    return {code for found in re.findall(r'code=~?"([^"]+)"', query) for code in found.split("|")}
