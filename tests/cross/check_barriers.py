#!/usr/bin/env python3
"""Compiles the lock-free functions for aarch64 and compares their barriers with a table.

usage: check_barriers.py COMPILER OBJDUMP ROOT

The table has, for each function of probes.c, the instructions with an order that ARMv8.1 needs for it, no more and no
less: a missing one is a bug on such a machine, one too many costs without need. The same table holds for ARMv8.0,
where an atomic operation is a pair of exclusive accesses. What has no order (ldr, str, ldxr) is not counted.
Each function is also compiled with all orders weakened and all made seq_cst, and the check must see both.
"""
import collections
import os
import re
import subprocess
import sys
import tempfile

# Function: its instructions. `cas` without a letter is relaxed; a acquires, l releases, al does both.
EXPECTED = {
    'push': 'ldar stlr',                      # D6 on the cold path, D1
    'pop': 'stlr dmb casal stlr stlr',        # D3, D7, D5 for the last one, D3 in two branches
    'steal': 'ldar dmb ldar ldar casal',      # D6, D8, D2, D4b, D5
    'steal_half': 'ldar ldar ldar casal',     # D6, D2, D4b, D5
    'take_if_oldest': 'ldar casal',           # D6, D5
    'take': 'ldar casal',                     # D6, D5
    'is_empty': 'ldar ldar',                  # D6, D2
    'bottom': '',                             # its own field
    'lane_push': 'stlr ldar',                 # L1, L6
    'lane_pop': 'stlr ldar',                  # L3, L4
    'cancel': 'ldar casa',                    # F3, F1
    'start_posted': 'ldar casal',             # F3, F11
    'post': 'ldar casal',                     # F3, F10
    'end': 'ldar casa',                       # F3, F1
    'complete': 'ldar casal',                 # F3, F2
    'wait': 'ldsetal',                        # F4
    'is_done': 'ldar',                        # F3
    'retain': 'cas',                          # a count
    'release': 'ldar casl ldar',              # F3, F5, F3 for the last one
    'try_search': 'ldar casal',               # S4, S3
    'announce': 'ldar casal',                 # S4, S3
    'wants_worker': 'ldar',                   # S4
    'leave': 'ldar casal',                    # S4, S3
}
FLAGS = ['-std=gnu11', '-O2', '-D_GNU_SOURCE', '-DNDEBUG', '-DFILCH_BUILDING=1', '-fno-ipa-icf',
         '-Wno-unused-function', '-Wp,-w']
MARCHES = ['armv8.1-a', 'armv8-a']
ORDERED = re.compile(r'^(ldar|ldapr|stlr|dmb|dsb|isb|ldaxr|ldxr|stlxr|stxr|ldaxp|stlxp|(?:cas|swp|ldadd|ldset|ldclr|ldeor)(?:al|a|l)?)[bh]?$')
FUNCTION = re.compile(r'^[0-9a-f]+ <(?:probe_)?(\w+?)(?:\.[\w.]+)?>:$')


def disassemble(compiler, objdump, root, march, more=()):
    """{function: [ordered instructions]} of probes.c."""
    with tempfile.TemporaryDirectory() as folder:
        target = os.path.join(folder, 'probes.o')
        subprocess.run([compiler, *FLAGS, '-march=' + march, '-mno-outline-atomics', *more, '-I', os.path.join(root, 'include'),
                        '-I', os.path.join(root, 'runtime'), '-c', '-o', target,
                        os.path.join(root, 'tests', 'cross', 'probes.c')], check=True)
        text = subprocess.run([objdump, '-d', '--no-show-raw-insn', target], check=True, capture_output=True, text=True).stdout
    found, current = {}, None
    for line in text.split('\n'):
        start = FUNCTION.match(line)
        if start and start.group(1) in EXPECTED:
            current = found.setdefault(start.group(1), [])
        elif line.endswith('>:'):
            current = None
        parts = line.split('\t')
        if current is None or len(parts) < 2:
            continue
        name = parts[1].strip()
        if ORDERED.match(name):
            current.append(name)
        if name == 'dmb' and parts[2].strip() != 'ish':
            current.append('dmb ' + parts[2].strip())
    return found


def pairs(word):
    """What an atomic operation is on ARMv8.0."""
    match = re.match(r'^(cas|ldset)(al|a|l)?$', word)
    if not match:
        return [word]
    order = match.group(2) or ''
    return ['ldaxr' if 'a' in order else 'ldxr', 'stlxr' if 'l' in order else 'stxr']


def faults(found, march):
    """What differs from the table."""
    for name, words in EXPECTED.items():
        expected = words.split()
        if march == 'armv8-a':
            expected = [part for word in expected for part in pairs(word)]
        if name not in found:
            yield '%s: %s is not there' % (march, name)
        elif collections.Counter(found[name]) != collections.Counter(expected):
            yield '%s: %s has [%s], not [%s]' % (march, name, ' '.join(found[name]), ' '.join(expected))


def main():
    compiler, objdump, root = sys.argv[1:4]
    errors = []
    for march in MARCHES:
        errors += faults(disassemble(compiler, objdump, root, march), march)
        strong = list(faults(disassemble(compiler, objdump, root, march, ['-DFILCH_ATOMICS_SEQ_CST=1']), march))
        weak = list(faults(disassemble(compiler, objdump, root, march, ['-D__ATOMIC_ACQUIRE=0', '-D__ATOMIC_RELEASE=0',
                                                                        '-w']), march))
        print('%s: %d functions; %d differ with stronger orders, %d with weaker ones' % (
            march, len(EXPECTED), len(strong), len(weak)))
        if len(strong) < 3 or len(weak) < 15:
            errors.append('%s: the check does not see other orders' % march)
    for error in errors:
        print(error)
    return 1 if errors else 0


if __name__ == '__main__':
    sys.exit(main())
