#!/usr/bin/env python3
"""Holds the symbols of the libraries against the map and the public headers.

usage: check_symbols.py ROOT SHARED_LIBRARY STATIC_LIBRARY

The shared library exports exactly what runtime/filch.map lists; the map lists exactly the functions
that include/ declares with FILCH_API; a global symbol of the static library is either one of these or
begins with filch__. It uses no random numbers of libc, which take a lock, and no condition variables (glibc bug 25847).
"""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
from source import Source, read_tree  # noqa: E402

MAP = os.path.join('runtime', 'filch.map')
FORBIDDEN = re.compile(r'(?:s?rand(?:om|_r|om_r)?|[delmnj]rand48(?:_r)?|pthread_cond_\w+|cnd_\w+)$')


def symbols_of_map(text):
    """Names under `global:` of all versions of a linker's version script."""
    text = re.sub(r'/\*.*?\*/|#[^\n]*', ' ', text, flags=re.DOTALL)
    names = set()
    for body in re.findall(r'\{(.*?)\}', text, re.DOTALL):
        for section, listed in re.findall(r'(global|local)\s*:(.*?)(?=global\s*:|local\s*:|$)', body,
                                          re.DOTALL):
            if section == 'global':
                names.update(re.findall(r'[^\s;]+', listed))
    return names


def symbols_of_headers(files):
    """{name: where} of what the headers declare with FILCH_API."""
    names = {}
    for path, text in files.items():
        source = Source(path, text)
        for match in re.finditer(r'^[ \t]*FILCH_API\b([^;{]*)[;{]', source.code, re.MULTILINE):
            declaration = re.sub(r'\b(?:FILCH_[A-Z_]+|__attribute__)\s*\((?:[^()]|\([^()]*\))*\)', ' ',
                                 match.group(1))
            name = re.search(r'(\w+)\s*(?:\(|\[|$)', declaration.strip())
            if name:
                names[name.group(1)] = '%s:%d' % (path, source.line_of(match.start()))
    return names


def symbols_of_library(path, *options, which='--defined-only'):
    """Names of the defined global symbols of a library, by nm; or of others."""
    out = subprocess.run(['nm', which, '--format=posix', *options, path], check=True,
                         stdout=subprocess.PIPE, universal_newlines=True).stdout
    names = set()
    for line in out.split('\n'):
        fields = line.split()
        if len(fields) >= 2 and len(fields[1]) == 1 and fields[1] != 'A':
            names.add(fields[0].split('@')[0])
    return names


def forbidden(used):
    """Errors, given the names that the shared library uses."""
    return ['shared library: it uses %s' % name for name in sorted(used) if FORBIDDEN.match(name)]


def check(listed, declared, exported, static):
    """Errors, given the names of the map, the headers, the shared and the static library."""
    errors = []
    for name in sorted(listed - exported):
        errors.append('%s:1: %s is listed, but the shared library does not export it' % (MAP, name))
    for name in sorted(exported - listed):
        errors.append('%s:1: %s is exported by the shared library, but not listed' % (MAP, name))
    for name in sorted(set(declared) - listed):
        errors.append('%s: %s is declared with FILCH_API, but not listed in %s' % (
            declared[name], name, MAP))
    for name in sorted(listed - set(declared)):
        errors.append('%s:1: %s is listed, but no public header declares it' % (MAP, name))
    for name in sorted(static - listed):
        if not name.startswith('filch__'):
            errors.append('static library: %s is global: internal names begin with filch__' % name)
    return errors


def main():
    root, shared, static = sys.argv[1:4]
    with open(os.path.join(root, MAP), encoding='utf-8') as file:
        listed = symbols_of_map(file.read())
    declared = symbols_of_headers(read_tree(root, ['include'], ('.h',)))
    exported = symbols_of_library(shared, '--dynamic')
    errors = check(listed, declared, exported, symbols_of_library(static, '--extern-only'))
    used = symbols_of_library(shared, '--dynamic', which='--undefined-only')
    errors += forbidden(used)
    for error in errors:
        print(error)
    print('check_symbols: %d exported, %d declared, %d errors' % (
        len(exported), len(declared), len(errors)))
    return 1 if errors or not exported or not used else 0


if __name__ == '__main__':
    sys.exit(main())
