#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Alert storms and suppressions: few lines, bounded memory, and counts that add up."""
import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import TOP, case, fdtrace, main, need_tracing, program  # noqa: E402

PLACES, ROUNDS = 4096, 3000
EACH = ROUNDS * 16 * 2  # uses, and as many second closes
BURST = 20
MEMORY_MAX = 128 << 20


def storm(*options, status=0, rounds=ROUNDS):
    need_tracing()
    result = fdtrace("--set", "ring.size=256M", *options, "--", program("wrong_closes"), str(PLACES), str(rounds))
    assert result.status == status, f"status {result.status}, expected {status}\n{result.messages}"
    return result


def happened(result):
    found = re.search(r"uses (\d+) closes (\d+) other (\d+) rate (\d+)", result.messages)
    assert found, result.messages
    uses, closes, other, rate = map(int, found.groups())
    assert other == 0 and rate > 0, result.messages
    return uses, closes


def total(result):
    return next(s["fdtrace"] for s in result.dataset("summary") if s["fdtrace"].get("scope") == "run")


def valid(result):
    checked = subprocess.run(["/usr/bin/python3", os.path.join(TOP, "tests/live/validate_jsonl.py"),
                              os.path.join(TOP, "src/output/json/finding.schema.json")],
                             input=result.out, capture_output=True, check=False)
    assert checked.returncode == 0, checked.stderr.decode()


@case("a storm from 4,096 places: every fault is counted, few are reported")
def counted():
    result = storm("-j")
    uses, closes = happened(result)
    assert (uses, closes) == (EACH, EACH), result.messages
    summary = total(result)
    assert summary["lost"] == 0, f"{summary['lost']} events lost: the ring of this test is too small"
    rules = summary["rules"]
    assert rules["close.unowned"]["found"] == uses, rules
    assert rules["close.double"]["found"] == closes, rules
    valid(result)


@case("a storm: the lines are few, the withheld ones add up, memory is bounded")
def bounded():
    result = storm("-j")
    lines = result.records()
    told = len(result.findings)
    assert told <= 2 * BURST + 2, f"{told} findings told"
    assert len(lines) <= told + 12, f"{len(lines)} lines"
    summary = total(result)
    for rule, counts in summary["rules"].items():
        mine = sum(1 for f in result.findings if f["rule"]["id"] == rule)
        assert counts["causes"] - counts.get("withheld", 0) == mine, f"{rule}: {counts}, {mine} told"
    withheld = sum(w["fdtrace"]["withheld"] for w in result.dataset("withheld"))
    assert withheld == summary["findings_withheld"] > 0, f"{withheld} by line, {summary['findings_withheld']} in all"
    assert summary["causes_total"] == sum(c["causes"] for c in summary["rules"].values())
    assert 0 < len(summary["causes"]) <= summary["causes_total"]
    assert summary["memory_bytes"] < MEMORY_MAX, summary["memory_bytes"]


@case("a storm as text: the summary does not repeat it")
def as_text():
    result = storm("--min-severity", "error")
    rows = [line for line in result.out.decode().splitlines() if re.match(r"  error +close\.unowned", line)]
    assert 0 < len(rows) <= BURST + 1, f"{len(rows)} rows"
    assert b"more findings in wrong_closes[" in result.out, result.out[-2000:]
    assert b"withheld: " in result.out, result.out[-2000:]


@case("findings.every=0 reports every cause once")
def unlimited():
    result = storm("-j", "--rules", "close.unowned", "--set", "findings.every=0", rounds=300)
    summary = total(result)
    assert len(result.findings) == summary["rules"]["close.unowned"]["causes"] > BURST, summary["rules"]
    assert not result.dataset("withheld") and summary["findings_withheld"] == 0


def suppressions(text):
    file = tempfile.NamedTemporaryFile("w", suffix=".yaml")
    file.write(text)
    file.flush()
    return file


@case("suppressed: no line, no exit status, but a count")
def suppressed():
    with suppressions("- name: the storm\n  rule: close\n  exe: wrong_closes\n- name: idle\n  rule: exec.held\n") as file:
        result = storm("-j", "--suppress", file.name, "--error-exitcode", "9", rounds=100)
    assert not [f for f in result.findings if f["rule"]["category"] == "close"], result
    summary = total(result)
    assert summary["suppressed_by"][0]["name"] == "the storm", summary
    assert summary["suppressed_by"][0]["causes"] == summary["findings_suppressed"] >= 2, summary
    assert summary["times_suppressed"] == 2 * 100 * 16 * 2, summary
    assert summary["suppressions_unused"] == ["idle"], summary
    valid(result)


@case("-v gives what to paste, and that silences it, live and in a replay")
def pasted():
    need_tracing()
    with tempfile.TemporaryDirectory() as folder:
        record, listed = os.path.join(folder, "r"), os.path.join(folder, "s.yaml")
        seen = fdtrace("-v", "-r", record, "--", program("use_closed"), "own-mistake")
        text = seen.out.decode()
        paste = "".join(re.findall(r"^- name: .*\n(?:  .*\n)+", text, re.M))
        assert "rule: use.closed" in paste, text
        with open(listed, "w", encoding="ascii") as file:
            file.write(paste)
        live = fdtrace("--suppress", listed, "--error-exitcode", "9", "--", program("use_closed"), "own-mistake")
        again = fdtrace("replay", "--suppress", listed, "--error-exitcode", "9", record)
    for result in (live, again):
        assert result.status != 9 and b"[use.closed]" not in result.out, result
        assert b"suppressed: 1 finding" in result.out, result


@case("a mistake is reported before anything runs")
def mistake():
    with suppressions("- name: x\n  rulo: leak\n") as file:
        result = fdtrace("--suppress", file.name, "--", "echo", "ran")
        assert result.status == 125 and b"ran" not in result.out, result
        assert f"{file.name}:2:3: unknown key \"rulo\"" in result.messages, result
        assert len(result.messages.splitlines()) == 2, result


main()
