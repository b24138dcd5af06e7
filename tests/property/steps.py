# SPDX-License-Identifier: BSD-2-Clause
"""Random programs for tests/property/steps.c."""
import random

PROCESSES, THREADS, NUMBERS = 4, 3, 24


def random_program(seed, steps):
    """A list of (process, thread, operation, a, b): lines for steps.c."""
    dice = random.Random(seed)
    alive, program = [0], []
    for _ in range(steps):
        process, thread = dice.choice(alive), dice.randrange(THREADS)
        op = dice.choice("ooooccccdDDTTFCCrmUuppsefx")
        a, b = dice.randrange(3, NUMBERS), dice.randrange(3, NUMBERS)
        if op == "o" or op == "C":
            a, b = (dice.randrange(2), b) if op == "o" else (a, dice.randrange(2))
        if op == "f":
            if len(alive) == PROCESSES:
                continue
            a = len(alive)
            alive.append(a)
        program.append((process, thread, op, a, b))
    return program
