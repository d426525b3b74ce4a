"""C source without comments and strings, its comments, and its statements, with line numbers.

Shared by the checks of this folder. Not a parser: just enough to find calls and the comments that
belong to them.
"""
import bisect
import functools
import os
import re

COMMENT_OR_STRING = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)
CONTROL = re.compile(r'\b(?:if|for|while|switch)\s*\(')


class Comment:
    """One comment: its text without the signs, and the lines on which it begins and ends."""

    def __init__(self, raw, first_line, last_line):
        self.text = raw[2:-2] if raw.startswith('/*') else raw[2:]
        self.first_line = first_line
        self.last_line = last_line


class Source:
    """A C file. `code` is `text` with blanks for comments and strings, position for position."""

    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.line_starts = [0] + [m.end() for m in re.finditer('\n', text)]
        self.comments = []
        self.code = COMMENT_OR_STRING.sub(self._blank, text)
        self.code_lines = self.code.split('\n')

    def _blank(self, match):
        raw = match.group()
        if raw.startswith('/'):
            self.comments.append(
                Comment(raw, self.line_of(match.start()), self.line_of(match.end() - 1)))
        return re.sub(r'[^\n]', ' ', raw)

    def line_of(self, position):
        """The number, from 1, of the line in which that position lies."""
        return bisect.bisect_right(self.line_starts, position)

    def is_comment_only(self, line):
        """Whether nothing but comments (and the backslash of a macro) stands in that line."""
        return not self.code_lines[line - 1].strip().rstrip('\\').strip()

    def close_of(self, opening):
        """Position of the bracket that closes the one at `opening`; the last position if none."""
        opener = self.code[opening]
        closer = {'(': ')', '{': '}'}[opener]
        depth = 0
        for position in range(opening, len(self.code)):
            if self.code[position] == opener:
                depth += 1
            elif self.code[position] == closer:
                depth -= 1
                if depth == 0:
                    return position
        return len(self.code) - 1

    @functools.cached_property
    def statement_ends(self):
        """Positions of every { } ; outside of parentheses, and of the end of every directive."""
        ends = []
        depth = 0
        position = 0
        directive = False
        for line in self.code_lines:
            directive = directive or line.lstrip().startswith('#')
            for c in line:
                if c == '(':
                    depth += 1
                elif c == ')':
                    depth -= 1
                elif c in '{};' and depth <= 0:
                    ends.append(position)
                position += 1
            if directive and not line.rstrip().endswith('\\'):
                ends.append(position)
                directive = False
                depth = 0
            position += 1  # the newline
        return ends

    def statement_around(self, position):
        """First and last position of the statement in which that position lies. The head of a loop
        or a condition belongs to the statement that it governs."""
        i = bisect.bisect_left(self.statement_ends, position)
        begin = self.statement_ends[i - 1] + 1 if i > 0 else 0
        end = self.statement_ends[i] if i < len(self.statement_ends) else len(self.code) - 1
        while begin < position and self.code[begin].isspace():
            begin += 1
        return begin, min(end, len(self.code) - 1)

    def head_end(self, begin, position):
        """Where the head `if (...)`, `for (...)` of a statement ends, if the position lies in it."""
        for match in CONTROL.finditer(self.code, begin, position):
            close = self.close_of(match.end() - 1)
            if close > position:
                return close
        return None


def read_tree(root, folders, endings):
    """{path relative to root: text} of the files below `folders` with one of these endings."""
    files = {}
    for folder in folders:
        for where, folders_below, names in os.walk(os.path.join(root, folder)):
            folders_below.sort()
            for name in sorted(names):
                if name.endswith(endings):
                    path = os.path.join(where, name)
                    with open(path, encoding='utf-8') as file:
                        files[os.path.relpath(path, root)] = file.read()
    return files
