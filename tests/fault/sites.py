#!/usr/bin/env python3
"""Holds the places of the runtime that can fail against those that a sweep has made to fail.

usage: sites.py PROGRAM SITES...

PROGRAM is fault-sweep, SITES what it wrote with --sites. A place is a line of the runtime with a call of a function of
the seam, which is one that asks filch__fault_at; the calls are read from the program with objdump, so that none can be
forgotten. A call at the end of a function is a jump: then the places are those from which that function is called.
Fails where a place that asked was never made to fail, or was never reached, and is not listed in EXEMPT with its reason.
"""
import collections
import re
import subprocess
import sys

ASK = 'filch__fault_at'
FUNCTION = re.compile(r'^([0-9a-f]+) <([^>]+)>:$')
CALL = re.compile(r'^\s*([0-9a-f]+):\s+(call|jmp)q?\s+[0-9a-f]+ <([^>+]+)>\s*$')
CALL_ANY = re.compile(r'^\s*([0-9a-f]+):')

# file, text of the line: why the sweep does not make it fail.
EXEMPT = {
    ('runtime/process/work.c', 'if (size > JOB_ROOM)'): 'what stands in a message is not so large',
    ('runtime/process/zygote.c', 'filch__server_nap(0)'): 'a full socket besides: the nap is too short to wait for',
    ('runtime/process/serve.c', 'filch__futex_wait(&nobody'): 'a nap: it ends at its time, or before',
    ('runtime/process/shutdown.c', 'filch__futex_wait(&p->joined'): 'while another thread joins: by chance only',
    ('runtime/process/family.c', 'struct filch__later *later'): 'a full ring besides',
}


def run(*command, text=None):
    return subprocess.run(command, input=text, stdout=subprocess.PIPE, check=True, universal_newlines=True).stdout


def plain(name):
    """gcc's copies of a function have a suffix."""
    return re.sub(r'\.(isra|constprop|part|cold)(\.\d+)?', '', name)


def calls_of(program):
    """{callee: [(caller, return address, whether it is a jump)]}"""
    calls = collections.defaultdict(list)
    caller, waiting = None, None
    for line in run('objdump', '-d', '--no-show-raw-insn', program).split('\n'):
        head = FUNCTION.match(line)
        if head:
            caller, waiting = plain(head.group(2)), None
            continue
        instruction = CALL_ANY.match(line)
        if waiting and instruction:
            calls[waiting].append((caller, int(instruction.group(1), 16), False))
            waiting = None
        call = CALL.match(line)
        if not call or plain(call.group(3)) == caller:
            continue
        if call.group(2) == 'call':
            waiting = plain(call.group(3))
        else:
            calls[plain(call.group(3))].append((caller, int(call.group(1), 16), True))
    return calls


def sites_of(calls):
    """{return address: (function of the seam, caller)}"""
    seam, sites, done = {caller for caller, _, _ in calls[ASK]}, {}, set()
    while seam - done:
        function = min(seam - done)
        done.add(function)
        for caller, address, jump in calls[function]:
            if jump:
                seam.add(caller)
            else:
                sites[address] = (function, caller)
    return sites


def lines_of(program, addresses):
    """{address: 'runtime/x.c:12'} of the calls before the addresses."""
    text = run('addr2line', '-e', program, text=''.join('%x\n' % (address - 1) for address in addresses))
    lines = [re.sub(r'^.*/(runtime/)', r'\1', line.split(' ')[0]) for line in text.strip().split('\n')]
    return dict(zip(addresses, lines))


def reason_for(line):
    path, number = line.split(':')
    with open(path, encoding='utf-8') as file:
        text = file.read().split('\n')[int(number) - 1]
    return next((why for (where, part), why in EXEMPT.items() if where == path and part in text), None)


def main():
    program, faults, points = sys.argv[1], collections.Counter(), 0
    for path in sys.argv[2:]:
        with open(path, encoding='utf-8') as file:
            for line in file:
                address, _, _, failed = line.split()
                faults[int(address, 16)] += int(failed)
    sites = sites_of(calls_of(program))
    line_of = lines_of(program, sorted(set(sites) | set(faults)))
    reached, missed = set(), {}
    for address in sorted(line_of):
        if faults[address]:
            reached.add(line_of[address])
    for address, (function, caller) in sites.items():
        line = line_of[address]
        if line.startswith('runtime/') and line not in reached:
            missed[line] = (function, caller)
    bad = 0
    for line, (function, caller) in sorted(missed.items()):
        why = reason_for(line)
        bad += why is None
        print('%s %s in %s: %s' % (line, function, caller, why or 'was never made to fail'))
    print('sites: %d lines of the runtime were made to fail, %d were not, %d of these without a reason' %
          (len(reached), len(missed), bad))
    return 1 if bad or not reached else 0


if __name__ == '__main__':
    sys.exit(main())
