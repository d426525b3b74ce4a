#!/usr/bin/env python3
"""Compiles the whole runtime for another machine, or sees that it is refused there with a reason.

usage: check_machine.py COMPILER compiles|is refused ROOT

A check of the text only (-fsyntax-only), with all warnings as errors: it shows that types, sizes and built-ins fit,
static assertions included; not that the result runs. liburcu's headers are those of this machine: they differ between
machines only in inline assembler, which is not looked at.
"""
import os
import subprocess
import sys
import tempfile

REASON = 'filch needs a 64-bit machine'


def sources(root):
    for where, _, names in os.walk(os.path.join(root, 'runtime')):
        for name in sorted(names):
            if name.endswith('.c'):
                yield os.path.join(where, name)


def link_urcu(folder):
    """A folder with the headers of liburcu and nothing else of this machine's."""
    for place in ['/usr/include', '/usr/include/' + subprocess.run(
            ['gcc', '-print-multiarch'], capture_output=True, text=True, check=True).stdout.strip()]:
        for name in os.listdir(place) if os.path.isdir(place) else []:
            if name.startswith('urcu') and not os.path.lexists(os.path.join(folder, name)):
                os.symlink(os.path.join(place, name), os.path.join(folder, name))


def compile_one(compiler, root, urcu, source):
    return subprocess.run([compiler, '-std=gnu11', '-D_GNU_SOURCE', '-DNDEBUG', '-DFILCH_BUILDING=1', '-fsyntax-only', '-Wall',
                           '-Wextra', '-Werror', '-I', os.path.join(root, 'include'), '-I', os.path.join(root, 'runtime'),
                           '-isystem', urcu, source], capture_output=True, text=True)


def main():
    compiler, wanted, root = sys.argv[1:4]
    failed = count = 0
    with tempfile.TemporaryDirectory() as urcu:
        link_urcu(urcu)
        public = os.path.join(urcu, 'public.c')
        with open(public, 'w', encoding='utf-8') as file:
            file.write('#include <filch.h>\n')
        for source in [public] if wanted == 'is refused' else [public, *sources(root)]:
            done = compile_one(compiler, root, urcu, source)
            good = REASON in done.stderr if wanted == 'is refused' else done.returncode == 0
            count += 1
            if not good:
                failed += 1
                print('%s: %s' % (source, done.stderr or 'it compiles'))
    print('%d files, %d failed' % (count, failed))
    return 1 if failed or count == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
