#!/usr/bin/env python3
"""Makes the manual pages from the public headers.

usage: pages.py DOXYGEN VERSION MAN3 MAN7 HEADER...

Flow: doxygen reads the headers through comments.py and writes XML; each documented function, type and
macro with arguments becomes a page in the folder MAN3, and all of them a table in MAN7/filch.7.
What doxygen warns of goes to the file doxygen-warnings.txt beside the folders.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
import time
import xml.etree.ElementTree as ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
SECTIONS = ['Returns', 'Ownership', 'Threads', 'Progress', 'Ordering', 'Since', 'Source']
# Headers that are read before the others.
FIRST = ['filch.h', 'task.h', 'executor.h', 'future.h']
# Columns of a prototype; letters of the line for NAME that say enough, and that are too many.
WIDTH = 78
SHORT_NAME = 25
LONG_NAME = 70
# The macro that lists names, values and texts of the codes.
ERROR_LIST = 'FILCH_ERRORS'


# Words ------------------------------------------------------------------------------------------

def plain(text):
    """Text as troff takes it; a sign before a word is no hyphen."""
    text = text.replace('\\', '\\e').replace('\u2013', '--')
    return re.sub(r'(?<!\w)-(?=\w)', r'\\-', text)


def guard(line):
    """A line of text that does not look like a request."""
    return '\\&' + line if line[:1] in ("'", '.') else line


def literal(text):
    """Code: every hyphen is a minus."""
    return '\n'.join(guard(line.replace('\\', '\\e').replace('-', '\\-')) for line in text.split('\n'))


def sentences(text):
    """Lines of text, a new one for each sentence."""
    parts = re.split(r'(?<=[.!?])\s+|(?<=[.!?][)"])\s+', ' '.join(text.split()))
    lines = (line for part in parts for line in textwrap.wrap(
        part, 78, break_long_words=False, break_on_hyphens=False))
    return '\n'.join(guard(line) for line in lines)


def capital(text):
    """A sentence; names keep their letters."""
    return text[:1].upper() + text[1:] if re.match(r"[a-z]+(?:[ ,.;'-]|$)", text) else text


def prose(text):
    """Text with the names of the library in bold."""
    return re.sub(r'\b((?:filch|FILCH)_\w+)', r'\\fB\1\\fR', plain(text))


def without_fonts(text):
    return re.sub(r'\\f[BIR]', '', text)


# Documented things ------------------------------------------------------------------------------

class Description:
    """What a comment says: blocks of text, code and lists; parameters; sections."""

    def __init__(self, *elements):
        self.blocks = []     # (kind, text for troff): kind is text, code or list
        self.parameters = []  # (name, text)
        self.sections = {}   # Returns, Ownership ...: text
        for element in elements:
            for para in element.findall('para') if element is not None else []:
                self._add_para(para, self.blocks)

    def __bool__(self):
        return bool(self.blocks)

    def _inline(self, element):
        """An element within words: code is bold as a whole."""
        words = ''.join(element.itertext())
        return '\\fB%s\\fR' % literal(words) if element.tag == 'computeroutput' else prose(words)

    def _add_para(self, para, blocks):
        """Cuts a <para>, which may hold blocks between its words."""
        words = prose(para.text or '')
        for child in para:
            add = {'parameterlist': self._add_parameters, 'simplesect': self._add_section}.get(child.tag)
            if add or child.tag in ('programlisting', 'verbatim', 'itemizedlist'):
                self._add_text(words, blocks)
                words = ''
            if add:
                add(child)
            elif child.tag in ('programlisting', 'verbatim'):
                blocks.append(('code', literal(self._code(child))))
            elif child.tag == 'itemizedlist':
                blocks.append(('list', [self._all(item) for item in child.findall('listitem')]))
            else:
                words += self._inline(child)
            words += prose(child.tail or '')
        self._add_text(words, blocks)

    @staticmethod
    def _add_text(words, blocks):
        if words.strip():
            blocks.append(('text', sentences(words)))

    @staticmethod
    def _code(listing):
        """The text of a program; <sp/> stands for its blanks."""
        lines = []
        for line in listing.findall('codeline'):
            for blank in line.iter('sp'):
                blank.text = ' '
            lines.append(''.join(line.itertext()))
        return '\n'.join(lines) if lines else listing.text or ''

    def _all(self, element):
        """The blocks of an element that holds paragraphs, for troff."""
        blocks = []
        for para in element.findall('para'):
            self._add_para(para, blocks)
        return format_blocks(blocks)

    def _add_parameters(self, element):
        for item in element.findall('parameteritem'):
            names = [name.text for name in item.iter('parametername')]
            self.parameters.append((', '.join(names), self._all(item.find('parameterdescription'))))

    def _add_section(self, element):
        title = element.findtext('title') or {'return': 'Returns'}[element.get('kind')]
        self.sections[title] = self._all(element)

    def first_sentence(self):
        """The line for NAME: up to the first full stop, or before, where it would be long."""
        text = self.blocks[0][1] if self.blocks and self.blocks[0][0] == 'text' else ''
        text = without_fonts(re.split(r'(?<=[.!?])\s|; ', text.replace('\n', ' '))[0].rstrip('.:'))
        if text.find(': ') > SHORT_NAME:
            text = text.split(': ')[0]
        while len(text) > LONG_NAME and ', ' in text:
            text = text.rsplit(', ', 1)[0]
        return text[:1].lower() + text[1:] if re.match(r'[A-Z][a-z ]', text) else text


class Thing:
    """A function, type, macro or enumeration: its name, where it stands, and what is said of it."""

    def __init__(self, element, header):
        self.element = element
        self.header = header
        self.kind = element.get('kind')
        self.name = element.findtext('name') or element.findtext('compoundname')
        self.said = Description(element.find('briefdescription'), element.find('detaileddescription'))
        location = element.find('location')
        self.line = int(location.get('line')) if location is not None else 0
        self.type = text_of(element.find('type'))
        self.arguments = element.findtext('argsstring') or ''

    def members(self, tag):
        """What a structure or an enumeration is made of; a comment holds for the rest of its line."""
        previous = None
        for element in self.element.findall('.//' + tag):
            member = Thing(element, self.header)
            if not member.said and previous is not None and previous.line == member.line:
                member.said = previous.said
            previous = member
            yield member


def text_of(element):
    return '' if element is None else ' '.join(''.join(element.itertext()).split())


class Header:
    """A public header: what its first comment says, and the documented things in it."""

    def __init__(self, folder, name):
        compound = ElementTree.parse(os.path.join(folder, name)).getroot().find('compounddef')
        self.name = compound.findtext('compoundname')
        self.said = Description(compound.find('briefdescription'), compound.find('detaileddescription'))
        things = [Thing(member, self) for member in compound.iter('memberdef')]
        for inner in compound.findall('innerclass'):
            tree = ElementTree.parse(os.path.join(folder, inner.get('refid') + '.xml')).getroot()
            things.append(Thing(tree.find('compounddef'), self))
        things.sort(key=lambda thing: thing.line)
        for above, thing in zip(things, things[1:]):  # macros that share a comment
            if thing.kind == above.kind == 'define' and thing.line == above.line + 1 and not thing.said:
                thing.said = above.said
        self.things = [thing for thing in things if thing.said]


# Pages ------------------------------------------------------------------------------------------

def format_blocks(blocks):
    """Paragraphs, code and lists."""
    out = []
    for kind, content in blocks:
        out += ['.PP'] if out and kind != 'list' else []
        if kind == 'text':
            out.append(content)
        elif kind == 'code':
            out += ['.RS 4', '.nf', content, '.fi', '.RE']
        else:
            out += ['.IP \\(bu 2\n' + item for item in content]
    return '\n'.join(out)


def format_list(items):
    """Terms with what is said of them."""
    return '\n'.join('.TP\n%s\n%s' % item for item in items)


def split_arguments(text):
    """The parameters of an argument list in parentheses; commas in inner ones do not count."""
    parts = re.findall(r'(?:[^,()]|\([^()]*\))+', text.strip()[1:-1])
    return [re.sub(r'(?<=\w)\(\*', ' (*', part.strip()) for part in parts]


def mark_name(argument):
    """A parameter with its name in italics, the rest bold."""
    name = re.search(r'\(\*(\w+)\)|(\w+)(?:\[[^]]*\])?$', argument)
    if not name or argument == 'void':
        return '\\fB%s\\fR' % literal(argument)
    begin, end = name.span(1) if name.group(1) else name.span(2)
    return '\\fB%s\\fI%s\\fB%s\\fR' % (literal(argument[:begin]), argument[begin:end],
                                        literal(argument[end:]))


def prototype(kind, name, arguments, end=';'):
    """A declaration over as many lines as it takes."""
    lines, marked, column = [], '\\fB%s%s(\\fR' % (kind, name), len(kind + name) + 1
    indent = column if column < WIDTH // 2 else 8
    for i, argument in enumerate(arguments):
        rest = ',' if i + 1 < len(arguments) else ')' + end
        if i > 0 and column + len(argument) + len(rest) + 1 > WIDTH:
            lines.append(marked)
            marked, column = ' ' * indent, indent
        elif i > 0:
            marked, column = marked + ' ', column + 1
        marked += mark_name(argument) + '\\fB%s\\fR' % rest
        column += len(argument) + len(rest)
    return '\n'.join(lines + [marked])


def spaced(kind):
    """A type before a name."""
    return kind if kind.endswith('*') else kind + ' '


def field(member):
    """The declaration of a field."""
    if member.type.endswith('(*'):
        return member.type[:-2].strip() + ' (*' + member.name + member.arguments
    return spaced(member.type) + member.name + member.arguments


def synopsis(thing):
    if thing.kind == 'function':
        return prototype(spaced(thing.type), thing.name, split_arguments(thing.arguments))
    if thing.kind == 'typedef' and thing.arguments:
        return prototype('typedef ' + spaced(thing.type), thing.name, split_arguments(thing.arguments))
    if thing.kind == 'define':
        return prototype('', thing.name, [name.text for name in thing.element.iter('defname')], '')
    if thing.kind == 'typedef':
        lines = ['typedef %s%s;' % (spaced(thing.type), thing.name)]
    elif thing.kind == 'enum':
        lines = ['    %s,' % member.name for member in thing.members('enumvalue')]
        lines = ['enum %s {' % thing.name] + lines + ['};']
    else:
        lines = ['    %s;' % field(member) for member in thing.members('memberdef')]
        lines = ['typedef struct %s {' % thing.name] + lines + ['} %s;' % thing.name]
    return '\n'.join('\\fB%s\\fR' % literal(line) for line in lines)


def values_and_fields(thing):
    """Sections for what a type is made of."""
    for title, tag in (('VALUES', 'enumvalue'), ('FIELDS', 'memberdef')):
        groups = []
        for member in thing.members(tag) if thing.kind in ('enum', 'struct') else []:
            if groups and groups[-1][1] is member.said:
                groups[-1][0].append(member.name)
            else:
                groups.append(([member.name], member.said))
        if groups:
            yield title, format_list(('\\fI%s\\fR' % ', '.join(names), format_blocks(said.blocks))
                                     for names, said in groups)


def links(names):
    """Names of pages, as they stand in SEE ALSO."""
    return ',\n'.join('.BR %s (%d)' % pair for pair in names)


def has_page(thing):
    """Functions, types, and macros that take arguments; the rest stands in filch(7)."""
    if not thing.name or thing.name.startswith('@'):
        return False
    if thing.kind == 'define':
        return thing.element.find('param') is not None and thing.name != ERROR_LIST
    return thing.kind in ('function', 'typedef', 'enum', 'struct')


class Writer:
    """Knows what all pages share: version, date, and which pages there are."""

    def __init__(self, version, date, headers):
        self.version, self.date, self.headers = version, date, headers
        self.pages = {thing.name: thing for header in headers for thing in header.things
                      if has_page(thing)}

    def page(self, name, section, brief, parts):
        """A page, from (title, text) of its sections."""
        head = ['.\\" Made from the headers of filch: change those.',
                '.TH %s %d %s "filch %s" "filch manual"' % (
                    name, section, self.date, self.version), '.nh', '.ad l']
        parts = [('NAME', '%s \\- %s' % (name, brief))] + parts
        return '\n'.join(head + ['.SH %s\n%s' % part for part in parts if part[1]]) + '\n'

    def sections(self, thing):
        """What the comment of a function says in sections, and what holds without it."""
        sections = dict(thing.said.sections)
        if thing.kind == 'function' and thing.type == 'void':
            sections.setdefault('Returns', 'Nothing.')
        if thing.kind == 'function' and 'Threads' not in sections:
            sections.update(self.threads_of(thing))
        for title in ('Ownership', 'Threads', 'Progress', 'Ordering'):
            if title in sections:
                sections[title] = capital(sections[title])
        if 'Since' in sections:
            sections['Since'] = 'filch ' + sections['Since']
        return [(title.upper(), sections[title]) for title in SECTIONS if title in sections]

    def threads_of(self, function):
        """What the type of its first parameter says of threads, else what the header says."""
        first = re.match(r'\((?:const )?(\w+) ', function.arguments)
        kind = self.pages.get(first.group(1)) if first else None
        for said in (kind.said if kind else None, function.header.said):
            if said and 'Threads' in said.sections:
                return {'Threads': said.sections['Threads']}
        return {}

    def thing_page(self, thing):
        said = thing.said
        parts = [('SYNOPSIS', '.nf\n\\fB#include <filch.h>\\fR\n.PP\n%s\n.fi' % synopsis(thing)),
                 ('DESCRIPTION', format_blocks(said.blocks))]
        parts += values_and_fields(thing)
        parts += [('PARAMETERS', format_list(('\\fI%s\\fR' % name, text)
                                             for name, text in said.parameters))]
        parts += self.sections(thing)
        text = '\n'.join(text for _, text in parts)
        names = set(re.findall(r'\b(?:filch|FILCH)_\w+', without_fonts(text)))
        names = names & set(self.pages) - {thing.name}
        parts += [('SEE ALSO', links([(name, 3) for name in sorted(names)] + [('filch', 7)]))]
        return self.page(thing.name, 3, said.first_sentence(), parts)

    def table_page(self):
        main = next(header for header in self.headers if header.name == 'filch.h')
        command = literal('cc main.c $(pkg-config --cflags --libs filch)')
        parts = [('SYNOPSIS', '.nf\n\\fB#include <filch.h>\\fR\n.PP\n%s\n.fi' % command),
                 ('DESCRIPTION', '\n'.join(self.table_of(header) for header in self.headers
                                           if header is not main)),
                 ('CONSTANTS', format_list(self.constants())),
                 ('ERRORS', format_list(self.errors())),
                 ('SEE ALSO', links((name, 3) for name in sorted(self.pages)))]
        return self.page('filch', 7, main.said.first_sentence(), parts)

    def table_of(self, header):
        """What a header is for, and what is in it."""
        title = capital(header.said.first_sentence()).replace('"', '\\(dq')
        out = ['.SS "%s"' % title, format_blocks(header.said.blocks[1:])]
        if 'Threads' in header.said.sections:
            out += ['.PP' if out[1] else '', 'Threads: ' + header.said.sections['Threads']]
        out.append(format_list(('.BR %s (3)' % thing.name, thing.said.first_sentence())
                               for thing in header.things if thing.name in self.pages))
        return '\n'.join(line for line in out if line)

    def constants(self):
        for header in self.headers:
            for thing in header.things:
                if thing.name in self.pages or thing.name == ERROR_LIST:
                    continue
                for value in thing.members('enumvalue') if thing.kind == 'enum' else [thing]:
                    yield '\\fB%s\\fR' % value.name, format_blocks(value.said.blocks)

    def errors(self):
        """The list of codes, which stands in the headers as a macro."""
        for header in self.headers:
            for thing in header.things:
                if thing.name == ERROR_LIST:
                    text = text_of(thing.element.find('initializer'))
                    for name, value, meaning in re.findall(r'X\((\w+), ([\w-]+), "([^"]*)"\)', text):
                        yield '\\fBFILCH_%s\\fR (%s)' % (name, literal(value)), plain(meaning) + '.'


# The command ------------------------------------------------------------------------------------

def run_doxygen(doxygen, headers, folder, warnings):
    """Writes FOLDER/xml."""
    with open(os.path.join(HERE, 'Doxyfile'), encoding='utf-8') as file:
        settings = file.read()
    names = {'INPUT': ' '.join('"%s"' % header for header in headers),
             'INPUT_FILTER': '"\\"%s\\" \\"%s\\""' % (sys.executable, os.path.join(HERE, 'comments.py')),
             'OUTPUT_DIRECTORY': '"%s"' % folder,
             'WARN_LOGFILE': '"%s"' % warnings}
    settings += ''.join('%s = %s\n' % pair for pair in names.items())
    subprocess.run([doxygen, '-'], input=settings.encode(), check=True, stdout=subprocess.DEVNULL)


def date_of(headers):
    """When the headers were changed last, unless a reproducible build says otherwise."""
    seconds = os.environ.get('SOURCE_DATE_EPOCH') or max(os.path.getmtime(header) for header in headers)
    return time.strftime('%Y-%m-%d', time.gmtime(float(seconds)))


def make_folder(path):
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def write(path, text):
    with open(path, 'w', encoding='utf-8') as file:
        file.write(text)


def main():
    doxygen, version, man3, man7, *paths = sys.argv[1:]
    warnings = os.path.join(os.path.dirname(os.path.abspath(man3)), 'doxygen-warnings.txt')
    with tempfile.TemporaryDirectory() as folder:
        run_doxygen(doxygen, paths, folder, warnings)
        xml = os.path.join(folder, 'xml')
        headers = [Header(xml, os.path.basename(path).replace('.', '_8') + '.xml') for path in paths]
    headers.sort(key=lambda header: FIRST.index(header.name) if header.name in FIRST else len(FIRST))
    writer = Writer(version, date_of(paths), headers)
    make_folder(man3)
    for thing in writer.pages.values():
        write(os.path.join(man3, thing.name + '.3'), writer.thing_page(thing))
    write(os.path.join(make_folder(man7), 'filch.7'), writer.table_page())


if __name__ == '__main__':
    main()
