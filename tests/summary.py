#!/usr/bin/env python3
"""Counts what test runs did, and prints `N passed, N failed` as the last line.

usage: summary.py LOG...      LOG: meson-logs/testlog.json of a build folder

A program that prints TAP counts with its cases, any other as one. A program that crashed, ran out of
time or ended with an error without a failed case counts as one failure more. A log that does not exist
counts as a failure: its build did not come to an end. Exit status 1 if something failed or nothing ran.
"""
import json
import re
import sys

CASE = re.compile(r'^(not )?ok\b(?:\s+\d+)?\s*-?\s*(.*?)\s*$', re.MULTILINE)


def count(test):
    """(passed, failed, skipped, names of what failed) of one line of a log."""
    output = test.get('stdout') or ''
    cases = CASE.findall(output) if output.startswith('TAP version') else []
    skipped = sum('# SKIP' in text.upper() for _, text in cases)
    failed = [text for bad, text in cases if bad]
    passed = len(cases) - len(failed) - skipped
    result = test['result']
    if result == 'SKIP':
        return 0, 0, 1, []
    if result not in ('OK', 'EXPECTEDFAIL') and not failed:
        failed = ['%s (exit status %s)' % (result.lower(), test.get('returncode'))]
    elif result in ('OK', 'EXPECTEDFAIL') and not cases:
        if output.startswith('TAP version'):
            failed = ['no case ran']
        else:
            passed = 1
    elif result not in ('OK', 'FAIL', 'EXPECTEDFAIL'):  # a time-out, after failed cases
        failed.append(result.lower())
    return passed, len(failed), skipped, failed


def main():
    passed = failed = skipped = 0
    for log in sys.argv[1:]:
        try:
            with open(log, encoding='utf-8', errors='replace') as file:
                tests = [json.loads(line) for line in file if line.strip()]
        except (OSError, ValueError) as error:
            print('FAILED: no result in %s (%s)' % (log, error))
            failed += 1
            continue
        for test in tests:
            numbers = count(test)
            passed += numbers[0]
            failed += numbers[1]
            skipped += numbers[2]
            for name in numbers[3]:
                print('FAILED: %s: %s [%s]' % (test['name'], name, log.split('/meson-logs')[0]))
    print('%d passed, %d failed%s' % (passed, failed, ', %d skipped' % skipped if skipped else ''))
    return 1 if failed or not passed else 0


if __name__ == '__main__':
    sys.exit(main())
