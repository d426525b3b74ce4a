#!/usr/bin/env python3
"""Weakens each atomic operation that the explorer meets, one at a time, and shows which of them it misses.

usage: mutate.py EXPLORE [SCENARIO...] [--files WORDS] [--seconds N] [--jobs N] [--survivors FILE] [--all] [--write] [--new]
                  [--argued]
       mutate.py EXPLORE --check [--jobs N]

EXPLORE is the program: build/tests/explore/explore, or build/tests/relacy/relacy, which has the same scenarios (and
--survivors tests/relacy/survivors.txt). A first run of each scenario without a change lists the operations
of runtime/ and include/ that it meets (no others are changed). Each operation is then made weaker by one step:

    seq_cst -> acq_rel (an operation), release (a store), acquire (a load)     acq_rel -> acquire, and -> release
    acquire, release -> relaxed                                                 a fence -> none

and the scenarios that meet it run until one fails (killed) or all have passed (survived). --seconds: for each search of
each scenario. --files: only operations of files whose path contains one of these words (with commas).

Survivors that are argued to be equivalent, or that the model cannot show, stand in `survivors.txt` beside this file (and
in FILE), one a line: FILE FUNCTION NAME=ORDER LABEL: reason. Where a function has several such operations LABEL ends in
#2, #3. `killers.txt` has a line for each mutant that is killed: FILE FUNCTION NAME=ORDER LABEL: scenario. --write adds to
it. --new: only mutants that stand in neither file; --argued: only those of survivors.txt, which must survive again.

--check is quick: each mutant of the files that killers.txt names must stand in one of the two files, and the scenario that
is known to kill it must do so again.

Exit status 1: a mutant is neither killed nor argued, or one that is argued was killed; with --check also: a scenario has
stopped killing what it is known to kill, or a line of either file fits no operation.
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


def lines_of(path, cache={}):
    if path not in cache:
        with open(os.path.join(ROOT, path), encoding='utf-8') as file:
            cache[path] = file.read().split('\n')
    return cache[path]


def label_of(path, line):
    """The labels of the operation of that line: in its comment, or in that of one of the next two lines."""
    lines = lines_of(path)
    for text in [lines[line - 1]] + lines[line:line + 2] + [lines[line - 2]]:
        found = LABEL.findall(text)
        if found:
            return ','.join(dict.fromkeys(found))
    return '-'


def function_of(path, line):
    """The name of the function that the line is in."""
    for text in reversed(lines_of(path)[:line]):
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


class Mutant:
    """One operation with a weaker order; `key` names it without its line, `scenarios` meet it."""

    def __init__(self, path, line, name, order, scenarios):
        self.path, self.line, self.name, self.order, self.scenarios = path, line, name, order, scenarios
        self.key = (path, function_of(path, line), '%s=%s' % (name, order), label_of(path, line))

    def runs(self, program, scenario, seconds):
        """Why the scenario kills it, or None."""
        code, output = run(program, [scenario], seconds,
                           ['--weaken', '%s:%s:%s=%s' % (self.path, self.line, self.name, self.order)])
        if code == 0:
            return None
        why = re.search(r'^# (.*)$', output, re.MULTILINE)
        return '%s: %s' % (scenario, why.group(1) if why else code)

    def verdict(self, program, seconds):
        """(the scenario that kills it or None, why)"""
        for scenario in self.scenarios:
            why = self.runs(program, scenario, seconds)
            if why is not None:
                return scenario, why
        return None, ''

    def __str__(self):
        return '%s:%d %s %s %s' % ((self.path, self.line) + self.key[1:])


def number(mutants):
    """Tells those apart that have the same function, operation and label."""
    seen = {}
    for mutant in mutants:
        count = seen[mutant.key] = seen.get(mutant.key, 0) + 1
        if count > 1:
            mutant.key = mutant.key[:3] + ('%s#%d' % (mutant.key[3], count),)


def read_list(name):
    """{key: the rest of the line}"""
    path, known = os.path.join(HERE, name), {}
    if os.path.exists(path):
        with open(path, encoding='utf-8') as file:
            for line in file:
                words = line.split(None, 4)
                if len(words) == 5 and not line.startswith('#'):
                    known[(words[0], words[1], words[2], words[3].rstrip(':'))] = words[4].strip()
    return known


def mutants_of(program, scenarios, words, jobs):
    def sites_of(scenario):
        code, output = run(program, [scenario], 60, ['--random', '--executions', '1000', '--sites'])
        if code != 0:
            sys.exit('mutate: %s fails without a change:\n%s' % (scenario, output))
        return set(SITE.findall(output))

    met = {}
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for scenario, sites in zip(scenarios, pool.map(sites_of, scenarios)):
            for path, line, name, order in sites:
                if any(word in path for word in words):
                    met.setdefault((path, int(line), name, order), []).append(scenario)
    mutants = [Mutant(path, line, name, low, met[(path, line, name, order)])
               for path, line, name, order in sorted(met) for low in weaker(name, order)]
    number(mutants)
    return mutants


def write_killers(killers):
    with open(os.path.join(HERE, 'killers.txt'), 'w', encoding='utf-8') as file:
        file.write('# Mutants that a scenario kills (mutate.py). FILE FUNCTION NAME=ORDER LABEL: scenario\n')
        for key in sorted(killers):
            file.write('%s %s %s %s: %s\n' % (key + (killers[key],)))


def search(program, mutants, options):
    """The whole search. Exit status."""
    argued, killers = read_list('survivors.txt'), read_list('killers.txt')
    for path in options.survivors:
        argued.update(read_list(os.path.abspath(path)))
    if options.new:
        mutants = [m for m in mutants if m.key not in argued and m.key not in killers]
    if options.argued:
        mutants = [m for m in mutants if m.key in argued]
    counts, wrong, files = {'killed': 0, 'argued': 0, 'survived': 0}, 0, {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        verdicts = pool.map(lambda m: m.verdict(program, options.seconds), mutants)
        for mutant, (killer, why) in zip(mutants, verdicts):
            expected = mutant.key in argued
            word = 'killed' if killer else 'argued' if expected else 'survived'
            counts[word] += 1
            files.setdefault(mutant.path, {'killed': 0, 'argued': 0, 'survived': 0})[word] += 1
            wrong += word == 'survived' or (expected and word == 'killed')
            if killer:
                killers[mutant.key] = killer
            if options.all or word == 'survived' or expected:
                print('%-8s %s%s%s' % (word, mutant, ' (argued)' if expected and killer else '',
                                       ' by ' + why if why else ''), flush=True)
    if options.write:
        write_killers(killers)
    for path in sorted(files):
        print('%s: %s' % (path, ', '.join('%d %s' % (n, word) for word, n in files[path].items())))
    print('%d mutants: %s' % (len(mutants), ', '.join('%d %s' % (n, word) for word, n in counts.items())))
    return 1 if wrong else 0


def check(program, mutants, options):
    """Each mutant is argued, or killed by the scenario that is known for it. Exit status."""
    argued, killers = read_list('survivors.txt'), read_list('killers.txt')
    wrong, by_key = [], {mutant.key: mutant for mutant in mutants}
    for key in list(argued) + list(killers):
        if key not in by_key:
            wrong.append('no such operation was met: %s %s %s %s' % key)
        elif key in argued and key in killers:
            wrong.append('both argued and killed: %s' % by_key[key])
    wrong += ['neither killed nor argued: %s' % m for m in mutants if m.key not in argued and m.key not in killers]
    known = [m for m in mutants if m.key in killers]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        # As long as it takes: which interleaving kills it is fixed, how many there are in a second is not.
        verdicts = pool.map(lambda m: m.runs(program, killers[m.key], 60), known)
        wrong += ['%s kills it no more: %s' % (killers[m.key], m) for m, why in zip(known, verdicts) if why is None]
    print('\n'.join(sorted(set(wrong)) + ['%d mutants: %d killed, %d argued, %d wrong' % (
        len(mutants), len(known), sum(m.key in argued for m in mutants), len(set(wrong)))]))
    return 1 if wrong else 0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('program')
    parser.add_argument('scenarios', nargs='*')
    parser.add_argument('--files', default='')
    parser.add_argument('--seconds', type=float, default=2)
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--survivors', action='append', default=[])
    parser.add_argument('--all', action='store_true', help='the killed ones as well')
    parser.add_argument('--write', action='store_true', help='note who kills what in killers.txt')
    parser.add_argument('--new', action='store_true', help='only what stands in no list')
    parser.add_argument('--argued', action='store_true', help='only what stands in survivors.txt')
    parser.add_argument('--check', action='store_true', help='only what is known to be killed')
    options = parser.parse_args()
    program = os.path.abspath(options.program)
    listed = subprocess.run([program, '--list'], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    scenarios = [s for s in listed if not s.startswith('litmus') and
                 (not options.scenarios or any(s == w or s.startswith(w + '_') for w in options.scenarios))]
    words = options.files.split(',')
    if options.check:
        killers = read_list('killers.txt')
        words = sorted({key[0] for key in list(killers) + list(read_list('survivors.txt'))})
    mutants = mutants_of(program, scenarios, words, options.jobs)
    return (check if options.check else search)(program, mutants, options)


if __name__ == '__main__':
    sys.exit(main())
