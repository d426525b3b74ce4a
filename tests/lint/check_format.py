#!/usr/bin/env python3
"""Holds the layout of all C and C++ files against .clang-format.

usage: check_format.py [ROOT]

`./run format` repairs what this reports. Exit status 77 (skipped) where there is no clang-format 14:
other versions lay some things out differently.
"""
import os
import re
import shutil
import subprocess
import sys

sys.dont_write_bytecode = True
from source import read_tree  # noqa: E402

FOLDERS = ['include', 'runtime', 'bench', 'tests']


def clang_format():
    """The program to use, or None."""
    for name in ('clang-format-14', 'clang-format'):
        if shutil.which(name):
            version = subprocess.run([name, '--version'], stdout=subprocess.PIPE, check=True,
                                     universal_newlines=True).stdout
            if ' version 14.' in version:
                return name
    return None


def main():
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
    root = sys.argv[1] if len(sys.argv) > 1 else default
    program = clang_format()
    if program is None:
        print('check_format: skipped, no clang-format 14')
        return 77
    files = sorted(read_tree(root, FOLDERS, ('.c', '.h', '.cc', '.cpp')))
    result = subprocess.run([program, '--dry-run', '--Werror', '--style=file', *files], cwd=root,
                            stderr=subprocess.PIPE, universal_newlines=True)
    places = re.findall(r'^(\S+?:\d+):\d+: error: ', result.stderr, re.MULTILINE)
    for place in dict.fromkeys(places):
        print('%s: laid out differently' % place)
    if result.returncode and not places:
        print(result.stderr)
    print('check_format: %d files, %d errors%s' % (
        len(files), len(set(places)), '; ./run format repairs them' if places else ''))
    return 1 if result.returncode else 0


if __name__ == '__main__':
    sys.exit(main())
