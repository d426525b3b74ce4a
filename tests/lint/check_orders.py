#!/usr/bin/env python3
"""Holds every atomic operation against the tables of edges.

usage: check_orders.py [ROOT]

In include/ and runtime/ every operation of the seam include/filch/atomic.h carries a comment, at the
end of its line or statement or in a line directly above:

    store_release(&dq->bottom, b + 1);      /* D1 -> D2 */             this is D1, its partner D2
    b = load_acquire(&dq->bottom);          /* D2 <- D1, D3: reason */ this is D2, with two partners
    s = exchange_acq_rel(&d, e);            /* X3 -> X2; X3 <- X1 */   two edges
    t = load_relaxed(&dq->top);             /* relaxed: own field */   no edge, and why
    p = load_light(&lane->pos);             /* light: own field */     the same

A label has one row or several in a section "Orders" of a file's comment or of a room's README.md:

     * Orders
     *   D1 store_release bottom (push) -> D2 load_acquire bottom (steal): the entry and its slot
     *   F1 cas_acq_rel|cas_release state (finish) -> F2 load_acquire state (look): the result

where continuation lines are indented further than the row. `<->` instead of `->`, in the row and at
both sites, is an edge without direction. A side may also name a function that is no operation of the
seam (`I1 cds_lfs_push top -> ...`): then each of its calls needs a label as well. A weak cas is a cas.

Reported: an operation without label; a label without row; a row with a side, an alternative or a
partner that no operation has; an operation that is not the one of its row; a partner that no row
gives; a reason "relaxed" (or "light") at an operation that is not; a label of two different operations; a
label without operation; a row that cannot be read or stands twice; built-ins, <stdatomic.h> and
liburcu's atomics outside of the seam. Bodies of macros and functions that define an operation are exempt.
"""
import functools
import os
import re
import sys

sys.dont_write_bytecode = True
from source import Source, read_tree  # noqa: E402

SEAM = os.path.join('include', 'filch', 'atomic.h')

PREFIX = r'(?:filch_+)?'
NAME = (r'(?:(?:load|store|exchange|cas_weak|cas|fetch_(?:add|sub|or|and|xor))_'
        r'(?:relaxed|acquire|release|acq_rel|seq_cst)'
        r'|(?:load|store)_light|fence_(?:acquire|release|acq_rel|seq_cst|after_rmw|light|heavy))')
OPERATION = re.compile(r'\b%s(%s)\s*\(' % (PREFIX, NAME))
DEFINED = re.compile(r'#[ \t]*define[ \t]+%s(%s)\b' % (PREFIX, NAME))
FORBIDDEN = re.compile(
    r'\b(__atomic_\w+|__sync_\w+|_Atomic|uatomic_\w+|atomic_\w+(?=\s*\()|CMM_\w+|cmm_\w+)'
    r'|#[ \t]*include[ \t]*<(stdatomic\.h)>')
# What may stand before a call; any other word before the name makes it a declaration.
BEFORE_CALL = {'return', 'else', 'do', 'case', 'sizeof'}

LABEL = r'[A-Z][0-9]+[a-z]?'
ARROW = r'<->|->|<-'
EDGE = re.compile(r'(%s)\s*(%s)\s*(%s(?:\s*,\s*%s)*)' % (LABEL, ARROW, LABEL, LABEL))
REASON = re.compile(r'(relaxed|light)\s*:\s*(.*)', re.DOTALL)
ROW_START = re.compile(r'^(?P<indent>\s*)(?:[-*]\s+)?`?(?P<row>%s\s+[a-z_].*)$' % LABEL)
SIDE = r'(?P<%s>' + LABEL + r')\s+(?P<%s>[a-zA-Z_]\w*(?:\|\w+)*)(?P<%s>.*?)'
ROW = re.compile('^' + SIDE % ('left', 'left_names', 'left_rest') + r'\s(?P<arrow><->|->)\s+' +
                 SIDE % ('right', 'right_names', 'right_rest') + r'`?\s*:\s*(?P<text>\S.*)$')
BACK = {'->': '<-', '<-': '->', '<->': '<->'}


class Row:
    """One edge of a table: two labels, the names of their operations, the arrow between."""

    def __init__(self, path, line, match):
        self.where = '%s:%d' % (path, line)
        self.left, self.right = match['left'], match['right']
        self.names = [match[side].replace('cas_weak_', 'cas_').split('|')
                      for side in ('left_names', 'right_names')]
        self.arrow = match['arrow']

    def sides(self):
        """Own label, names, arrow as seen from there, label of the partner; for both sides."""
        return [(self.left, self.names[0], self.arrow, self.right),
                (self.right, self.names[1], BACK[self.arrow], self.left)]


class Operation:
    """A call in the code, and what its comment says: edges (own, arrow, partner) or a reason."""

    def __init__(self, source, position, name):
        self.position = position
        self.line = source.line_of(position)
        self.where = '%s:%d' % (source.path, self.line)
        self.name = name
        self.notes = []

    def needs_only(self, reason):
        """Whether a reason of that name ("relaxed", "light") is enough."""
        return self.name.endswith('_%s' % reason)


class Note:
    """A comment that is a label: its edges, and of what it gives a reason ("relaxed", "light"), or None."""

    def __init__(self, where, edges, reason):
        self.where = where
        self.edges = edges
        self.reason = reason


def parse_note(path, comment):
    """The Note of a comment; None if it is prose."""
    text = ' '.join(comment.text.split()).strip('* ')
    edges = []
    while True:
        match = EDGE.match(text)
        if not match:
            break
        own, arrow, partners = match.groups()
        edges += [(own, arrow, partner) for partner in re.split(r'\s*,\s*', partners)]
        text = text[match.end():].lstrip()
        if not text.startswith(';'):
            break
        text = text[1:].lstrip()
    reason = REASON.match(text)
    if not edges and not reason:
        return None
    kind = reason.group(1) if reason and reason.group(2).strip() else None
    return Note('%s:%d' % (path, comment.first_line), edges, kind)


def is_call(source, position):
    """Whether the name at `position` is used there, not declared or defined."""
    before = re.search(r'(\w+)[\s*]*$', source.code[:position][-80:])
    return before is None or before.group(1) in BEFORE_CALL or source.code[position - 1] == '*'


def exempt_ranges(source):
    """Ranges of positions inside of macros and functions that define an operation."""
    ranges = []
    for match in DEFINED.finditer(source.code):
        end = match.end()
        while True:
            newline = source.code.find('\n', end)
            if newline < 0:
                newline = len(source.code)
            if not source.code[end:newline].rstrip().endswith('\\'):
                break
            end = newline + 1
        ranges.append((match.start(), newline))
    for match in OPERATION.finditer(source.code):
        if not is_call(source, match.start()):
            close = source.close_of(match.end() - 1)
            body = re.compile(r'\s*\{').match(source.code, close + 1)
            end = source.close_of(body.end() - 1) if body else close
            ranges.append((match.start(), end))
    return ranges


def notes_by_line(source):
    """{line on which a label comment begins: its notes}, {line on which one ends: notes}."""
    begin, end = {}, {}
    for comment in source.comments:
        note = parse_note(source.path, comment)
        if note:
            begin.setdefault(comment.first_line, []).append(note)
            end.setdefault(comment.last_line, []).append(note)
    return begin, end


def notes_above(source, ends, line):
    """Notes in the comment-only lines directly above `line`."""
    found = []
    above = line - 1
    while above >= 1 and source.is_comment_only(above) and source.text_line_is_comment(above):
        found += ends.get(above, [])
        above -= 1
    return found


def notes_of(source, begins, ends, operation, open_parenthesis, starts):
    """The notes that belong to an operation. `starts`: positions of all operations of the file."""
    last = source.line_of(source.close_of(open_parenthesis))
    for line in range(operation.line, last + 1):  # in its own lines
        if line in begins:
            return begins[line]
    above = notes_above(source, ends, operation.line)
    if above:
        return above
    begin, end = source.statement_around(operation.position)
    head = source.head_end(begin, operation.position)
    if head is not None and any(head < start < end for start in starts):
        end = head  # what is governed has operations, and notes, of its own
    for line in range(last + 1, source.line_of(end) + 1):  # up to the end of the statement
        if line in begins:
            return begins[line]
    return notes_above(source, ends, source.line_of(begin))


@functools.lru_cache(maxsize=4096)
def scan_code(path, text, extra):
    """Operations and misuses of one C file. `extra`: names that rows use beside the seam's."""
    source = CodeSource(path, text)
    begins, ends = notes_by_line(source)
    exempt = exempt_ranges(source)
    pattern = OPERATION
    if extra:
        pattern = re.compile(r'\b(?:%s(%s)|(%s))\s*\(' % (PREFIX, NAME, '|'.join(extra)))
    operations, errors = [], []
    matches = [match for match in pattern.finditer(source.code)
               if is_call(source, match.start())
               and not any(a <= match.start() <= b for a, b in exempt)]
    starts = [match.start() for match in matches]
    for match in matches:
        start = match.start()
        name = next(group for group in match.groups() if group).replace('cas_weak_', 'cas_')
        operation = Operation(source, start, name)
        operation.notes = notes_of(source, begins, ends, operation, match.end() - 1, starts)
        operations.append(operation)
    used = {id(note) for operation in operations for note in operation.notes}
    lines_exempt = [(source.line_of(a), source.line_of(b)) for a, b in exempt]
    for line, notes in begins.items():
        if not any(a <= line <= b for a, b in lines_exempt):
            errors += ['%s: this label belongs to no operation' % note.where
                       for note in notes if id(note) not in used]
    for match in FORBIDDEN.finditer(source.code):
        errors.append('%s:%d: %s: atomic operations go through filch/atomic.h' % (
            path, source.line_of(match.start()), match.group(1) or match.group(2)))
    return operations, errors


class CodeSource(Source):
    def text_line_is_comment(self, line):
        start = self.line_starts[line - 1]
        end = self.text.find('\n', start)
        return bool(self.text[start:end if end >= 0 else len(self.text)].strip(' \t\\'))


def sections_of_comments(source):
    """(line, text) of the lines of each section "Orders" in the comments of a C file."""
    for comment in source.comments:
        inside = False
        heading_indent = 0
        for offset, raw in enumerate(comment.text.split('\n')):
            line = re.sub(r'^\s*\*?', '', raw, count=1) if offset else raw.lstrip('*')
            body = line.strip()
            indent = len(line) - len(line.lstrip())
            if re.match(r'Orders\b', body):
                inside, heading_indent = True, indent
                yield None
            elif inside and body and indent <= heading_indent:
                inside = False
            elif inside:
                yield comment.first_line + offset, line


def sections_of_readme(text):
    """The same for a README.md: from a heading "Orders" to the next heading."""
    inside = False
    for number, line in enumerate(text.split('\n'), 1):
        heading = re.match(r'#+\s+(.*)', line)
        if heading:
            inside = bool(re.match(r'Orders\b', heading.group(1)))
            if inside:
                yield None
        elif inside:
            yield number, line


@functools.lru_cache(maxsize=4096)
def scan_rows(path, text):
    """Rows of the tables of one file, and errors."""
    if path.endswith('.md'):
        lines = sections_of_readme(text)
    else:
        lines = sections_of_comments(Source(path, text))
    joined = []  # [line number, indent, text]
    open_row = False
    for item in lines:
        if item is None or not item[1].strip():
            open_row = False
            continue
        number, line = item
        start = ROW_START.match(line)
        indent = len(line) - len(line.lstrip())
        if open_row and indent > joined[-1][1]:
            joined[-1][2] += ' ' + line.strip()
        elif start:
            joined.append([number, indent, start['row'].strip()])
            open_row = True
        else:
            open_row = False
    rows, errors = [], []
    for number, _, row in joined:
        match = ROW.match(row)
        if match:
            rows.append(Row(path, number, match))
        else:
            errors.append('%s:%d: this row of the orders is not of the form '
                          '"A1 name what (where) -> A2 name what (where): what it guarantees"'
                          % (path, number))
    return rows, errors


class Table:
    """All rows, by label and by edge."""

    def __init__(self, rows):
        self.rows = rows
        self.names = {}  # label -> (set of names, where)
        self.edges = {}  # (own, arrow, partner) -> where
        self.errors = []
        for row in rows:
            for own, names, arrow, partner in row.sides():
                self._add_names(own, names, row)
                self.edges.setdefault((own, arrow, partner), row.where)
        seen = {}
        for row in rows:
            key = (row.left, row.arrow, row.right)
            if key in seen:
                self.errors.append('%s: row %s %s %s stands at %s already' % (
                    (row.where,) + key + (seen[key],)))
            seen.setdefault(key, row.where)

    def _add_names(self, own, names, row):
        if own not in self.names:
            self.names[own] = (set(names), row.where)
        elif self.names[own][0] != set(names):
            self.errors.append('%s: label %s is %s here, and %s at %s' % (
                row.where, own, '|'.join(names), '|'.join(sorted(self.names[own][0])),
                self.names[own][1]))


def check_operation(operation, table):
    """Errors of one operation; its edges become part of table.used."""
    if not operation.notes:
        return ['%s: %s has no label: /* A1 -> A2 */ or /* relaxed: reason */' % (
            operation.where, operation.name)]
    errors = []
    edges = [edge for note in operation.notes for edge in note.edges]
    reasons = [note.reason for note in operation.notes if note.reason]
    mine = []
    for edge in edges:
        own, arrow, partner = edge
        if own not in table.names:
            errors.append('%s: label %s has no row in any table "Orders"' % (operation.where, own))
            mine.append(edge)
        elif operation.name in table.names[own][0]:
            mine.append(edge)
            if edge not in table.edges:
                errors.append('%s: no row has the edge %s %s %s (rows of %s: %s)' % (
                    operation.where, own, arrow, partner, own, table_of(own, table)))
    if mine:
        table.used.update((edge, operation.name) for edge in mine)
        return errors
    if any(operation.needs_only(reason) for reason in reasons):
        return errors
    if edges:
        own = edges[0][0]
        errors.append('%s: %s is labelled %s, which is %s in the row at %s' % (
            operation.where, operation.name, own, '|'.join(sorted(table.names[own][0])),
            table.names[own][1]))
    elif reasons or not operation.needs_only('relaxed'):
        kind = reasons[0] if reasons else 'relaxed'
        errors.append('%s: %s is not %s, but its comment gives a reason for %s; '
                      'it needs a label' % (operation.where, operation.name, kind, kind))
    else:
        errors.append('%s: "relaxed:" without a reason' % operation.where)
    return errors


def table_of(own, table):
    return ', '.join('%s %s %s' % edge for edge in sorted(table.edges) if edge[0] == own)


def check_notes(operations, table):
    """Parts of a comment that fit none of the operations to which the comment belongs."""
    sharing = {}
    for operation in operations:
        for note in operation.notes:
            sharing.setdefault(id(note), (note, []))[1].append(operation)
    errors = []
    for note, sharers in sharing.values():
        names = {operation.name for operation in sharers}
        for own, _, _ in note.edges:
            if own in table.names and not names & table.names[own][0]:
                errors.append('%s: label %s is %s in the row at %s, but here stands %s' % (
                    note.where, own, '|'.join(sorted(table.names[own][0])), table.names[own][1],
                    ', '.join(sorted(names))))
        if note.reason and not any(operation.needs_only(note.reason) for operation in sharers):
            errors.append('%s: a reason for %s, but %s is not %s' % (
                note.where, note.reason, ', '.join(sorted(names)), note.reason))
    return errors


def check_rows(table):
    """Rows with a side, an alternative or a partner that no operation has."""
    errors = []
    used_names = {(edge[0], name) for edge, name in table.used}
    used_edges = {edge for edge, _ in table.used}
    for row in table.rows:
        for own, names, arrow, partner in row.sides():
            for name in names:
                if (own, name) not in used_names:
                    errors.append('%s: no operation %s carries the label %s' % (
                        row.where, name, own))
            backward = (own, BACK[arrow], partner) if own == partner else None
            if (own, arrow, partner) not in used_edges and backward not in used_edges:
                errors.append('%s: no operation %s names its partner: %s %s %s' % (
                    row.where, own, own, arrow, partner))
    return errors


def check(files):
    """Checks {path: text}. Returns (errors, numbers of operations, labels and rows)."""
    rows, errors = [], []
    for path in sorted(files):
        found, wrong = scan_rows(path, files[path])
        rows += found
        errors += wrong
    table = Table(rows)
    table.used = set()
    errors += table.errors
    named = {name for names, _ in table.names.values() for name in names}
    extra = tuple(sorted(name for name in named if not re.fullmatch(NAME, name)))
    operations = []
    for path in sorted(files):
        if path != SEAM and path.endswith(('.c', '.h')):
            found, wrong = scan_code(path, files[path], extra)
            operations += found
            errors += wrong
    for operation in operations:
        errors += check_operation(operation, table)
    errors += check_notes(operations, table)
    errors += check_rows(table)
    errors = sorted(set(errors), key=lambda e: (e.split(':')[0], int(e.split(':')[1]), e))
    return errors, (len(operations), len(table.names), len(rows))


def read_files(root):
    """Everything that the check looks at."""
    files = read_tree(root, ['include', 'runtime'], ('.c', '.h'))
    for path, text in read_tree(root, ['include', 'runtime'], ('README.md',)).items():
        files[path] = text
    return files


def main():
    default = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')
    root = sys.argv[1] if len(sys.argv) > 1 else default
    errors, numbers = check(read_files(root))
    for error in errors:
        print(error)
    print('check_orders: %d operations, %d labels, %d rows, %d errors' % (numbers + (len(errors),)))
    return 1 if errors or numbers[0] == 0 else 0


if __name__ == '__main__':
    sys.exit(main())
