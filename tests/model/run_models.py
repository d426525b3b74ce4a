#!/usr/bin/env python3
"""Verifies the Promela models of this folder with spin, all states of each, and looks whether each seeded fault is found.

usage: run_models.py [--jobs N] [--keep FOLDER] [MODEL...]

A model says in its first comment what is to be done with it:

 * CHECK safety               assertions, and ends where somebody still waits
 * CHECK progress             no fair run goes on for ever without passing a `progress` label
 * CHECK safety N=2 MAX=2     with these names defined: several bounds of one model
 * FAULT 3 forget_fence: what would be changed in the source

and selects fault n by `#if FAULT == n`. Of the model without a fault all checks must hold, no search may be cut short,
and every statement must be reached in one of the checks, but for those whose line says `unreached: why` (else it
holds because nothing happens in it). Of each fault one of the checks must fail, and not by running out of anything.

Standard output is TAP, one line for each model and each fault, then a table. Progress goes to standard error."""
import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
DEPTH = 20_000
MEGABYTES = 2000
CHECKS = {
    # cc's options, and those of the verifier: -n would leave out the unreached statements
    'safety': (['-DSAFETY'], ['-m%d' % DEPTH]),
    'progress': (['-DNP', '-DNFAIR=4'], ['-m%d' % DEPTH, '-l', '-f']),
}


class Model:
    def __init__(self, path):
        self.path = path
        self.name = path.stem
        text = path.read_text()
        head = text[:text.index('*/')]
        self.checks = [tuple(line.split()) for line in re.findall(r'^ \* CHECK (.+?)(?: \*/)?$', head, re.M)]
        self.faults = [(int(n), name) for n, name in re.findall(r'^ \* FAULT (\d+) (\w+): \S', head, re.M)]
        self.lines = text.splitlines()
        used = {int(n) for n in re.findall(r'FAULT\s*[!=]=\s*(\d+)', text[len(head):])}
        if not self.checks or {c[0] for c in self.checks} - set(CHECKS):
            raise SystemExit(f'{path}: no CHECK, or an unknown one')
        if [n for n, _ in self.faults] != list(range(1, len(self.faults) + 1)) or used != {n for n, _ in self.faults}:
            raise SystemExit(f'{path}: the faults of the first comment are not those of the model')


class Outcome:
    def __init__(self):
        self.errors = self.states = 0
        self.seconds = 0.0
        self.problem = None
        self.found = ''
        self.unreached = set()


def tool(command, folder, seconds):
    return subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True, timeout=seconds, check=False)


def verify(model, check, fault, folder):
    """One search. Without a fault a problem is whatever makes it less than exhaustive."""
    outcome = Outcome()
    options, arguments = CHECKS[check[0]]
    folder.mkdir(parents=True)
    begin = time.monotonic()
    spin = tool(['spin', '-a', f'-DFAULT={fault}', *('-D' + d for d in check[1:]), str(model.path)], folder, 60)
    if spin.returncode != 0 or not (folder / 'pan.c').exists():
        outcome.problem = 'spin: ' + spin.stdout.strip()
        return outcome
    cc = tool(['gcc', '-O0' if fault else '-O1', '-w', f'-DMEMLIM={MEGABYTES}',
               '-DCOLLAPSE', *options, '-o', 'pan', 'pan.c'], folder, 120)
    if cc.returncode != 0:
        outcome.problem = 'gcc: ' + cc.stdout.strip()
        return outcome
    pan = tool(['./pan', *arguments], folder, 600)
    outcome.seconds = time.monotonic() - begin
    text = pan.stdout
    errors, states = re.search(r'errors: (\d+)', text), re.search(r'(\d+) states, stored', text)
    if errors is None or states is None:
        outcome.problem = 'pan: ' + text.strip()[-400:]
        return outcome
    outcome.errors, outcome.states = int(errors[1]), int(states[1])
    found = re.search(r'pan:1: (.*?)(?: \(at depth|$)', text, re.M)
    outcome.found = found[1] if found else ''
    cut = re.search(r'.*(?:max search depth too small|out of memory|reached -DMEMLIM|Search not completed|'
                    r'VECTORSZ|too many|hash conflicts resolved by bits).*', text)
    if cut and not (outcome.errors and 'Search not completed' in cut[0]):
        outcome.problem = 'the search was cut short: ' + cut[0].strip()
    if pan.returncode not in (0, 1) and outcome.errors == 0:
        outcome.problem = f'pan ended with {pan.returncode}'
    outcome.unreached = unreached_lines(text, tool(['./pan', '-d', '-d'], folder, 60).stdout) if not fault else set()
    return outcome


def unreached_lines(text, table):
    """An inline stands in several places: its line is unreached where none of its copies was reached."""
    process, copies, unreached = '', {}, {}
    for line in table.splitlines():
        head, at = re.match(r'(?:proctype (\S+)|init$)', line), re.match(r'\s+state\s+(\d+) .*?\.pml:(\d+) =>', line)
        if head:
            process = head[1] or 'init'
        elif at:
            copies.setdefault(int(at[2]), set()).add((process, at[1]))
    for line in text.splitlines():
        head = re.match(r'unreached in (?:proctype (\S+)|(init))', line)
        at = re.match(r'\s+\S*?\.pml:(\d+), state (\d+), "(.*)"$', line)
        if head:
            process = head[1] or 'init'
        elif at and at[3] != '-end-':
            unreached.setdefault(int(at[1]), {})[process, at[2]] = at[3]
    return {(line, next(iter(states.values()))) for line, states in unreached.items()
            if copies.get(line, set()) <= set(states)}


def is_excused(model, place):
    line, _ = place
    return 'unreached:' in model.lines[line - 1]


class Progress:
    def __init__(self, total):
        self.total, self.done, self.lock = total, 0, threading.Lock()

    def step(self, what):
        with self.lock:
            self.done += 1
            print(f'[{self.done}/{self.total}] {what}', file=sys.stderr, flush=True)


def judge_model(model, outcomes):
    """None, or what is wrong."""
    for check, outcome in outcomes:
        if outcome.problem:
            return f'{check}: {outcome.problem}'
        if outcome.errors:
            return f'{check}: {outcome.found}'
    unreached = set.intersection(*(o.unreached for _, o in outcomes))
    left = sorted(p for p in unreached if not is_excused(model, p))
    if left:
        return 'never reached: ' + '; '.join(f'line {line}: {what}' for line, what in left[:8])
    return None


def judge_fault(outcomes):
    for check, outcome in outcomes:
        if outcome.errors:
            return None, f'{check}: {outcome.found}'
    problems = [f'{c}: {o.problem}' for c, o in outcomes if o.problem]
    return (problems[0] if problems else 'not found'), ''


def run(model, fault, name, root, progress):
    outcomes = []
    for number, check in enumerate(model.checks):
        outcome = verify(model, check, fault, root / f'{model.name}-{fault}-{number}')
        outcomes.append((' '.join(check), outcome))
        if fault and outcome.errors:
            break
    progress.step(f'{model.name}' + (f': {name}' if fault else ''))
    return model, fault, name, outcomes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--jobs', type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument('--keep', help='leave the verifiers and trails in this folder')
    parser.add_argument('models', nargs='*')
    options = parser.parse_args()
    for program in ('spin', 'gcc'):
        if shutil.which(program) is None:
            raise SystemExit(f'run_models.py: {program} is missing: apt-get install spin gcc')
    models = [Model(p) for p in sorted(HERE.glob('*.pml')) if not options.models or p.stem in options.models]
    if not models or {m.name for m in models} < set(options.models):
        raise SystemExit('run_models.py: there is no such model')
    if options.keep:
        return report(models, pathlib.Path(options.keep).resolve(), options.jobs)
    with tempfile.TemporaryDirectory() as folder:
        return report(models, pathlib.Path(folder), options.jobs)


def report(models, root, jobs):
    work = [(m, n, name) for m in models for n, name in [(0, '')] + m.faults]
    progress, failed, rows = Progress(len(work)), 0, []
    print(f'TAP version 13\n1..{len(work)}', flush=True)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        tests = [pool.submit(run, m, n, name, root, progress) for m, n, name in work]
        for number, test in enumerate(tests, 1):
            model, fault, name, outcomes = test.result()
            if fault:
                wrong, how = judge_fault(outcomes)
            else:
                wrong, how = judge_model(model, outcomes), f'{sum(o.states for _, o in outcomes)} states'
            failed += wrong is not None
            what = f'{model.name}: ' + (f'finds {name}' if fault else 'holds')
            print(f'{"not ok" if wrong else "ok"} {number} - {what}', flush=True)
            if wrong:
                print('# ' + wrong.replace('\n', '\n# '), flush=True)
            rows.append((model.name, name or '(none)', len(outcomes),
                         sum(o.states for _, o in outcomes), sum(o.seconds for _, o in outcomes),
                         'FAILED' if wrong else how))
    table(rows)
    print(f'# {len(models)} models, {len(work) - len(models)} faults, {failed} failed')
    return 1 if failed else 0


def table(rows):
    print(f'# {"model":<12}{"fault":<34}{"checks":>7}{"states":>10}{"seconds":>9}  outcome')
    for model, name, checks, states, seconds, how in rows:
        print(f'# {model:<12}{name:<34}{checks:>7}{states:>10}{seconds:>9.1f}  {how}')


if __name__ == '__main__':
    sys.exit(main())
