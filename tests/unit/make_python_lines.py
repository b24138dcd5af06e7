# SPDX-License-Identifier: BSD-2-Clause
# Writes line tables of the Python that runs this, and what that Python itself says they mean:
#   { echo '/* SPDX-License-Identifier: BSD-2-Clause */'
#     for p in python2.7 python3.6 ... python3.13; do $p tests/unit/make_python_lines.py; done; } > tests/unit/python_lines.inc
from __future__ import print_function
import dis
import sys
import types

SOURCE = '''
def plain(a, b):
    c = a + b
    return c

class Thing(object):
    def call(self, other):
        return other(
            self.call,
            other(1,
                  2),
            [x for x in
             range(3)])

    def clean(self, path):
        try:
            with open(path) as f:
                for line in f:
                    if not line: continue
                    yield line
        except OSError as e:
            raise
        finally:
            self.call(None)
''' + '\n' * 700 + '''
far = lambda: (lambda:
    0)
def gap(a):
    a(1)
''' + '\n' * 300 + '''
    a(2)
    ''' + 'a(' + '+'.join(['a[%d](a)' % i for i in range(120)]) + ')\n    return a\n'


def codes_of(code):
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            for inner in codes_of(constant):
                yield inner


def lines_of(code):
    """[(first address, line or 0)], each up to the next."""
    if hasattr(code, "co_positions"):
        positions = [p[0] or 0 for p in code.co_positions()]
        all_lines = [(i * 2, line) for i, line in enumerate(positions)]
    elif hasattr(code, "co_lines"):
        all_lines = [(start, line or 0) for start, end, line in code.co_lines() if end > start]
    else:
        all_lines = list(dis.findlinestarts(code))
    kept = all_lines[:1]
    for address, line in all_lines:
        if line != kept[-1][1]:
            kept.append((address, line))
    return kept


version = sys.version_info[0] << 8 | sys.version_info[1]
for code in codes_of(compile(SOURCE, "sample.py", "exec")):
    table = bytearray(code.co_linetable if version >= 0x30a else code.co_lnotab)
    lines = lines_of(code)
    print("/* %d.%d %s */" % (sys.version_info[0], sys.version_info[1], code.co_name))
    print("{ 0x%04x, %d, %d, %d, %d," % (version, code.co_firstlineno, len(code.co_code), len(table), len(lines)))
    print('"' + "".join("\\x%02x" % b for b in table) + '",')
    print("(const struct start[]){ " + ", ".join("{ %d, %d }" % l for l in lines) + " } },")
