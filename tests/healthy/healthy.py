#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""A healthy machine is silent: an hour of real software in minutes, and no warning, no error.

    tests/healthy/healthy.py [--all] [--keep FOLDER] [PART-OF-A-PHASE'S-NAME...]

driver.py and the table in programs.py do the work; fdtrace watches it and all that it starts, with --all the whole machine
(only where nothing else runs). A case a phase: its work was done, and nothing grave was reported while
it went on; then what was reported between phases and of the run as a whole. Other severities are
counted, not judged. What was told that is grave is printed whole. --keep leaves the JSON there.
"""
import argparse
import collections
import datetime
import json
import os
import sys
import tempfile

sys.dont_write_bytecode = True  # no __pycache__ in the tree
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from harness import FDTRACE, GRAVE, PYTHON, Background, add_case, check_line, main, need_tracing, run

HERE = os.path.dirname(os.path.abspath(__file__))
DRIVER = [PYTHON, "-B", os.path.join(HERE, "driver.py")]
RUN_S = 3600


def seconds(text):
    """Of an RFC 3339 time in UTC: since 1970."""
    return datetime.datetime.fromisoformat(text[:26].rstrip("Z") + "+00:00").timestamp()


def last_seen(finding):
    return seconds(finding["event"].get("end", finding["@timestamp"]))


class Run:
    """What a run of the driver under fdtrace left behind."""

    def __init__(self, folder, everything, words):
        self.folder = folder
        self.results = os.path.join(folder, "results")
        self.told = os.path.join(folder, "told.json")
        driver = [*DRIVER, self.results, *words]
        self.messages = self._beside(driver) if everything else self._under(driver)
        with open(self.told, "rb") as told:
            self.records = [check_line(line, self.told) for line in told.read().splitlines()]
        with open(self.results, encoding="utf-8") as results:
            self.phases = [json.loads(line) for line in results]

    def _under(self, driver):
        result = run([FDTRACE, "-j", "-o", self.told, "--", *driver], timeout=RUN_S)
        assert result.status == 0, f"{result}"
        return result.messages

    def _beside(self, driver):
        with Background([FDTRACE, "-j", "-a"]) as tracer:
            tracer.wait_for(b"fdtrace.state")
            done = run(driver, timeout=RUN_S)
            traced = tracer.interrupt()
        assert done.status == 0, f"{done}"
        with open(self.told, "wb") as told:
            told.write(traced.out)
        return traced.messages

    def findings(self):
        return [r for r in self.records if r["event"]["dataset"] == "fdtrace.finding"]

    def grave(self):
        return [f for f in self.findings() if f["severity"] in GRAVE]

    def summary(self):
        return next(r["fdtrace"] for r in self.records
                    if r["event"]["dataset"] == "fdtrace.summary" and r["fdtrace"]["scope"] == "run")

    def during(self, phase):
        return [f for f in self.grave() if phase["start"] <= last_seen(f) <= phase["end"]]

    def unexpected(self, phase):
        """Without those that are true of the program: its row in programs.py says why."""
        return [f for f in self.during(phase) if f["rule"]["id"] not in phase["expected"]]

    def outside(self):
        return [f for f in self.grave() if not any(f in self.during(p) for p in self.phases)]

    def say(self):
        summary = self.summary()
        rules = collections.Counter((f["rule"]["id"], f["severity"]) for f in self.findings())
        print(f"# {summary['duration_s'] / 60:.1f} minutes, {summary['events']} events, {summary['lost']} lost, "
              f"{summary['stacks_skipped']} stacks skipped, {summary['cpu_ratio'] * 100:.1f} % of a CPU")
        for (rule, severity), count in sorted(rules.items()):
            print(f"# {severity:5} {rule:14} {count}")
        for phase in self.phases:
            print(f"# {phase['phase']}: {phase['end'] - phase['start']:.0f} s, {phase.get('done', 'failed')}")
            for finding in self.during(phase):
                if finding["rule"]["id"] in phase["expected"]:
                    print(f"#   true, and expected: {finding['message']}: {phase['expected'][finding['rule']['id']]}")


def silent(findings):
    assert not findings, f"{len(findings)} told of a healthy machine:\n" + \
        "\n".join(json.dumps(f, ensure_ascii=True) for f in findings)


def judge_phase(whole, phase):
    def check():
        assert "error" not in phase, f"the work was not done: {phase['error']}"
        silent(whole.unexpected(phase))
    return check


def judge_rest(whole):
    silent(whole.outside())


def judge_run(whole):
    summary = whole.summary()
    assert not summary["lost"] and not summary["malformed"], f"lost or malformed: {summary}"
    assert summary["events"] > 1000 * len(whole.phases), f"hardly anything was seen: {summary}"
    told = sum(summary["findings"].values())
    assert told >= len(whole.findings()), f"the summary tells of {told} findings, {len(whole.findings())} came"


def register(whole):
    for phase in whole.phases:
        add_case(f"{phase['phase']}: done, and nothing reported", judge_phase(whole, phase))
    add_case("nothing reported between the phases", lambda: judge_rest(whole))
    add_case("the whole run was seen, nothing lost", lambda: judge_run(whole))


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--all", action="store_true")
    parser.add_argument("--keep")
    parser.add_argument("words", nargs="*")
    return parser.parse_args()


def failing(why):
    def check():
        raise why
    return check


def test():
    given = arguments()
    sys.argv[1:] = []  # the cases are those of the phases that ran
    with tempfile.TemporaryDirectory() as folder:
        try:
            need_tracing()
            whole = Run(given.keep or folder, given.all, given.words)
        except Exception as why:  # told as a case, so that there is always TAP
            add_case("the machine's hour", failing(why))
        else:
            whole.say()
            register(whole)
        main()


test()
