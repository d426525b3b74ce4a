#!/usr/bin/env python3
"""Puts each wrong variant of table.py into a copy of the tree, and requires that the check that it names fails.

usage: variants.py --check            each old text stands in its file once, each check exists, tests/README.md names
                                      all of them; builds nothing
       variants.py [--work FOLDER] [--jobs N] [WORD...]
                                      all of them, or those whose name, file or class has one of the words in it

First every check must pass on the copy as it is. A variant that does not compile has failed; one whose check does not
end within its time was found. Standard output is TAP. FOLDER (build/variants) is kept: the next run builds only what has changed.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

sys.dont_write_bytecode = True
from table import VARIANTS  # noqa: E402

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CLASSES = 11
# Seconds: of a check, and of one that may have to wait for all its cases to run out of time.
PATIENCE, PATIENCE_OF_ALL = 45, 150
BUILDS = {
    'plain': ({}, ['-Dbench=false', '-Doptimization=1', '-Ddocs=disabled']),
    'address': ({'CC': os.environ.get('CC', 'clang-19'), 'CXX': os.environ.get('CXX', 'clang++-19')},
                ['-Dbench=false', '-Ddocs=disabled', '-Doptimization=1', '-Db_sanitize=address,undefined', '-Db_lundef=false',
                 '-Db_ndebug=false']),
}


def parts(check):
    """(build, environment, program, arguments)"""
    build, *words = check.split()
    environment = {}
    while '=' in words[0]:
        name, value = words.pop(0).split('=', 1)
        environment[name] = value
    return build, environment, words[0], words[1:]


# Is the table still that of the sources? ---------------------------------------------------------


def source_of(program):
    """The source of a program of the tests that has cases; None: it is no such one."""
    suite, _, name = program.partition('-')
    folder = {'narrow': 'unit'}.get(suite, suite)
    path = HERE.parent / folder / (name + '.c')
    if suite == 'matrix':
        path = HERE.parent / 'matrix' / 'matrix_test.c'
    return path if path.exists() else None


def wrong_with(variant):
    path = ROOT / variant.file
    if not path.exists():
        return 'there is no ' + variant.file
    found = path.read_text().count(variant.old)
    if found != 1 or variant.old == variant.new:
        return '%s: the old text stands there %d times' % (variant.file, found)
    build, _, program, words = parts(variant.check)
    if build not in BUILDS:
        return 'no build %s' % build
    if program.startswith(('explore/', 'lint/')):
        return None if (HERE.parent / program).parent.exists() else 'there is no ' + program
    source = source_of(program)
    if source is None:
        return 'there is no program ' + program
    lost = [w for w in words if w not in source.read_text()]
    return '%s has no case %s' % (program, lost[0]) if lost else None


def rows_of_page():
    """{class: names} of the table in tests/README.md."""
    page = (HERE.parent / 'README.md').read_text()
    rows = re.findall(r'^\| (\d+) \|[^|]*\|[^|]*\|([^|]*)\|$', page, re.MULTILINE)
    return {int(n): [w.strip() for w in names.split(';')] for n, names in rows}


def check_table():
    errors = ['%s: %s' % (v.name, w) for v in VARIANTS for w in [wrong_with(v)] if w]
    errors += ['class %d has no variant' % c for c in range(1, CLASSES + 1) if all(v.bug != c for v in VARIANTS)]
    errors += ['%s: it does not stand in the row of class %d in tests/README.md' % (v.name, v.bug)
               for v in VARIANTS if v.name not in rows_of_page().get(v.bug, [])]
    if len({v.name for v in VARIANTS}) != len(VARIANTS):
        errors.append('two variants have one name')
    for error in errors:
        print('not ok - ' + error)
    print('# %d variants of %d classes, %d errors' % (len(VARIANTS), CLASSES, len(errors)))
    return 1 if errors else 0


# Running them ------------------------------------------------------------------------------------


def run(command, folder, seconds, environment=None):
    """(exit status, output); None: the time was over."""
    process = subprocess.Popen(command, cwd=folder, env={**os.environ, **(environment or {})}, text=True,
                               errors='replace', stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    try:
        output = process.communicate(timeout=seconds)[0]
        return process.returncode, output
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        return None, process.communicate()[0]


class Copy:
    """A copy of the tree, with its build folders."""

    def __init__(self, folder, jobs):
        self.root, self.jobs = folder / 'tree', jobs
        self.root.mkdir(parents=True, exist_ok=True)
        for name in ('include', 'runtime', 'tests', 'bench', 'meson.build', 'meson_options.txt', 'README.md',
                     'CONTRIBUTING.md', 'CHANGELOG.md', 'LICENSE', 'run', '.clang-format'):
            self.refresh(ROOT / name)

    def refresh(self, source):
        """Copies what differs, so that what does not is not built again; what is no more there goes."""
        target = self.root / source.relative_to(ROOT)
        if source.is_dir():
            target.mkdir(exist_ok=True)
            for old in target.iterdir():
                if not (source / old.name).exists():
                    shutil.rmtree(old) if old.is_dir() else old.unlink()
            for path in source.iterdir():
                if path.name != '__pycache__':
                    self.refresh(path)
        elif source.exists() and (not target.exists() or target.read_bytes() != source.read_bytes()):
            shutil.copyfile(source, target)
            shutil.copymode(source, target)

    def folder(self, build):
        folder = self.root.parent / build
        if not (folder / 'build.ninja').exists():
            environment, options = BUILDS[build]
            code, output = run(['meson', 'setup', *options, str(folder), str(self.root)], self.root, 300, environment)
            if code != 0:
                raise SystemExit('variants: meson:\n' + output)
        return folder

    def command(self, folder, program, words):
        if program.startswith('lint/'):
            return [sys.executable, str(self.root / 'tests' / program), str(self.root),
                    str(folder / 'libfilch.so'), str(folder / 'libfilch.a')]
        command = [str(folder / 'tests' / program), *words]
        randomless = ['setarch', '-R']
        return randomless + command if run(randomless + ['true'], folder, 10)[0] == 0 else command

    def check(self, check):
        """(does it pass, why not); None, output: it cannot be built."""
        build, environment, program, words = parts(check)
        folder = self.folder(build)
        targets = ['tests/' + program]
        if program.startswith('lint/'):
            targets = re.findall(r'^build (libfilch\.(?:so[.\d]*|a)):', (folder / 'build.ninja').read_text(), re.MULTILINE)
        code, output = run(['ninja', '-j', str(self.jobs), *targets], folder, 900)
        if code != 0:
            return None, output[-3000:]
        environment['ASAN_OPTIONS'] = 'halt_on_error=1:detect_leaks=1:detect_stack_use_after_return=1'
        seconds = PATIENCE if words else PATIENCE_OF_ALL
        code, output = run(self.command(folder, program, words), folder, seconds, environment)
        if code is None:
            return False, 'it does not end'
        why = re.search(r'^(?:not ok\b.*|.*ERROR: .*|# .*failed.*)$', output, re.MULTILINE)
        return code == 0, why.group(0).strip()[:150] if why else 'exit status %s' % code

    def check_variant(self, variant):
        path = self.root / variant.file
        text = path.read_text()
        try:
            path.write_text(text.replace(variant.old, variant.new))
            return self.check(variant.check)
        finally:
            path.write_text(text)


def test(copy, number, name, judge):
    begin = time.monotonic()
    good, why = judge()
    print('%sok %d - %s (%.0f s)' % ('' if good else 'not ', number, name, time.monotonic() - begin))
    print('# ' + why.replace('\n', '\n# '), flush=True)
    return good


def baseline(copy, check):
    good, why = copy.check(check)
    return bool(good), 'as it is' if good else why


def verdict(copy, variant):
    good, why = copy.check_variant(variant)
    if good is None:
        return False, 'it cannot be built: ' + why
    return not good, 'class %d, %s: %s' % (variant.bug, variant.check, 'NOT FOUND' if good else why)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--check', action='store_true')
    parser.add_argument('--work', type=pathlib.Path, default=ROOT / 'build' / 'variants')
    parser.add_argument('--jobs', type=int, default=2)
    parser.add_argument('words', nargs='*')
    options = parser.parse_args()
    errors = check_table()
    if errors or options.check:
        return errors
    chosen = [v for v in VARIANTS if not options.words or
              any(w in v.name or w in v.file or w == str(v.bug) for w in options.words)]
    copy = Copy(options.work.resolve(), options.jobs)
    print('TAP version 13\n1..%d' % (len({v.check for v in chosen}) + len(chosen)), flush=True)
    good, found, number = {}, 0, 0
    for variant in chosen:
        check = variant.check
        if check not in good:
            number += 1
            good[check] = test(copy, number, 'passes: ' + check, lambda c=check: baseline(copy, c))
        number += 1
        found += test(copy, number, 'fails: ' + variant.name, lambda v=variant: verdict(copy, v))
    print('# %d variants, %d found; %d checks, %d pass without one' % (
        len(chosen), found, len(good), sum(good.values())))
    return 0 if chosen and found == len(chosen) and all(good.values()) else 1


if __name__ == '__main__':
    sys.exit(main())
