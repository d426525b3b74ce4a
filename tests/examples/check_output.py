#!/usr/bin/env python3
"""Runs an example and holds what it prints against what its first comment says.

usage: check_output.py SOURCE PROGRAM [ARGUMENT...]

The comment has `Prints:` or `Prints, in any order:` and below it, indented by four columns, the lines. Three
dots stand for any text within a line.
"""
import re
import subprocess
import sys


def promised(source):
    """(lines, whether their order counts) of the first comment."""
    comment = re.match(r'/\*(.*?)\*/', source, re.DOTALL).group(1)
    head = re.search(r'^ \* Prints(, in any order)?:\n \*\n((?: \*     .*\n)+)', comment, re.MULTILINE)
    if not head:
        sys.exit('check_output: the first comment does not say what the program prints')
    return [line[7:] for line in head.group(2).splitlines()], head.group(1) is None


def matches(line, pattern):
    return re.fullmatch('.*'.join(re.escape(part) for part in pattern.split('...')), line) is not None


def main():
    path, *command = sys.argv[1:]
    with open(path, encoding='utf-8') as file:
        patterns, ordered = promised(file.read())
    result = subprocess.run(command, stdout=subprocess.PIPE, check=False, universal_newlines=True)
    lines = result.stdout.splitlines()
    if not ordered:
        lines, patterns = sorted(lines), sorted(patterns)
    right = len(lines) == len(patterns) and all(map(matches, lines, patterns))
    if not right:
        print('printed:', *lines, sep='\n    ')
        print('promised:', *patterns, sep='\n    ')
    if result.returncode:
        print('exit status %d' % result.returncode)
    return 0 if right and result.returncode == 0 else 1


if __name__ == '__main__':
    sys.exit(main())
