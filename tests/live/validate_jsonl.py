#!/usr/bin/python3
# SPDX-License-Identifier: BSD-2-Clause
"""Checks JSON lines of fdtrace: validate_jsonl.py [--full] SCHEMA < LINES

Beyond the schema: valid UTF-8, at most 4,000 bytes a line (not with --full), no key twice, no
null, no raw control or direction-changing characters, event.id unique, identity before bulk.
Prints the number of lines and exits 0; exits 1 with the reason, 2 on wrong usage, and 77 if
python3-jsonschema is missing.
"""
import json
import re
import sys

try:
    import jsonschema
except ImportError:
    print("validate_jsonl.py: needs the package python3-jsonschema", file=sys.stderr)
    sys.exit(77)

LINE_MAX = 4000
RAW = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
ORDER = ["@timestamp", "severity", "message", "rule", "host", "process", "service", "container",
         "file", "network", "event", "log", "ecs", "error", "fdtrace"]


class Bad(Exception):
    pass


def pairs(items):
    keys = [key for key, _ in items]
    if len(keys) != len(set(keys)):
        raise Bad(f"a key stands twice among {keys}")
    if any(value is None for _, value in items):
        raise Bad("a value is null")
    return dict(items)


def check_raw(raw, full):
    if not raw.endswith(b"\n"):
        raise Bad("the last line has no newline")
    if len(raw) > LINE_MAX and not full:
        raise Bad(f"{len(raw)} bytes are more than {LINE_MAX}")
    try:
        text = raw[:-1].decode("utf-8")
    except UnicodeDecodeError as error:
        raise Bad(f"not UTF-8: {error}") from error
    if found := RAW.search(text):
        raise Bad(f"raw character U+{ord(found[0]):04X} in column {found.start() + 1}")
    return text


def parse(text):
    try:
        return json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        raise Bad(f"not JSON: {error}") from error


def check_order(line):
    places = [ORDER.index(key) for key in line if key in ORDER]
    if places != sorted(places):
        raise Bad(f"keys out of order: {list(line)}")


def check_schema(validator, line):
    error = jsonschema.exceptions.best_match(validator.iter_errors(line))
    if error:
        while error.context:
            error = min(error.context, key=lambda inner: -len(inner.absolute_path))
        where = "/".join(str(part) for part in error.absolute_path) or "the line"
        raise Bad(f"{where}: {error.message}")


def check(validator, raw, full, ids):
    line = parse(check_raw(raw, full))
    check_schema(validator, line)
    check_order(line)
    identity = line["event"].get("id")
    if identity in ids:
        raise Bad(f"event.id {identity} is not unique")
    if identity:
        ids.add(identity)


def main(arguments):
    full = arguments[:1] == ["--full"]
    if len(arguments) != 1 + full:
        print(__doc__, file=sys.stderr)
        return 2
    with open(arguments[-1], encoding="utf-8") as file:
        schema = json.load(file)
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    ids, number = set(), 0
    for number, raw in enumerate(sys.stdin.buffer, 1):
        try:
            check(validator, raw, full, ids)
        except Bad as bad:
            print(f"line {number}: {bad}", file=sys.stderr)
            return 1
    print(f"{number} lines")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
