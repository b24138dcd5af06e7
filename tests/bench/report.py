# SPDX-License-Identifier: BSD-2-Clause
"""Figures of the benches: printed as they come, and kept as JSON in BUILD/bench/NAME.json."""
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("BUILD", "build")


def first(path, pattern):
    try:
        with open(path, encoding="utf-8", errors="replace") as text:
            found = re.search(pattern, text.read(), re.M)
    except OSError:
        return None
    return found.group(1).strip() if found else None


def machine():
    """What a figure depends on and a reader must know."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "kernel": platform.release(),
        "cpu": first("/proc/cpuinfo", r"^model name\s*: (.*)$") or platform.machine(),
        "cpus": os.cpu_count(),
        "memory_mib": int(first("/proc/meminfo", r"^MemTotal:\s+(\d+)")) // 1024,
        "virtual": bool(re.search(r"\bhypervisor\b", first("/proc/cpuinfo", r"^flags\s*: (.*)$") or "")),
        "governor": first("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", r"(.*)"),
        "load": os.getloadavg()[0],
        "version": subprocess.run(["git", "-C", TOP, "describe", "--always", "--dirty"], capture_output=True,
                                  text=True, check=False).stdout.strip(),
    }


def machine_line(facts):
    kind = "virtual machine" if facts["virtual"] else "machine"
    governor = f", governor {facts['governor']}" if facts["governor"] else ""
    return (f"{facts['date']}, {kind} with {facts['cpus']} CPUs ({facts['cpu']}), {facts['memory_mib']} MiB, "
            f"kernel {facts['kernel']}{governor}, load {facts['load']:.2f}; fdtrace {facts['version']}")


def quartiles(values):
    """Lower quartile, median, upper quartile."""
    if len(values) < 2:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


class Report:
    """One bench: `with Report("name") as report: report.figure(...)`."""

    def __init__(self, name):
        self.name, self.facts, self.rows = name, machine(), []
        print(f"{name}: {machine_line(self.facts)}", flush=True)

    def figure(self, section, what, unit, values, note="", shown=True):
        """A row; values: one number or several measurements of the same thing. Returns the median. Not shown: in the JSON only."""
        low, middle, high = quartiles(list(values) if isinstance(values, (list, tuple)) else [values])
        self.rows.append({"section": section, "what": what, "unit": unit, "median": middle, "low": low, "high": high,
                          "note": note})
        if not shown:
            return middle
        spread = f" [{low:,.1f} .. {high:,.1f}]" if low != high else ""
        print(f"{section:>14}  {what:<46} {middle:>14,.1f} {unit}{spread}{'  ' + note if note else ''}", flush=True)
        return middle

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        folder = os.path.join(BUILD, "bench")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, self.name + ".json"), "w", encoding="utf-8") as out:
            json.dump({"bench": self.name, "machine": self.facts, "complete": kind is None, "figures": self.rows}, out, indent=1)
            out.write("\n")
        sys.stdout.flush()
