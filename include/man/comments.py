#!/usr/bin/env python3
"""Shows doxygen the comments of a public header: its INPUT_FILTER.

usage: comments.py HEADER

The headers have plain comments in fixed sections, for people:

    /* What the function does. More of it.
     *
     * name     what the parameter means, with unit and range
     * Returns  0; every error
     * Ownership: who frees what. Threads: any. Progress: wait-free. Since: 0.1. */

This prints the header with each comment that stands before a declaration as one of doxygen's, and the
sections as \\param, \\returns and \\par. Paragraphs are separated by empty lines; lines that are indented
by four columns after an empty one are code; `so` is code too.
"""
import re
import sys

HEADINGS = 'Ownership|Threads|Progress|Ordering|Since|Source'
# A comment that begins its line.
COMMENT = re.compile(r'^([ \t]*)/\*(.*?)\*/', re.DOTALL | re.MULTILINE)
SECTION = re.compile(r'(?:^|(?<=[.;)])\s+)(%s):\s+' % HEADINGS)


def text_lines(comment):
    """The lines of a comment without its frame; code keeps what it is indented by."""
    lines = [re.sub(r'^[ \t]*\*? ?', '', line).rstrip() for line in comment.strip().split('\n')]
    return [line for line in lines if not line.startswith('SPDX-')]


def parameters_after(code):
    """Names of the parameters of the function, type of a function, or macro, that is declared next."""
    define = re.match(r'\s*#\s*define\s+\w+\(([^)]*)\)', code)
    declaration = define or re.match(r'[^;{#]*?\w+\s*\(((?:[^();]|\([^()]*\))*)\)[^;{]*;', code)
    if not declaration:
        return set()
    arguments = re.sub(r'\(\s*\*\s*(\w+)\s*\)\s*\([^()]*\)', r' \1', declaration.group(1))
    names = (re.search(r'(\w+|\.\.\.)\s*(?:\[[^]]*\]\s*)?$', one.strip()) for one in arguments.split(','))
    return {name.group(1) for name in names if name}


def escape(text):
    """What doxygen would take for a command or a quotation, and code between backquotes."""
    text = re.sub(r'[\\@&$#<>%]|::|--', r'\\\g<0>', text).replace('"', '&quot;')
    return re.sub(r'`([^`]*)`', r'<code>\1</code>', text)


class Converter:
    """Turns the lines of one comment into doxygen's commands."""

    def __init__(self, parameters):
        self.parameters = parameters
        self.out = []
        self.pending = ''  # a command and its text, until its last line is known
        self.after_blank = True

    def flush(self):
        self.out += [self.pending] if self.pending else []
        self.pending = ''

    def begin(self, command, text):
        """A section, or a paragraph (command ''); further sections may stand within its text."""
        self.flush()
        pieces = SECTION.split(text)
        self.pending = (command + ' ' + escape(pieces[0])).strip()
        for heading, rest in zip(pieces[1::2], pieces[2::2]):
            self.flush()
            self.pending = '\\par %s\n%s' % (heading, escape(rest))

    def logical_lines(self, lines):
        """(kind, command, text) of what belongs together: kind is text, code or blank."""
        item = None
        for line in lines:
            named = re.match(r'([\w.]+(?:, [\w.]+)*)\s{2,}(\S.*)', line)
            returns = re.match(r'Returns:?\s+(\S.*)', line)
            if not line:
                yield from [item] if item else []
                item = None
                yield 'blank', '', ''
            elif item is None and line.startswith('    '):
                yield 'code', '', line[4:]
            elif named and set(named.group(1).split(', ')) <= self.parameters:
                yield from [item] if item else []
                item = ('text', '\\param ' + named.group(1).replace(', ', ','), named.group(2))
            elif returns:
                yield from [item] if item else []
                item = ('text', '\\returns', returns.group(1))
            elif item is None or re.match(r'(?:%s):\s|- ' % HEADINGS, line):
                yield from [item] if item else []
                item = ('text', '', line)
            else:
                item = (item[0], item[1], item[2] + ' ' + line.strip())
        yield from [item] if item else []

    def convert(self, lines):
        in_code = False
        for kind, command, text in self.logical_lines(lines):
            if in_code and kind == 'text':
                self.out.append('\\endcode')
                in_code = False
            if kind == 'code' and not in_code:
                self.flush()
                self.out.append('\\code{.c}')
                in_code = True
            if kind == 'code' or in_code:
                self.out.append(text)
            elif kind == 'blank':
                self.flush()
                self.out.append('')
            else:
                self.begin(command, text)
        self.flush()
        return '\n'.join(self.out + (['\\endcode'] if in_code else []))


def convert(header):
    """The header as doxygen shall see it."""
    def replace(match):
        lines = text_lines(match.group(2))
        if match.start() == 0:
            lines[0] = re.sub(r'^[\w/.]+: ', '', lines[0])
            return '/** \\file\n%s\n*/' % Converter(set()).convert(lines)
        parameters = parameters_after(header[match.end():])
        return '%s/** %s */' % (match.group(1), Converter(parameters).convert(lines))
    return COMMENT.sub(replace, header)


def main():
    with open(sys.argv[1], encoding='utf-8') as file:
        sys.stdout.write(convert(file.read()))


if __name__ == '__main__':
    main()
