#!/usr/bin/env python3
"""Everything but the long stress, within an hour on two CPUs: all of `./run test`, then the long forms.

usage: prove.py [--list] [--jobs N] [--without STEP] [WORD...]      WORD: only the steps whose names have one of the words in them

`./run prove` calls it when all is built. A step is a line of `steps()`: a new long form is one line there. Those that need
both CPUs run alone, the others two at a time. The output of each is in build/prove/; a table of figures comes last, and
`N passed, N failed` as the last line: cases of TAP where a step prints that, else the step.
"""
import argparse
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
PLAIN, LOGS = ROOT / 'build', ROOT / 'build' / 'prove'
EXPLORE = PLAIN / 'tests' / 'explore' / 'explore'
RELACY_PROGRAM = PLAIN / 'tests' / 'relacy' / 'relacy'
CASE = re.compile(r'^(not )?ok\b', re.MULTILINE)


class Step:
    """One long form. figures: pattern with groups -> text; its numbers are added up over the whole output."""

    def __init__(self, name, command, minutes, figures=None, alone=False, **environment):
        self.name, self.command, self.minutes, self.alone = name, [str(c) for c in command], minutes, alone
        self.figures, self.environment = figures or [], environment
        self.passed = self.failed = 0
        self.seconds, self.output, self.why = 0.0, '', ''


INTERLEAVINGS = [(r'^# (\d+) interleavings', '{} interleavings'),
                 (r'exhaustive: \d+ interleavings(?=(, all)?)', '{} exhaustive searches'),
                 (r'exhaustive: \d+ interleavings, all', '{} of them to their end')]
MUTANTS = [(r'^(\d+) mutants:', '{} mutants'), (r'mutants: (\d+) killed', '{} killed'),
           (r'mutants: \d+ killed, (\d+) argued', '{} argued'),
           (r'mutants: \d+ killed, \d+ argued, (\d+) (?:survived|wrong)', '{} open')]
RELACY_FIGURES = [(r'^# (\d+) executions', '{} executions')]
POINTS = [(r'^# (\d+) points', '{} points')]
MODELS = [(r'^# (\d+) models', '{} models'), (r'models, (\d+) faults', '{} faults')]
TESTS = [(r'^(\d+) passed, \d+ failed', '{} tests')]
COMBINATIONS = [(r'^# (\d+) combinations', '{} combinations')]
VARIANTS = [(r'^# (\d+) variants,', '{} variants'), (r'variants, (\d+) found', '{} found')]
KILLS = [(r'^# .*: killed at (\d+) points', 'killed at {} points'), (r'; (\d+) tasks lost', '{} tasks lost')]
FUZZ = [(r'number_of_executed_units: (\d+)', '{} executions')]

# Scenarios of whole executors.
WHOLE = ('pool_', 'fork_')
# Executions of each search at random, of scenarios of parts: 50 of them, two searches each, are 6 * 10^7, some 10^5 a second.
EXECUTIONS = 600_000
# Seconds: of an exhaustive search, of a search of whole executors (10^4 a second), of one under Relacy, of one of a mutant that
# is argued to be equivalent, of a fuzzer.
EXHAUSTIVE, EXECUTORS, RELACY, ARGUED, FUZZING = 40, 20, 10, 0.15, 100


def steps(seed):
    """All of them. A line is name, command, minutes that it may take; figures; environment."""
    program, san = PLAIN / 'tests', lambda kind: ROOT / 'build' / ('san-' + kind) / 'tests'
    parts, pools = scenarios()
    here = sys.executable
    return [
        Step('run test', [ROOT / 'run', 'test'], 50, TESTS, alone=True),
        Step('models', [here, ROOT / 'tests/model/run_models.py'], 10, MODELS, alone=True),
        *(Step('explore %s, exhaustive' % s, [EXPLORE, s, '--exhaustive', '--preemptions', 3, '--stale', 1,
                                              '--seconds', EXHAUSTIVE], 10, INTERLEAVINGS) for s in parts),
        *(Step('explore %s, %s' % (s, kind), [EXPLORE, s, '--' + kind, '--executions', EXECUTIONS, '--seed', seed],
               20, INTERLEAVINGS) for s in parts for kind in ('random', 'pct')),
        *(Step('explore %s, %s' % (s, kind), [EXPLORE, s, '--' + kind, '--seconds', EXECUTORS, '--seed', seed],
               10, INTERLEAVINGS) for s in pools for kind in ('random', 'pct')),
        *(Step('relacy %s' % s, [RELACY_PROGRAM, s, '--random', '--seconds', RELACY, '--seed', seed], 10, RELACY_FIGURES)
          for s in parts + pools),
        Step('mutants that are killed', [here, ROOT / 'tests/explore/mutate.py', EXPLORE, '--check', '--jobs', 1], 20, MUTANTS),
        Step('mutants that are argued', [here, ROOT / 'tests/explore/mutate.py', EXPLORE, '--argued', '--files', 'runtime,include',
                                         '--seconds', ARGUED, '--jobs', 1], 40, MUTANTS),
        Step('faults', [ROOT / 'run', 'faults', '--every', 12], 40, POINTS),
        Step('wrong variants', [here, ROOT / 'tests/variants/variants.py'], 40, VARIANTS, alone=True),
        Step('future matrix, all', [program / 'matrix-future_matrix'], 10, COMBINATIONS, FILCH_FUTURE_MATRIX='1'),
        *(Step('future matrix, %s sanitizer' % kind, plainly(san(kind) / 'matrix-future_matrix'), 10, COMBINATIONS,
               FILCH_FUTURE_MATRIX='23', ASAN_OPTIONS='halt_on_error=1', TSAN_OPTIONS='halt_on_error=1 die_after_fork=0')
          for kind in ('address', 'thread')),
        *(Step('fuzz ' + name, plainly(san('address') / 'fuzz' / ('fuzz-' + name),
                                       '-max_total_time=%d' % FUZZING, '-seed=%d' % seed, '-max_len=512', '-rss_limit_mb=0',
                                       '-print_final_stats=1'), 10, FUZZ) for name in ('calls', 'border', 'segments')),
        *(Step('killed at each instruction, %d/8' % part, [program / 'step' / 'step-process_step_test'], 10, KILLS, alone=True,
               FILCH_TEST_STEPS='each', FILCH_TEST_STEPS_PART='%d/8' % part) for part in range(1, 9)),
        Step('1000 kills', [program / 'api-process_kills_test'], 10, alone=True, FILCH_TEST_KILLS='1000'),
        *(Step('%s, %d times as long' % (name, times), [program / name], 10, alone=True, FILCH_STRESS=str(times))
          for name, times in (('stress-workloads_test', 3), ('unit-deque_test', 5), ('unit-sleep_test', 5),
                              ('unit-hub_test', 5), ('unit-slab_test', 5), ('unit-lane_test', 5), ('api-future_test', 5),
                              ('api-set_test', 5), ('api-shutdown_test', 5), ('api-combine_test', 5))),
    ]


def scenarios():
    """(those of parts, those of whole executors); litmus tests are part of `run test`."""
    if not EXPLORE.exists():
        raise SystemExit('prove: there is no %s: ./run build' % EXPLORE)
    names = subprocess.run([str(EXPLORE), '--list'], stdout=subprocess.PIPE, text=True, check=True).stdout.split()
    names = [n for n in names if not n.startswith('litmus')]
    return [n for n in names if not n.startswith(WHOLE)], [n for n in names if n.startswith(WHOLE)]


def plainly(program, *words):
    """Sanitizers want little randomness in the layout of memory."""
    possible = subprocess.run(['setarch', '-R', 'true'], stderr=subprocess.DEVNULL, check=False).returncode == 0
    return (['setarch', '-R'] if possible else []) + [program, *words]


# Running them ------------------------------------------------------------------------------------


def run(step):
    begin = time.monotonic()
    log = LOGS / (re.sub(r'\W+', '-', step.name) + '.log')
    # What a step leaves in its folder, such as a fuzzer's input that failed, lies beside its output.
    with open(log, 'w', encoding='utf-8') as file:
        try:
            process = subprocess.Popen(step.command, cwd=LOGS, env={**os.environ, **step.environment}, stdout=file,
                                       stdin=subprocess.DEVNULL, stderr=subprocess.STDOUT, start_new_session=True)
            code = process.wait(60 * step.minutes)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, 9)
            code = process.wait()
            step.why = 'not over in %d minutes' % step.minutes
        except OSError as error:
            code, step.why = 1, str(error)
    step.output = log.read_text(encoding='utf-8', errors='replace')
    step.seconds = time.monotonic() - begin
    judge(step, code)


def judge(step, code):
    """Cases of TAP, the numbers of `run test`, or the step itself; one failure more if its status says so."""
    total = re.search(r'^(\d+) passed, (\d+) failed', step.output, re.MULTILINE)
    cases = CASE.findall(step.output) if re.search(r'^TAP version', step.output, re.MULTILINE) else []
    step.failed = int(total[2]) if total else sum(c != '' for c in cases)
    step.passed = int(total[1]) if total else len(cases) - step.failed
    if code != 0 and step.failed == 0:
        step.failed = 1
        step.why = step.why or 'exit status %d' % code
    elif not total and not cases:
        step.passed = 1


def figures_of(step_or_steps):
    """The figures of steps of one kind, as text."""
    listed = step_or_steps if isinstance(step_or_steps, list) else [step_or_steps]
    words = []
    for pattern, form in listed[0].figures:
        found = [m for s in listed for m in re.finditer(pattern, s.output, re.MULTILINE)]
        numbers = [int(m.group(1)) if m.groups() and (m.group(1) or '').isdigit() else 1 for m in found]
        if sum(numbers) or 'open' in form:
            words.append(form.format(sum(numbers)))
    return ', '.join(words)


class Progress:
    def __init__(self, total):
        self.total, self.done, self.lock, self.begin = total, 0, threading.Lock(), time.monotonic()

    def step(self, step):
        run(step)
        with self.lock:
            self.done += 1
            state = 'ok' if not step.failed else 'FAILED'
            print('[%d/%d, %d min] %s: %s, %.0f s%s' % (
                self.done, self.total, (time.monotonic() - self.begin) / 60, step.name, state, step.seconds,
                ': ' + figures_of(step) if step.figures else ''), flush=True)


KINDS = [(r'^explore (pool|fork)_.*', 'explore executors, at random'),
         (r'^explore .*, exhaustive$', 'explore parts, exhaustive'),
         (r'^explore .*', 'explore parts, at random'),
         (r'^relacy .*', 'relacy, at random'),
         (r', \d+/8$', ''),
         (r', \d+ times as long$', '')]


def kind_of(step):
    """What a row of the table stands for."""
    for pattern, kind in KINDS:
        if re.search(pattern, step.name):
            return re.sub(pattern, kind, step.name)
    return step.name


def table(done):
    rows = {}
    for step in done:
        rows.setdefault(kind_of(step), []).append(step)
    print('\n%-32s %7s %7s %8s  %s' % ('', 'passed', 'failed', 'seconds', 'figures'))
    for kind, listed in rows.items():
        print('%-32s %7d %7d %8.0f  %s' % (kind, sum(s.passed for s in listed), sum(s.failed for s in listed),
                                           sum(s.seconds for s in listed), figures_of(listed) if listed[0].figures else ''))
    for step in done:
        if step.failed:
            print('FAILED: %s%s: build/prove/%s.log' % (
                step.name, ' (%s)' % step.why if step.why else '', re.sub(r'\W+', '-', step.name)))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--list', action='store_true')
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('--without', metavar='STEP', action='append', default=[])
    parser.add_argument('words', nargs='*')
    options = parser.parse_args()
    seed = int(time.time()) % 1_000_000
    chosen = [s for s in steps(seed) if not options.words or any(w in s.name for w in options.words)]
    chosen = [s for s in chosen if s.name not in options.without]
    if options.list:
        print('\n'.join(s.name for s in chosen))
        return 0
    LOGS.mkdir(parents=True, exist_ok=True)
    print('%d steps, seed %d' % (len(chosen), seed), flush=True)
    progress = Progress(len(chosen))
    # `run test` comes first: it builds what the others run.
    for step in [s for s in chosen if s.alone]:
        progress.step(step)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        list(pool.map(progress.step, [s for s in chosen if not s.alone]))
    table(chosen)
    failed = sum(s.failed for s in chosen)
    print('%d passed, %d failed' % (sum(s.passed for s in chosen), failed))
    return 1 if failed or not chosen else 0


if __name__ == '__main__':
    sys.exit(main())
