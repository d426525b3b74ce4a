#!/usr/bin/env python3
# kernel_check.py: the kernel in the finished benchmark is a loop that multiplies, and is aligned; and the
# sequential fib calls itself twice.
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
RECURSION = "fj_fib_call"
LINE = 64
# Per objdump file format: the multiplications of one loop round, branches, vector registers, calls.
MACHINES = {
    "x86-64": (r"^imul|^mul", r"^j\w+\s", r"%[xyz]mm\d", r"^call"),
    "aarch64": (r"^mul|^madd", r"^(b|b\.\w+|cbn?z|tbn?z)\s", r"\bv\d+\.", r"^bl\s"),
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
    multiply, branch, vector, _ = MACHINES[machine]
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


def faults_of_recursion(text, machine):
    """A loop in place of a call, or several levels in one function, would be less work than a fork of each."""
    _, branch, _, call = MACHINES[machine]
    body = body_of(text, RECURSION)
    calls = [c for _, c in body if re.match(call, c) and f"<{RECURSION}" in c]
    if len(calls) != 2:
        yield f"{len(calls)} calls of itself instead of 2"
    if re.search(rf"^[0-9a-f]+ <{RECURSION}\.\S+>:", text, re.M):
        yield "the compiler made specialised copies"
    if loops_in(body, branch):
        yield "there is a loop in it"


def main():
    objdump, program = sys.argv[1:]
    machine, text = disassemble(objdump, program)
    if machine is None:
        print("skipped: no patterns for this machine's code")
        return 77
    faults = list(faults_of(text, machine))
    for fault in faults:
        print(f"{FUNCTION}: {fault}")
    recursion = list(faults_of_recursion(text, machine))
    for fault in recursion:
        print(f"{RECURSION}: {fault}")
    for function in [FUNCTION] * bool(faults) + [RECURSION] * bool(recursion):
        print("\n".join(f"  {a:x}: {c}" for a, c in body_of(text, function)))
    if faults or recursion:
        return 1
    print(f"{FUNCTION}: a scalar loop with one multiplication, on a cache line ({machine})")
    print(f"{RECURSION}: two calls of itself")
    return 0


if __name__ == "__main__":
    sys.exit(main())
