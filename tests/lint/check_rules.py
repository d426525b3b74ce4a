#!/usr/bin/env python3
"""Holds the table of rules in tests/README.md against the tests that there are.

usage: check_rules.py [--complete] [ROOT]

A row is `| R-NAME-1 | the rule | tests |`. A test is `suite::name`, which some Test() below tests/ must
define, or a file. A rule without a test says **missing**; with --complete that is an error too.
"""
import os
import re
import sys

sys.dont_write_bytecode = True
from source import Source, read_tree  # noqa: E402

PAGE = 'tests/README.md'
ROW = re.compile(r'^\|\s*(R-[A-Z]+-\d+)\s*\|([^|]*)\|([^|]*)\|\s*$')
TEST = re.compile(
    r'^[ \t]*(?:Test\s*\(|ParameterizedTest\s*\([^,()]*,)\s*(\w+)\s*,\s*(\w+)', re.MULTILINE)
MISSING = '**missing**'


def tests_of(files):
    """Names `suite::name` of all tests in {path: text}."""
    names = set()
    for path, text in files.items():
        names.update('::'.join(pair) for pair in TEST.findall(Source(path, text).code))
    return names


def faults_of_cell(cell, tests, files, complete):
    """What is wrong with the tests of one rule."""
    named = re.findall(r'`([^`]+)`', cell)
    rest = re.sub(r'`[^`]+`', '', cell).replace(MISSING, '')
    if MISSING in cell and complete:
        yield 'no test'
    if rest.strip(' ,'):
        yield 'not a test: %s' % rest.strip(' ,')
    elif not named and MISSING not in cell:
        yield 'neither a test nor %s' % MISSING
    for name in sorted(set(named)):
        if name not in (tests if '::' in name else files):
            yield 'there is no %s' % name
        if named.count(name) > 1:
            yield '%s stands there twice' % name


def check(page, tests, files, complete=False):
    """(errors, rules, rules without a test) of the text of the page."""
    errors, seen, missing = [], set(), 0
    for number, line in enumerate(page.split('\n'), 1):
        where = '%s:%d: ' % (PAGE, number)
        row = ROW.match(line)
        if not row:
            if re.match(r'\|\s*R-', line):
                errors.append(where + 'a row has three cells: rule, what, tests')
            continue
        rule, what, cell = (part.strip() for part in row.groups())
        if rule in seen:
            errors.append(where + '%s has a row already' % rule)
        if not what:
            errors.append(where + '%s says nothing' % rule)
        seen.add(rule)
        missing += MISSING in cell
        errors += [where + rule + ': ' + fault for fault in faults_of_cell(cell, tests, files, complete)]
    return errors, len(seen), missing


def names_below(root):
    """Paths of all files below tests/."""
    return {os.path.relpath(os.path.join(where, name), root)
            for where, _, names in os.walk(os.path.join(root, 'tests')) for name in names}


def main():
    words = [word for word in sys.argv[1:] if word != '--complete']
    root = words[0] if words else os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
    with open(os.path.join(root, PAGE), encoding='utf-8') as file:
        page = file.read()
    tests = tests_of(read_tree(root, ['tests'], ('.c',)))
    errors, rules, missing = check(page, tests, names_below(root), '--complete' in sys.argv)
    for error in errors:
        print(error)
    print('check_rules: %d rules, %d without a test, %d errors' % (rules, missing, len(errors)))
    return 1 if errors or not rules else 0


if __name__ == '__main__':
    sys.exit(main())
