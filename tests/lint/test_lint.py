#!/usr/bin/env python3
"""Tests of the checks in this folder: on a small tree, and on copies of the real one with one fault.

usage: test_lint.py [ROOT]
"""
import os
import re
import shutil
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
import check_includes  # noqa: E402
import check_orders  # noqa: E402
import check_rules  # noqa: E402
import check_symbols  # noqa: E402

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..')

HEADER = '''\
/* box.h: a box for one value.
 *
 * Orders
 *   B1 store_release full (put) -> B2 load_acquire full (get): the value,
 *      and what was done before
 *   B3 cas_acq_rel|exchange_acq_rel owner (take) -> B3 cas_acq_rel|exchange_acq_rel owner (take):
 *      B3 alone takes it
 * Progress wait-free. */
#ifndef BOX_H
#define BOX_H

#define load_acquire filch_load_acquire
#define count_own(p) store_relaxed((p), load_relaxed(p) + 1) /* relaxed: a statistic */

static inline void put(struct box *box, int value) {
    box->value = value;
    store_release(&box->full, 1); /* B1 -> B2 */
}

static inline int get(struct box *box) {
    if (!load_acquire(&box->full)) return 0; /* B2 <- B1: the value too */
    return box->value;
}
#endif
'''

SOURCE = '''\
/* box.c */
#include "box.h"

int take(struct box *box, int me) {
    int nobody = 0;
    /* Prose about what follows. */
    /* B3 -> B3 */
    if (cas_weak_acq_rel(&box->owner,
                         &nobody, me)) return 1;
    for (int i = 0; i < load_relaxed(&box->limit); i++) { /* relaxed: a hint */
        box->text = "store_release(&x, 1)"; /* load_acquire(&x) is only said here */
    }
    return exchange_acq_rel(&box->owner, me) + load_relaxed(&box->limit); /* B3 -> B3; relaxed: a hint */
}
'''


def small_tree():
    return {'runtime/box.h': HEADER, 'runtime/thread/box.c': SOURCE}


class Orders(unittest.TestCase):
    """Each fault in the small tree gives its message."""

    def errors(self, old='', new='', path='runtime/thread/box.c'):
        files = small_tree()
        self.assertIn(old, files[path])
        files[path] = files[path].replace(old, new, 1)
        return check_orders.check(files)[0]

    def expect(self, message, old, new, path='runtime/thread/box.c'):
        errors = self.errors(old, new, path)
        self.assertTrue(any(message in error for error in errors), errors)
        self.assertTrue(all(re.match(r'[\w./]+:\d+: ', error) for error in errors), errors)

    def test_small_tree_is_clean(self):
        errors, numbers = check_orders.check(small_tree())
        self.assertEqual(errors, [])
        self.assertEqual(numbers, (8, 3, 2))

    def test_no_label(self):
        self.expect('has no label', '/* B3 -> B3 */\n', '\n')
        self.expect('has no label', ' /* relaxed: a hint */', '')
        self.expect('has no label', '/* B1 -> B2 */', '/* publishes */', 'runtime/box.h')

    def test_label_without_row(self):
        self.expect('label B9 has no row', '/* B3 -> B3 */\n', '/* B9 -> B3 */\n')

    def test_row_without_operation(self):
        self.expect('no operation load_acquire carries the label B8', ' * Progress',
                    ' *   B7 store_release x (a) -> B8 load_acquire x (b): y\n * Progress',
                    'runtime/box.h')

    def test_row_taken_away(self):
        self.expect('label B1 has no row', ' *   B1 store', ' *   store', 'runtime/box.h')

    def test_alternative_without_operation(self):
        self.expect('no operation exchange_acq_rel carries the label B3', 'exchange_acq_rel(',
                    'cas_acq_rel(')

    def test_other_order(self):
        self.expect('store_relaxed is labelled B1, which is store_release', 'store_release(',
                    'store_relaxed(', 'runtime/box.h')
        self.expect('labelled B3', 'cas_weak_acq_rel', 'cas_weak_relaxed')

    def test_other_operation(self):
        self.expect('labelled B1', 'store_release(', 'exchange_release(', 'runtime/box.h')

    def test_reason_at_other_order(self):
        self.expect('not relaxed', 'load_relaxed(&box->limit); i', 'load_acquire(&box->limit); i')
        self.expect('not relaxed', '/* B3 -> B3 */\n', '/* relaxed: because */\n')

    def test_reason_without_text(self):
        self.expect('without a reason', '/* relaxed: a hint */', '/* relaxed: */')

    def test_partner(self):
        self.expect('no row has the edge B1 -> B3', '/* B1 -> B2 */', '/* B1 -> B3 */',
                    'runtime/box.h')
        self.expect('no row has the edge B1 <- B2', '/* B1 -> B2 */', '/* B1 <- B2 */',
                    'runtime/box.h')
        self.expect('names its partner', '/* B1 -> B2 */', '/* B1 -> B3 */', 'runtime/box.h')

    def test_label_of_two_operations(self):
        self.expect('label B1 is store_relaxed here', ' * Progress',
                    ' *   B1 store_relaxed full (a) -> B3 cas_acq_rel|exchange_acq_rel owner: y\n'
                    ' * Progress', 'runtime/box.h')

    def test_row_twice(self):
        self.expect('stands at', ' * Progress',
                    ' *   B1 store_release full (a) -> B2 load_acquire full (b): y\n * Progress',
                    'runtime/box.h')

    def test_row_that_cannot_be_read(self):
        self.expect('not of the form', '(put) -> B2', '(put) to B2', 'runtime/box.h')
        self.expect('not of the form', 'full (get): the value,', 'full (get)', 'runtime/box.h')

    def test_label_without_operation(self):
        self.expect('belongs to no operation', 'int nobody = 0;', 'int nobody = 0; /* B3 -> B3 */')
        self.expect('belongs to no operation', 'int nobody = 0;', 'int nobody = 0; /* relaxed: x */')

    def test_head_of_a_loop_and_what_it_governs(self):
        old = '    return exchange'
        new = ('    for (o = load_relaxed(&a); o;\n         o = next(o)) /* relaxed: of the head */\n'
               '        n += load_relaxed(&b); /* relaxed: of the body */\n'
               '    if (load_relaxed(&c))\n        return 0; /* relaxed: of the head */\n') + old
        self.assertEqual(self.errors(old, new), [])
        self.expect('has no label', old, new.replace(' /* relaxed: of the head */', '', 1))
        self.expect('has no label', old, new.replace(' /* relaxed: of the body */', '', 1))

    def test_past_the_seam(self):
        for use in ('__atomic_load_n(&x, 0);', '__sync_synchronize();', 'uatomic_read(&x);',
                    'atomic_load(&x);', '_Atomic int x;', 'cmm_smp_mb();', 'CMM_LOAD_SHARED(x);',
                    '\n#include <stdatomic.h>\n'):
            self.expect('go through filch/atomic.h', 'int nobody = 0;', use)

    def test_edge_without_direction(self):
        files = {'runtime/a.c': '/* Orders\n *   S1 fence_seq_cst (a) <-> S2 fence_seq_cst (b): one sees'
                                ' the other */\nvoid f(void) {\n    fence_seq_cst(); /* S1 <-> S2 */\n'
                                '    fence_seq_cst(); /* S2 <-> S1 */\n}\n'}
        self.assertEqual(check_orders.check(files)[0], [])
        files['runtime/a.c'] = files['runtime/a.c'].replace('/* S2 <-> S1', '/* S2 <- S1')
        self.assertNotEqual(check_orders.check(files)[0], [])

    def test_rows_of_a_readme(self):
        files = {'runtime/r/README.md': '# Room\n\n## Orders\n\nProse.\n\n- S1 store_release x (a) -> S2 '
                                        'load_acquire x (b):\n  y\n\n## Later\n\n- S8 is no row\n',
                 'runtime/r/a.c': 'void f(void) {\n    store_release(&x, 1); /* S1 -> S2 */\n'
                                  '    load_acquire(&x); /* S2 <- S1 */\n}\n'}
        self.assertEqual(check_orders.check(files)[0], [])

    def test_function_that_is_no_operation_of_the_seam(self):
        files = {'runtime/a.c': '/* Orders\n *   I1 cds_lfs_push top (a) -> I2 __cds_lfs_pop_all top (b): '
                                'y */\nvoid f(void) {\n    cds_lfs_push(&x, 1); /* I1 -> I2 */\n'
                                '    __cds_lfs_pop_all(&x); /* I2 <- I1 */\n}\n'}
        self.assertEqual(check_orders.check(files)[0], [])
        files['runtime/a.c'] = files['runtime/a.c'].replace(' /* I1 -> I2 */', '')
        self.assertTrue(any('cds_lfs_push has no label' in e
                            for e in check_orders.check(files)[0]))

    def test_definition_of_an_operation_is_exempt(self):
        files = small_tree()
        files['runtime/os/f.h'] = ('static inline void fence_light(void) {\n    fence_seq_cst();\n}\n'
                                   '#define filch_fence_heavy() \\\n    fence_seq_cst()\n')
        self.assertEqual(check_orders.check(files)[0], [])


class RealTree(unittest.TestCase):
    """With any one label, order or row of the tree changed, a fault appears that was not there."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        for name in ('include', 'runtime'):
            shutil.copytree(os.path.join(ROOT, name), os.path.join(cls.folder, name))
        cls.files = check_orders.read_files(cls.folder)
        cls.errors, cls.numbers = check_orders.check(cls.files)
        rows = [row for path in cls.files for row in check_orders.scan_rows(path, cls.files[path])[0]]
        cls.rows = rows
        # Where a row has alternatives, changing one into the other may be legal.
        cls.alternatives = {name for row in rows for names in row.names if len(names) > 1
                            for name in names}

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def changed(self, path, start, end, text):
        files = dict(self.files)
        files[path] = files[path][:start] + text + files[path][end:]
        return self.new_errors(files)

    def new_errors(self, files):
        return set(check_orders.check(files)[0]) - set(self.errors)

    def matches(self, pattern):
        for path in sorted(self.files):
            if path != check_orders.SEAM and path.endswith(('.c', '.h')):
                for match in re.finditer(pattern, self.files[path], re.DOTALL):
                    yield path, match

    def test_has_operations(self):
        self.assertGreater(self.numbers[0], 50)

    def test_any_label_taken_away(self):
        count = 0
        for path, match in self.matches(r'/\*\s*(?:[A-Z][0-9]+[a-z]? (?:->|<-|<->) |relaxed: |light: )'
                                        r'(?:(?!\*/).)*\*/'):
            with self.subTest(path=path, label=match.group()):
                self.assertTrue(self.changed(path, match.start(), match.end(), ''))
            count += 1
        self.assertGreater(count, 50)

    def test_any_order_changed(self):
        count = 0
        source = None
        for path, match in self.matches(r'\b(?:filch_)?%s(?=\s*\()' % check_orders.NAME):
            if source is None or source.path != path:
                source = check_orders.CodeSource(path, self.files[path])
                exempt = check_orders.exempt_ranges(source)
            start = match.start()
            if source.code[start] == ' ' or any(a <= start <= b for a, b in exempt):
                continue  # in a comment, or the definition of an operation
            old = match.group()
            order = re.search(r'(relaxed|acquire|release|acq_rel|seq_cst|after_rmw|light|heavy)$', old).group()
            fence = 'fence' in old
            for other in {'acquire', 'seq_cst', 'release' if fence else 'relaxed'} - {order}:
                new = old[:-len(order)] + other
                if re.sub('^filch_+', '', new).replace('cas_weak', 'cas') in self.alternatives:
                    continue
                with self.subTest(path=path, line=source.line_of(start), new=new):
                    self.assertTrue(self.changed(path, start, match.end(), new))
                count += 1
        self.assertGreater(count, 100)

    def test_any_row_taken_away(self):
        self.assertEqual(len(self.rows), self.numbers[2])
        for row in self.rows:
            path, line = row.where.rsplit(':', 1)
            lines = self.files[path].split('\n')
            without = dict(self.files)
            lines[int(line) - 1] = lines[int(line) - 1].replace(row.left, 'gone', 1)
            without[path] = '\n'.join(lines)
            with self.subTest(row=row.where):
                self.assertTrue(self.new_errors(without))


class Includes(unittest.TestCase):
    """Each forbidden arrow is reported."""

    FILES = {
        'include/filch.h': '#include <filch/a.h>\n',
        'include/filch/a.h': '#include <stdint.h>\n',
        'runtime/task.h': '#include "base/b.h"\n#include <filch.h>\n',
        'runtime/executor.c': '#include "thread/pool.h"\n',
        'runtime/base/b.h': '',
        'runtime/reclaim/r.h': '#include <urcu/lfstack.h>\n#include "base/b.h"\n',
        'runtime/thread/pool.h': '#include "task.h"\n#include "pool2.h"\n/*\n#include "process/p.h"\n*/\n',
        'runtime/thread/pool2.h': '',
        'runtime/process/p.h': '',
    }
    LISTS = {'include/meson.build': "'filch.h', 'filch/a.h'", 'runtime/meson.build': "'executor.c'"}

    def expect(self, message, path, text):
        files = dict(self.FILES)
        files[path] = text
        errors = check_includes.check(files, self.LISTS)[0]
        self.assertTrue(any(message in error for error in errors), errors)

    def test_clean(self):
        self.assertEqual(check_includes.check(self.FILES, self.LISTS), ([], 9))

    def test_arrows(self):
        self.expect('rooms never see each other', 'runtime/thread/pool2.h', '#include "process/p.h"\n')
        self.expect('only the floor', 'runtime/base/b.h', '#include "task.h"\n')
        self.expect('only the floor', 'runtime/base/b.h', '#include "../thread/pool.h"\n')
        self.expect('only executor.c', 'runtime/task.h', '#include "thread/pool.h"\n')
        self.expect('only reclaim/', 'runtime/thread/pool2.h', '#include <urcu-bp.h>\n')
        self.expect('only reclaim/', 'runtime/base/b.h', '#include <urcu/urcu-bp.h>\n')
        self.expect('included as <filch', 'include/filch/a.h', '#include "task.h"\n')
        self.expect('not among', 'include/filch/a.h', '#include <pthread.h>\n')
        self.expect('go through', 'include/filch/a.h', '#include <stdatomic.h>\n')
        self.expect('no such file', 'runtime/task.h', '#include "nowhere.h"\n')
        self.expect('two levels', 'runtime/thread/deep/x.h', '')
        self.expect('not listed', 'runtime/thread/x.c', '')
        self.expect('not listed', 'include/filch/x.h', '')


class Symbols(unittest.TestCase):
    """The map and the headers are read as the linker and the compiler do."""

    def test_map(self):
        text = 'V_1 { global: a; b; local: *; };\nV_2 { global:\n c; /* d; */ # e;\n} V_1;\n'
        self.assertEqual(check_symbols.symbols_of_map(text), {'a', 'b', 'c'})

    def test_headers(self):
        text = ('FILCH_API int filch_a(int (*fn)(void *), void *x);\n'
                'FILCH_API FILCH_PRINTF(2, 3) int\nfilch_b(int, const char *, ...);\n'
                'FILCH_API const char *filch_c(void) FILCH_PRINTF(1, 2);\n'
                '/* FILCH_API int filch_no(void); */\n#define FILCH_API x\n')
        self.assertEqual(check_symbols.symbols_of_headers({'h': text}),
                         {'filch_a': 'h:1', 'filch_b': 'h:2', 'filch_c': 'h:4'})

    def test_differences(self):
        self.assertEqual(check_symbols.check({'a'}, {'a': 'h:1'}, {'a'}, {'a', 'filch__b'}), [])
        self.assertEqual(len(check_symbols.check({'a', 'b'}, {'a': 'h:1', 'b': 'h:2'}, {'a'}, set())), 1)
        self.assertEqual(len(check_symbols.check({'a'}, {'a': 'h:1'}, {'a', 'b'}, {'b'})), 2)
        self.assertEqual(len(check_symbols.check({'a'}, {'a': 'h:1', 'b': 'h:2'}, {'a'}, set())), 1)

    def test_random_numbers_and_condition_variables_of_libc(self):
        used = {'rand', 'random', 'lrand48', 'pthread_cond_wait', 'getrandom', 'malloc', 'pthread_create', 'brand'}
        self.assertEqual(len(check_symbols.forbidden(used)), 4)


class Rules(unittest.TestCase):
    """Each row that names no test, or one that does not exist, is reported."""

    TESTS = check_rules.tests_of({'tests/api/a.c': 'Test(wait, in_a_circle, .timeout = 10) {\n}\n'
                                                   '  /* Test(wait, only_said) */\n'
                                                   'ParameterizedTest(struct x *x, map, sizes) {\n}\n'})

    def errors(self, *rows, complete=False):
        page = '| rule | what | tests |\n|---|---|---|\n' + '\n'.join(rows)
        return check_rules.check(page, self.TESTS, {'tests/a.sh'}, complete)[0]

    def test_names(self):
        self.assertEqual(self.TESTS, {'wait::in_a_circle', 'map::sizes'})

    def test_clean(self):
        rows = ('| R-A-1 | one | `wait::in_a_circle`, `map::sizes` |', '| R-A-2 | two | `tests/a.sh` |',
                '| R-A-3 | three | **missing** |')
        self.assertEqual(self.errors(*rows), [])
        self.assertEqual(len(self.errors(*rows, complete=True)), 1)

    def test_faults(self):
        for message, row in (('there is no wait::only_said', '| R-A-1 | one | `wait::only_said` |'),
                             ('there is no tests/b.sh', '| R-A-1 | one | `tests/b.sh` |'),
                             ('neither a test', '| R-A-1 | one | |'),
                             ('not a test', '| R-A-1 | one | wait::in_a_circle |'),
                             ('says nothing', '| R-A-1 | | `map::sizes` |'),
                             ('twice', '| R-A-1 | one | `map::sizes`, `map::sizes` |'),
                             ('three cells', '| R-A-1 | one or `a|b` | more | `map::sizes` |')):
            with self.subTest(row=row):
                errors = self.errors(row)
                self.assertEqual(len(errors), 1, errors)
                self.assertIn(message, errors[0])
        row = '| R-A-1 | one | `map::sizes` |'
        self.assertIn('has a row already', self.errors(row, row)[0])


if __name__ == '__main__':
    if len(sys.argv) > 1:
        ROOT = sys.argv.pop(1)
    unittest.main()
