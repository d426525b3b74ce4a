#!/usr/bin/env python3
"""Compiles the C blocks of Markdown pages.

usage: check_blocks.py INCLUDE_FOLDER PAGE... -- COMPILER ARGUMENT...

A block that begins with `#include` or `static` stands at file level, and holds for the blocks after it. A
block with a main() is a whole program. Any other is the body of a function that has an executor, a future,
an array of n futures, and rc, as the pages say. Prints TAP: one case for each block.
"""
import os
import re
import subprocess
import sys

BLOCK = re.compile(r'^```c\n(.*?)^```$', re.DOTALL | re.MULTILINE)
OPTIONS = ['-x', 'c', '-std=c11', '-pedantic', '-Wall', '-Wextra', '-Werror', '-O1', '-c', '-o', '/dev/null', '-']

PROGRAM = '''\
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
%s
#pragma GCC diagnostic pop
#pragma GCC diagnostic ignored "-Wunused-parameter"
int block(filch_executor *executor, filch_future *future, filch_future **futures, size_t n, int rc);
int block(filch_executor *executor, filch_future *future, filch_future **futures, size_t n, int rc) {
#line %d "%s"
%s
return rc;
}
'''


def blocks_of(path):
    """(line, text) of each C block."""
    with open(path, encoding='utf-8') as file:
        page = file.read()
    for match in BLOCK.finditer(page):
        yield page.count('\n', 0, match.start(1)) + 1, match.group(1)


def source_of(text, path, line, above):
    """What to compile for a block, and whether it holds for the blocks after it."""
    if re.search(r'^int main\(', text, re.MULTILINE):
        return text, False
    if re.match(r'#include|static\b', text):
        return PROGRAM % (above + text, line, path, ''), True
    return PROGRAM % (above, line, path, text), False


def faults_of(compiler, include, source):
    """What the compiler says of a source that it does not take."""
    result = subprocess.run([*compiler, '-I', include, *OPTIONS], input=source, check=False,
                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, universal_newlines=True)
    return result.stdout.splitlines() if result.returncode else []


def main():
    end = sys.argv.index('--')
    include, *pages = sys.argv[1:end]
    number = failed = 0
    print('TAP version 13')
    for page in pages:
        above = ''
        for line, text in blocks_of(page):
            number += 1
            source, stays = source_of(text, page, line, above)
            faults = faults_of(sys.argv[end + 1:], include, source)
            if stays and not faults:
                above += '#line %d "%s"\n%s' % (line, page, text)
            failed += bool(faults)
            print('%s %d - %s:%d' % ('not ok' if faults else 'ok', number, os.path.basename(page), line))
            for fault in faults:
                print('# ' + fault)
    print('1..%d' % number)
    return 1 if failed or not number else 0


if __name__ == '__main__':
    sys.exit(main())
