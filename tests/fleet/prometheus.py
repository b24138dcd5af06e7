#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""What a fleet's Prometheus and Grafana load: alert rules and dashboard, by Prometheus' own tools.

    tests/fleet/prometheus.py [PART-OF-A-NAME...]
"""
import json
import os
import re
import sys
import tempfile
import urllib.request

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import TOP, Background, case, main, program, run

RULES = os.path.join(TOP, "src", "fleet", "prometheus", "alerts.yaml")
RULES_TEST = os.path.join(TOP, "src", "fleet", "prometheus", "alerts.test.yaml")
DASHBOARD = os.path.join(TOP, "src", "fleet", "grafana", "dashboard.json")
NOT_OURS = {"up", "node_textfile_mtime_seconds"}


def promtool(*argv):
    result = run(["promtool", *argv])
    assert result.status == 0, f"{result}"
    return result.out.decode()


def dashboard():
    with open(DASHBOARD, encoding="utf-8") as file:
        return json.load(file)


def queries(panels):
    """(title, expression) of everything a panel asks for, with Grafana's variables filled in."""
    for panel in panels:
        for target in panel.get("targets", []):
            text = target["expr"].replace("$__rate_interval", "5m").replace("$instance", ".*")
            assert "$" not in text, f"a variable that is not known: {text}"
            yield panel["title"], text


def published():
    """The names of everything the metrics server publishes."""
    with Background([program("metrics_server"), "127.0.0.1:0", "local"]) as server:
        server.wait_for(b"listens ")
        server.wait_for(b"\n")
        address = server.out.split()[1].decode()
        server.say(b"1\n")
        server.wait_for(b"done")
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    return set(re.findall(r"^# TYPE (\S+) ", text, re.M))


def names_in(expression):
    return set(re.findall(r"\b(?:fdtrace|process|node)_\w+|\bup\b", expression))


def alert_expressions():
    """By promtool itself: it writes each rule out as it understood it."""
    with open(RULES, encoding="utf-8") as file:
        return re.sub(r"^ *#.*$", "", file.read(), flags=re.M)


@case("the alert rules are well made")
def _():
    promtool("check", "rules", "--lint=all", "--lint-fatal", RULES)


@case("each alert fires when it should, and only then")
def _():
    promtool("test", "rules", RULES_TEST)


@case("each alert is tested, both firing and quiet")
def _():
    with open(RULES_TEST, encoding="utf-8") as file:
        tests = file.read()
    alerts = re.findall(r"- alert: (\w+)", alert_expressions())
    assert len(alerts) == len(set(alerts)) > 5, alerts
    for alert in alerts:
        assert re.search(rf"alertname: {alert}, exp_alerts: \[\]", tests), f"{alert} is never quiet"
        assert re.search(rf"alertname: {alert}\n +exp_alerts:\n", tests), f"{alert} never fires"


@case("each expression of the dashboard is understood")
def _():
    rules = [{"record": f"dashboard:{i}", "expr": expr} for i, (_, expr) in enumerate(queries(dashboard()["panels"]))]
    assert len(rules) > 15, f"{len(rules)} expressions"
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, file)  # JSON is YAML
        file.flush()
        said = promtool("check", "rules", file.name)
    assert f"{len(rules)} rules found" in said, said


@case("alerts and dashboard ask for nothing that is not published, and the dashboard shows all of it")
def _():
    names = published()
    shown = set().union(*(names_in(expr) for _, expr in queries(dashboard()["panels"])))
    alerts = names_in("\n".join(re.findall(r"expr: (?:>-\n(?: {10}.*\n)+|.*)", alert_expressions())))
    assert len(alerts) > 8, f"{alerts}"
    assert alerts - names <= NOT_OURS, f"alerts: {alerts - names}"
    assert shown - names <= NOT_OURS, f"dashboard: {shown - names}"
    left = {n for n in names if n.startswith("fdtrace_")} - shown - {"fdtrace_build_info"}
    assert not left, f"shown nowhere: {left}"


@case("the dashboard has what Grafana wants of one")
def _():
    board = dashboard()
    assert board["title"] and board["uid"] and board["schemaVersion"] >= 36, board
    assert "id" not in board, "an id belongs to one Grafana"
    variables = {v["name"]: v for v in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    ids = [p["id"] for p in board["panels"]]
    assert len(ids) == len(set(ids)), ids
    for panel in board["panels"]:
        assert panel["title"] and panel["type"] in ("row", "stat", "timeseries"), panel
        if panel["type"] == "row":
            continue
        assert panel["description"] and panel["targets"], panel["title"]
        for part in (panel, *panel["targets"]):
            assert part["datasource"] == {"type": "prometheus", "uid": "${datasource}"}, panel["title"]
        refs = [t["refId"] for t in panel["targets"]]
        assert len(refs) == len(set(refs)) and all(t["legendFormat"] for t in panel["targets"]), panel["title"]


@case("no panel of the dashboard lies on another")
def _():
    taken = {}
    for panel in dashboard()["panels"]:
        at = panel["gridPos"]
        assert at["x"] >= 0 and at["w"] > 0 and at["h"] > 0 and at["x"] + at["w"] <= 24, panel["title"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]


main()
