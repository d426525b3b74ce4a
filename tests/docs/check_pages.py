#!/usr/bin/env python3
"""Holds the manual pages against the map of exported functions and against the headers.

usage: check_pages.py ROOT MAN3 MAN7 MANDOC

Every exported function, but those of the seam that inline code uses (lane.h), has a page with NAME, SYNOPSIS, RETURNS and SEE ALSO, with the prototype as the
header declares it, and with every sentence of the header's comment. filch(7) names every page. doxygen
warned of nothing, and mandoc finds no fault in any page. Prints TAP: one case for each page.
"""
import os
import re
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lint'))
from check_symbols import symbols_of_map  # noqa: E402
from source import read_tree  # noqa: E402

# A comment and the exported declaration below it.
DECLARED = re.compile(r'/\*((?:(?!\*/).)*)\*/\s*FILCH_API\s+([^;{]*?\b(filch_\w+)\s*\([^;]*);', re.DOTALL)
HEADINGS = 'Returns|Ownership|Threads|Progress|Ordering|Since|Source'
# Where a section, a parameter or a paragraph of a comment begins: it may stand elsewhere in the page.
BEGINNING = re.compile(r'\n\s*\n|\n(?=\w+(?:, \w+)*  +\S)|\s(?=(?:%s):? )' % HEADINGS)


def words(text):
    """Text on one line without what headings, case and quotes differ in."""
    text = text.lower().replace('`', '').replace('‐', '-').replace('−', '-')
    text = re.sub(r'\bsince:?\s+filch\b', 'since', text)
    return ' '.join(re.sub(r'\b(%s):' % HEADINGS.lower(), r'\1', text).split())


def sentences(comment):
    """The sentences of a header's comment, headings in front."""
    text = '\n'.join(re.sub(r'^\s*\*? ?', '', line) for line in comment.split('\n'))
    parts = [part for piece in BEGINNING.split(text) for part in re.split(r'(?<=\.)\s', piece)]
    return [words(part) for part in parts if part.strip()]


SEAM = os.path.join('include', 'filch', 'lane.h')


def declared_in_seam(root):
    """Names of what only inline code uses."""
    text = read_tree(root, ['include'], ('.h',))[SEAM]
    return set(re.findall(r'FILCH_API[^;(]*?\b(filch_\w+)\s*(?=\(|;|__attribute__)', text))


def declared(root):
    """{function: (prototype, comment)} of the public headers."""
    found = {}
    for text in read_tree(root, ['include'], ('.h',)).values():
        for match in DECLARED.finditer(text):
            prototype = re.sub(r'FILCH_PRINTF\([^)]*\)', '', match.group(2))
            found[match.group(3)] = (prototype, match.group(1))
    return found


def render(mandoc, path):
    """The page as plain text, and its sections."""
    out = subprocess.run([mandoc, '-T', 'ascii', '-O', 'width=200', path], stdout=subprocess.PIPE,
                         check=True, universal_newlines=True).stdout
    text = re.sub('.\b', '', out)
    parts = re.split(r'^([A-Z][A-Z ]+)$', text, flags=re.MULTILINE)
    return text, {title: body.strip() for title, body in zip(parts[1::2], parts[2::2])}


def same_code(a, b):
    return re.sub(r'\s', '', a) == re.sub(r'\s', '', b)


def faults_of_function(name, declaration, page):
    """What is wrong with the page of a function."""
    text, sections = page
    if declaration is None:
        yield 'no header declares it below a comment'
        return
    prototype, comment = declaration
    for title in ('NAME', 'SYNOPSIS', 'DESCRIPTION', 'RETURNS', 'SINCE', 'SEE ALSO'):
        if not sections.get(title):
            yield 'no ' + title
    if not re.match(r'%s - \S' % name, sections.get('NAME', '')):
        yield 'NAME does not say what it does'
    if not same_code(sections.get('SYNOPSIS', ''), '#include <filch.h>' + prototype + ';'):
        yield 'SYNOPSIS differs from the header'
    whole = words(text)
    for sentence in sentences(comment):
        if sentence not in whole:
            yield 'not in the page: ' + sentence


def faults_of_lint(mandoc, path):
    result = subprocess.run([mandoc, '-T', 'lint', '-W', 'warning', path], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, check=False, universal_newlines=True)
    return result.stdout.splitlines()


class Report:
    """Prints TAP."""

    def __init__(self):
        self.number = self.failed = 0
        print('TAP version 13')

    def case(self, name, faults):
        self.number += 1
        self.failed += bool(faults)
        print('%s %d - %s' % ('not ok' if faults else 'ok', self.number, name))
        for fault in faults:
            print('# ' + fault)


def main():
    root, man3, man7, mandoc = sys.argv[1:5]
    with open(os.path.join(root, 'runtime', 'filch.map'), encoding='utf-8') as file:
        exported = symbols_of_map(file.read()) - declared_in_seam(root)
    declarations = declared(root)
    table = render(mandoc, os.path.join(man7, 'filch.7'))[0]
    report = Report()
    pages = {name[:-2]: os.path.join(man3, name) for name in os.listdir(man3)}
    for name in sorted(exported | set(pages)):
        if name not in pages:
            report.case(name, ['no page'])
            continue
        page = render(mandoc, pages[name])
        faults = list(faults_of_function(name, declarations.get(name), page)) if name in exported else []
        faults += [] if re.search(r'\b%s\(3\)' % name, table) else ['filch(7) does not name it']
        report.case(name, faults + faults_of_lint(mandoc, pages[name]))
    report.case('filch(7)', faults_of_lint(mandoc, os.path.join(man7, 'filch.7')))
    with open(os.path.join(os.path.dirname(man3), 'doxygen-warnings.txt'), encoding='utf-8') as file:
        report.case('no warnings of doxygen', file.read().splitlines())
    print('1..%d' % report.number)
    return 1 if report.failed or not exported else 0


if __name__ == '__main__':
    sys.exit(main())
