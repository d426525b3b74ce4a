#!/usr/bin/env python3
# kernel_check.py: the kernel in the finished benchmark is a loop that multiplies, and is aligned.
#
# Flow: a meson test runs it as `kernel_check.py OBJDUMP PROGRAM`. It reads the program itself rather
# than kernel.o, so that what link-time optimisation did is seen too. It fails if a compiler found the
# closed form, vectorised the loop, made a specialised copy, or put the function elsewhere than at
# the start of a cache line.
#
# Exit: 0 all holds, 1 something does not, 77 (skip) on a machine whose code it cannot read.
#
# SPDX-License-Identifier: MIT
import re
import subprocess
import sys

FUNCTION = "kernel_sum_of_squares"
LINE = 64
# Per objdump file format: the multiplications of one loop round, branches, vector registers.
MACHINES = {
    "x86-64": (r"^imul|^mul", r"^j\w+\s", r"%[xyz]mm\d"),
    "aarch64": (r"^mul|^madd", r"^(b|b\.\w+|cbn?z|tbn?z)\s", r"\bv\d+\."),
}


def disassemble(objdump, program):
    text = subprocess.run([objdump, "-d", "--no-show-raw-insn", program],
                          check=True, capture_output=True, text=True).stdout
    machine = next((m for m in MACHINES if m in text.splitlines()[1]), None)
    return machine, text


def body_of(text, function):
    """The function's instructions as (address, text)."""
    start = re.search(rf"^[0-9a-f]+ <{function}>:\n", text, re.M)
    if not start:
        return []
    block = text[start.end():].split("\n\n", 1)[0]
    lines = re.findall(r"^\s*([0-9a-f]+):\s+(.*)$", block, re.M)
    return [(int(address, 16), code.strip()) for address, code in lines]


def loops_in(body, is_branch):
    """Instruction lists between the target of a backward jump and the jump."""
    loops = []
    for address, code in body:
        target = re.search(r"\b(?:0x)?([0-9a-f]+) <", code)
        if re.match(is_branch, code) and target and body[0][0] <= int(target[1], 16) <= address:
            loops.append([c for a, c in body if int(target[1], 16) <= a <= address])
    return loops


def faults_of(text, machine):
    multiply, branch, vector = MACHINES[machine]
    copies = re.findall(rf"^[0-9a-f]+ <({FUNCTION}\.\S+)>:", text, re.M)
    body = body_of(text, FUNCTION)
    loops = [l for l in loops_in(body, branch) if any(re.match(multiply, c) for c in l)]
    if not body:
        yield f"there is no function {FUNCTION}"
        return
    if copies:
        yield f"the compiler made specialised copies: {', '.join(copies)}"
    if not loops:
        yield "there is no loop with a multiplication: the work was optimised away"
    if any(len([c for c in l if re.match(multiply, c)]) > 1 for l in loops):
        yield "one round of the loop multiplies more than once: it was unrolled"
    if any(re.search(vector, c) for _, c in body):
        yield "the loop was vectorised"
    if body[0][0] % LINE:
        yield f"it starts at {body[0][0]:#x}, not on a cache line of {LINE} bytes"


def main():
    objdump, program = sys.argv[1:]
    machine, text = disassemble(objdump, program)
    if machine is None:
        print("skipped: no patterns for this machine's code")
        return 77
    faults = list(faults_of(text, machine))
    for fault in faults:
        print(f"{FUNCTION}: {fault}")
    if faults:
        print("\n".join(f"  {a:x}: {c}" for a, c in body_of(text, FUNCTION)))
        return 1
    print(f"{FUNCTION}: a scalar loop with one multiplication, on a cache line ({machine})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
