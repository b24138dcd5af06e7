# SPDX-License-Identifier: BSD-2-Clause
"""Judging the tables that fdtrace keeps: by what --verify says in the end, and by /proc."""
import re
import signal

from harness import Background, attach

NAMESPACES = {
    "another pid namespace": ["unshare", "-p", "-f", "--mount-proc", "--kill-child"],
    "a user namespace": ["unshare", "-U", "-r"],
    "user, pid and mount namespaces": ["unshare", "-U", "-r", "-p", "-f", "--mount-proc", "--kill-child"],
}


def totals(result):
    """The figures of the run, of the final summary."""
    rows = [s["fdtrace"] for s in result.dataset("summary") if s["fdtrace"]["scope"] == "run"]
    assert rows and rows[-1]["final"], f"no final summary\n{result}"
    return rows[-1]


def verdict(result):
    """(tables compared, differences) of the closing message of --verify."""
    found = re.search(r"verify: (\d+) tables? compared .*; (\d+) difference", result.messages)
    assert found, f"no verdict\n{result}"
    return int(found[1]), int(found[2])


def judge_true(result, at_least=1, status=0):
    compared, differences = verdict(result)
    assert not differences, f"{differences} differences\n{result}"
    assert compared >= at_least, f"only {compared} tables were compared\n{result}"
    assert result.status == status, f"{result}"


def summary_of(result, pid):
    """What the final summary says about that process (its latest image)."""
    rows = [s["fdtrace"] for s in result.dataset("summary")
            if s["fdtrace"]["scope"] == "process" and s["fdtrace"]["final"] and s["process"]["pid"] == pid]
    assert rows, f"no summary of pid {pid}\n{result}"
    return max(rows, key=lambda row: row["image"])


def same_as_kernel(result, pid, numbers):
    """numbers: of the descriptors that /proc lists."""
    row = summary_of(result, pid)
    assert row["open"] == len(numbers), f"open {row['open']}, /proc says {numbers}\n{result}"


def traced(argv, *options, act=None):
    """fdtrace's result for a helper that was attached before its line came and stood still after it."""
    with Background(argv) as helper:
        helper.wait_for(b"running")
        with attach(helper.pid, "--verify", *options) as tracer:
            helper.say(b"\n")
            helper.wait_for(b"ready")
            if act:
                act(helper, tracer)
            result = tracer.interrupt(signal.SIGINT)
        assert helper.finish().status == 0, f"{argv}"
    return result
