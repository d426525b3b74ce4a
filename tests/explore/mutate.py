#!/usr/bin/env python3
"""Weakens each atomic operation that the explorer meets, one at a time, and shows which of them it misses.

usage: mutate.py EXPLORE [SCENARIO...] [--files WORD] [--seconds N] [--jobs N]
                 [--survivors FILE] [--all]

EXPLORE is the program: build/tests/explore/explore, or build/tests/relacy/relacy, which has the same scenarios (and
--survivors tests/relacy/survivors.txt). A first run without a change lists the operations of
runtime/ and include/ (no others are changed). Each is then made weaker by one step:

    seq_cst -> acq_rel (an operation), release (a store), acquire (a load)     acq_rel -> acquire, and -> release
    acquire, release -> relaxed                                                 a fence -> none

and the scenarios run until one fails (killed) or all have passed (survived). --seconds: for each search of each
scenario. Survivors that are argued to be equivalent, or that the model cannot show, stand in `survivors.txt`
beside this file (and in FILE), one a line: FILE FUNCTION NAME=ORDER LABEL: reason. Exit status 1: another one has survived, or one that stands
there was killed.
"""
import argparse
import concurrent.futures
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
SURVIVORS = [os.path.join(HERE, 'survivors.txt')]
ROOT = os.path.dirname(os.path.dirname(HERE))
SITE = re.compile(r'^# site ((?:runtime|include)/\S+?):(\d+):(\w+) (\w+)$', re.MULTILINE)
LABEL = re.compile(r'\b([A-Z][0-9]+[a-z]?)\s*(?:<->|->|<-)')


def weaker(name, order):
    """The orders one step below."""
    if name.startswith('fence'):
        return ['none']
    if order == 'seq_cst':
        return {'load': ['acquire'], 'store': ['release']}.get(name.split('_')[0], ['acq_rel'])
    return {'acq_rel': ['acquire', 'release'], 'acquire': ['relaxed'], 'release': ['relaxed']}.get(order, [])


def label_of(path, line):
    """The labels of the operation of that line: in its comment, or in that of one of the next two lines."""
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        lines = file.read().split('\n')
    for text in [lines[line - 1]] + lines[line:line + 2] + [lines[line - 2]]:
        found = LABEL.findall(text)
        if found:
            return ','.join(dict.fromkeys(found))
    return '-'


def function_of(path, line):
    """The name of the function that the line is in."""
    with open(os.path.join(ROOT, path), encoding='utf-8') as file:
        lines = file.read().split('\n')
    for text in reversed(lines[:line]):
        found = re.match(r'[a-z][\w \t*]*?(\w+)\(', text)
        if found:
            return found.group(1)
    return '-'


def run(program, scenarios, seconds, extra):
    command = [program] + scenarios + ['--seconds', str(seconds)] + extra
    # A wrong order may make a scenario run wild: then its time is over, and it is killed as well.
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                              timeout=60 + 100 * seconds, check=False)
    except subprocess.TimeoutExpired:
        return 'time-out', ''
    return done.returncode, done.stdout


def verdict(program, scenarios, seconds, mutant):
    """(killed, by what)"""
    path, line, name, order = mutant
    # Scenario by scenario: the first that fails is enough.
    for scenario in scenarios:
        code, output = run(program, [scenario], seconds,
                           ['--weaken', '%s:%s:%s=%s' % (path, line, name, order)])
        if code != 0:
            why = re.search(r'^# (.*)$', output, re.MULTILINE)
            return True, '%s: %s' % (scenario, why.group(1) if why else code)
    return False, ''


def read_survivors(paths):
    known = set()
    for path in paths:
        with open(path, encoding='utf-8') as file:
            for line in file:
                words = line.split(None, 4)
                if len(words) == 5 and not line.startswith('#'):
                    known.add((words[0], words[1], words[2], words[3].rstrip(':')))
    return known


def mutants_of(program, scenarios, seconds, word):
    code, output = run(program, scenarios, seconds, ['--sites'])
    if code != 0:
        sys.exit('mutate: the scenarios fail without a change:\n' + output)
    sites = sorted({(path, int(line), name, order) for path, line, name, order in SITE.findall(output)
                    if word in path})
    return sites, [(path, line, name, low) for path, line, name, order in sites
                   for low in weaker(name, order)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('program')
    parser.add_argument('scenarios', nargs='*')
    parser.add_argument('--files', default='')
    parser.add_argument('--seconds', type=float, default=2)
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--survivors', action='append', default=[])
    parser.add_argument('--all', action='store_true', help='the killed ones as well')
    options = parser.parse_args()
    program = os.path.abspath(options.program)
    listed = subprocess.run([program, '--list'], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    scenarios = [s for s in listed if not s.startswith('litmus') and
                 (not options.scenarios or any(s == w or s.startswith(w + '_') for w in options.scenarios))]
    sites, mutants = mutants_of(program, scenarios, options.seconds, options.files)
    known, killed, argued, wrong = read_survivors(SURVIVORS + options.survivors), 0, 0, 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        verdicts = pool.map(lambda m: verdict(program, scenarios, options.seconds, m), mutants)
        for (path, line, name, order), (dead, why) in zip(mutants, verdicts):
            label = label_of(path, line)
            expected = (path, function_of(path, line), '%s=%s' % (name, order), label) in known
            killed += dead
            argued += expected and not dead
            wrong += expected == dead
            if options.all or not dead or expected:
                print('%-8s %s:%d %s %s=%s %s%s%s' % (
                    'killed' if dead else 'survived', path, line, function_of(path, line), name, order, label,
                    ' (argued)' if expected else '', ' by ' + why if why else ''), flush=True)
    print('%d operations, %d mutants: %d killed, %d argued, %d survived' %
          (len(sites), len(mutants), killed, argued, len(mutants) - killed - argued))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
