#!/usr/bin/env python3
"""Makes manual pages from a small header that has everything a comment may have, and reads them.

usage: pages_test.py PAGES_PY DOXYGEN MANDOC
"""
import os
import re
import subprocess
import sys
import tempfile
import unittest

SCRIPT, DOXYGEN, MANDOC = os.path.abspath(sys.argv[1]), *sys.argv[2:4]

MAIN = '/* filch.h: a box. */\n#include <filch/box.h>\n'
BOX = r'''/* filch/box.h: boxes with "<quotes>", <angles>, 100% @at \back #hash a::b -- dashes.
 *
 * Threads: any.
 *
 * SPDX-License-Identifier: MIT */
#include <stddef.h>

/* A box. Opaque.
 *
 * Threads: one at a time. */
typedef struct filch_box filch_box;

/* How full. */
enum filch_full {
    /* Nothing is in it. */
    FILCH_EMPTY,
    /* Something is,
     * or was. */
    FILCH_SOME
};

/* Options. */
typedef struct filch_box_options {
    /* Called with what is thrown away; NULL: nobody is. */
    void (*thrown)(void *context, int n);
    /* Width and height. Metres, 1 to 9. */
    int width, height;
} filch_box_options;

/* Seconds, and hours. */
#define FILCH_S(x) (x)
#define FILCH_H(x) ((x) * 3600)

/* Puts things into a box:
 *
 * - first `a < b`; then
 *   more of it
 * - then the rest.
 *
 * For example:
 *
 *     if (filch_put(box, 1, NULL) && x->y) puts("%d\n");
 *     .done = -1;
 *
 * More text, with filch_empty. Returns are not this.
 *
 * box, n  the box, and how many
 * fn      called -1 times
 *         or more
 * Returns  0; FILCH_EMPTY (why). More.
 *
 * And more still.
 * Ownership: "yours". Since: 0.1. */
FILCH_API int filch_put(filch_box *box, size_t n, int (*fn)(void *, int));

/* Empties it, whatever it is.
 *
 * Threads: none. Source: a paper, 1999. Since: 0.2. */
FILCH_API void filch_empty(void);
'''


class Pages(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.here = cls.folder.name
        os.mkdir(os.path.join(cls.here, 'filch'))
        for name, text in (('filch.h', MAIN), ('filch/box.h', BOX)):
            with open(os.path.join(cls.here, name), 'w', encoding='utf-8') as file:
                file.write(text)
        subprocess.run([sys.executable, SCRIPT, DOXYGEN, '1.2.3', 'man3', 'man7', 'filch.h', 'filch/box.h'],
                       cwd=cls.here, check=True)

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def page(self, name):
        """{section: text} of a page in which mandoc finds no fault."""
        path = os.path.join(self.here, 'man' + name[-1], name)
        lint = subprocess.run([MANDOC, '-T', 'lint', '-W', 'warning', path], stdout=subprocess.PIPE,
                              check=False, universal_newlines=True).stdout
        self.assertEqual(lint, '')
        text = subprocess.run([MANDOC, '-T', 'ascii', '-O', 'width=200', path], check=True,
                              stdout=subprocess.PIPE, universal_newlines=True).stdout
        parts = re.split(r'^([A-Z][A-Z ]+)$', re.sub('.\b', '', text), flags=re.MULTILINE)
        self.head = parts[0]
        return {title: '\n'.join(line.strip() for line in body.strip().split('\n'))
                for title, body in zip(parts[1::2], parts[2::2])}

    def test_no_warnings(self):
        with open(os.path.join(self.here, 'doxygen-warnings.txt'), encoding='utf-8') as file:
            self.assertEqual(file.read(), '')

    def test_function(self):
        page = self.page('filch_put.3')
        self.assertEqual(page['NAME'], 'filch_put - puts things into a box')
        self.assertEqual(page['SYNOPSIS'], '#include <filch.h>\n\n'
                                           'int filch_put(filch_box *box, size_t n, int (*fn)(void *, int));')
        description = page['DESCRIPTION']
        for text in ('o first a < b; then more of it', 'o then the rest.',
                     'if (filch_put(box, 1, NULL) && x->y) puts("%d\\n");\n.done = -1;',
                     'More text, with filch_empty.  Returns are not this.', 'And more still.'):
            self.assertIn(text, description)
        self.assertEqual(page['PARAMETERS'].split('\n\n'), ['box, n the box, and how many',
                                                            'fn     called -1 times or more'])
        self.assertEqual(page['RETURNS'], '0; FILCH_EMPTY (why).  More.')
        self.assertEqual(page['OWNERSHIP'], '"yours".')
        self.assertEqual(page['THREADS'], 'One at a time.', 'from the type of the first parameter')
        self.assertEqual(page['SINCE'], 'filch 0.1.')
        self.assertEqual(page['SEE ALSO'].split('\n')[0], 'filch_box(3), filch_empty(3), filch(7)')

    def test_function_of_nothing(self):
        page = self.page('filch_empty.3')
        self.assertEqual(page['SYNOPSIS'].split('\n')[-1], 'void filch_empty(void);')
        self.assertEqual(page['RETURNS'], 'Nothing.')
        self.assertEqual(page['THREADS'], 'None.')
        self.assertEqual(page['SOURCE'], 'a paper, 1999.')
        self.assertIn('filch manual', self.head)

    def test_types(self):
        page = self.page('filch_full.3')
        self.assertEqual(page['VALUES'].split('\n\n'), ['FILCH_EMPTY\nNothing is in it.',
                                                        'FILCH_SOME\nSomething is, or was.'])
        page = self.page('filch_box_options.3')
        self.assertIn('void (*thrown)(void *context, int n);', page['SYNOPSIS'])
        self.assertIn('width, height\nWidth and height.  Metres, 1 to 9.', page['FIELDS'])
        self.assertEqual(self.page('filch_box.3')['SYNOPSIS'].split('\n')[-1],
                         'typedef struct filch_box filch_box;')

    def test_macros_that_share_a_comment(self):
        self.assertEqual(self.page('FILCH_S.3')['DESCRIPTION'], 'Seconds, and hours.')
        self.assertEqual(self.page('FILCH_H.3')['DESCRIPTION'], 'Seconds, and hours.')

    def test_table(self):
        page = self.page('filch.7')
        self.assertEqual(page['NAME'], 'filch - a box')
        self.assertIn('Boxes with "<quotes>", <angles>, 100% @at \\back #hash a::b -- dashes', page['DESCRIPTION'])
        self.assertIn('filch_put(3)\nputs things into a box', page['DESCRIPTION'])


if __name__ == '__main__':
    unittest.main(argv=sys.argv[:1])
