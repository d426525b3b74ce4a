#!/usr/bin/env python3
"""Holds the arrows between the rooms: who may include whom.

usage: check_includes.py [ROOT]

    public headers   include/                        only public headers and libc's, no <stdatomic.h>
    floor            runtime/{base,os,reclaim}/      the floor and public headers
    contract         files directly in runtime/      the contract, the floor, public headers;
                                                     executor.c alone may include rooms
    rooms            every other folder of runtime/  itself, the contract, the floor, public headers

Only reclaim/ includes liburcu. Folders are two levels deep under runtime/, never three. Every header
of include/ is listed in include/meson.build, every source of runtime/ in runtime/meson.build.
"""
import os
import re
import sys

sys.dont_write_bytecode = True
from source import Source, read_tree  # noqa: E402

FLOOR = {'base', 'os', 'reclaim'}
KNOWS_ROOMS = 'runtime/executor.c'
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(<[^>\n]+>|"[^"\n]+")', re.MULTILINE)
PUBLIC = re.compile(r'filch(?:\.h|/.+\.h)$')
LIBURCU = re.compile(r'urcu(?:[-./].*)?$')
# Headers of libc that public headers may use.
PUBLIC_SYSTEM = {'errno.h', 'limits.h', 'stdbool.h', 'stddef.h', 'stdint.h', 'stdarg.h', 'time.h'}


def place_of(path):
    """'public', 'floor', 'contract', or the name of a room; for a path relative to the root."""
    parts = path.split('/')
    if parts[0] == 'include':
        return 'public'
    if len(parts) == 2:
        return 'contract'
    return 'floor' if parts[1] in FLOOR else parts[1]


def resolve(path, name, files):
    """The file of the tree that `#include "name"` in `path` means, or None."""
    candidates = [os.path.normpath(os.path.join(os.path.dirname(path), name)),
                  os.path.normpath(os.path.join('runtime', name)),
                  os.path.normpath(os.path.join('include', name))]
    return next((c for c in candidates if c in files), None)


def why_not(path, target):
    """Why `path` must not include the file `target` of the tree; None if it may."""
    here, there = place_of(path), place_of(target)
    if there == 'public' or here == there:
        return None
    if here == 'public':
        return 'a public header includes nothing of runtime/'
    if here == 'floor':
        return 'the floor includes only the floor'
    if there in ('floor', 'contract'):
        return None
    if here == 'contract':
        return None if path == KNOWS_ROOMS else 'only executor.c knows which rooms there are'
    return 'rooms never see each other'


def check_include(path, written, files):
    """The fault of one include, or None."""
    name = written[1:-1]
    here = place_of(path)
    if name == 'stdatomic.h':
        return 'atomic operations go through filch/atomic.h'
    if LIBURCU.match(name):
        return None if path.startswith('runtime/reclaim/') else 'only reclaim/ knows liburcu'
    if written[0] == '<':
        if PUBLIC.match(name):
            return None if 'include/' + name in files else 'no such public header'
        if here == 'public' and name not in PUBLIC_SYSTEM:
            return 'not among the system headers that public headers use'
        return None
    if here == 'public':
        return 'public headers are included as <filch/...>'
    target = resolve(path, name, files)
    return why_not(path, target) if target else 'no such file in runtime/'


def listed(files, folder, ending, lists):
    """Files of `folder` that its meson.build does not name."""
    for path in sorted(files):
        if path.startswith(folder + '/') and path.endswith(ending):
            if "'%s'" % path[len(folder) + 1:] not in lists.get(folder + '/meson.build', ''):
                yield '%s:1: not listed in %s/meson.build' % (path, folder)


def check(files, lists):
    """Checks {path: text}; `lists` has the two meson.build. Returns (errors, includes looked at)."""
    errors = []
    count = 0
    for path in sorted(files):
        if path.startswith('runtime/') and path.count('/') > 2:
            errors.append('%s:1: folders are two levels deep under runtime/, never three' % path)
            continue
        source = Source(path, files[path])
        for match in INCLUDE.finditer(source.text):
            if not source.code[match.start():].lstrip().startswith('#'):
                continue  # in a comment
            count += 1
            fault = check_include(path, match.group(1), files)
            if fault:
                errors.append('%s:%d: #include %s: %s' % (
                    path, source.line_of(match.start(1)), match.group(1), fault))
    errors += listed(files, 'include', '.h', lists)
    errors += listed(files, 'runtime', '.c', lists)
    return errors, count


def read_files(root):
    """The C files of the tree, and the texts of the lists."""
    return (read_tree(root, ['include', 'runtime'], ('.c', '.h')),
            read_tree(root, ['include', 'runtime'], ('meson.build',)))


def main():
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
    errors, count = check(*read_files(sys.argv[1] if len(sys.argv) > 1 else default))
    for error in errors:
        print(error)
    print('check_includes: %d includes, %d errors' % (count, len(errors)))
    return 1 if errors or count == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
