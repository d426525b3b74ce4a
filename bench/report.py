#!/usr/bin/env python3
"""report.py: turns the race's summary into a page with plots.

usage: report.py SUMMARY.json INDEX.html

Flow: filch-bench writes the summary (summary_json.c says what is in it), `./run bench` calls this.
The page is one file: it loads nothing, runs no script, and prints. Each plot is there twice, for wide
and for narrow windows.

Not here: statistics, all figures are ready in the summary; how a plot is drawn (report_plot.py).

SPDX-License-Identifier: MIT
"""
import json
import statistics
import sys
from html import escape

sys.dont_write_bytecode = True
from report_plot import (bar_plot, dot_plot, efficiency_plot, number, tail_plot, threads_plot)  # noqa: E402

WIDE, NARROW = 620, 350

CSS = """
:root { color-scheme: light; }
* { box-sizing: border-box; }
body { margin: 0; background: #fff; color: #1b1f24; font: 15px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 1340px; margin: 0 auto; padding: 24px 20px 48px; }
h1 { font-size: 26px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 36px 0 6px; }
h3 { font-size: 15px; margin: 0 0 6px; } p { margin: 4px 0 12px; max-width: 78ch; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 12px 0; font-size: 14px; }
dt { color: #57606a; } dd { margin: 0; overflow-wrap: anywhere; }
.note { border-left: 4px solid #d55e00; padding: 4px 12px; background: #fdf3ec; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(215px, 1fr)); gap: 12px; margin: 20px 0; }
.tile { border: 1px solid #d0d7de; border-radius: 6px; padding: 10px 14px; }
.tile b { display: block; font-size: 25px; line-height: 1.25; color: #b34e00; }
.tile span { color: #57606a; font-size: 13px; }
.plots { display: grid; grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 24px 28px; align-items: start; }
figure { margin: 0; break-inside: avoid; min-width: 0; }
figcaption { font-size: 13px; color: #57606a; max-width: 72ch; }
svg { display: block; max-width: 100%; height: auto; font: 12px system-ui, "DejaVu Sans", sans-serif; }
svg.narrow { display: none; }
.grid { stroke: #e3e6ea; } .axis { stroke: #6e7781; } .half { stroke: #1b1f24; stroke-dasharray: 2 3; }
.label { fill: #424a53; } .head { fill: #1b1f24; font-weight: 600; }
.scroll { overflow-x: auto; margin: 8px 0 16px; }
table { border-collapse: collapse; font-size: 12.5px; font-variant-numeric: tabular-nums; width: 100%; }
th, td { padding: 3px 6px; text-align: right; white-space: nowrap; border-bottom: 1px solid #e3e6ea; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: #fff; }
thead th { border-bottom: 2px solid #6e7781; vertical-align: bottom; }
tr.section td { font-weight: 600; padding-top: 12px; } tr.section span { position: sticky; left: 8px; }
td small { color: #57606a; } td.filch { font-weight: 600; }
@media (max-width: 900px) {
  .plots { grid-template-columns: minmax(0, 1fr); }
}
@media (max-width: 660px) {
  main { padding: 16px 12px 32px; } h1 { font-size: 22px; }
  svg.wide { display: none; } svg.narrow { display: block; }
  th:first-child, td:first-child { white-space: normal; min-width: 118px; }
}
@media print {
  @page { size: A4 landscape; margin: 12mm; }
  body { font-size: 11px; } main { max-width: none; padding: 0; } h1 { font-size: 18px; }
  h2 { font-size: 14px; margin: 16px 0 4px; } h3 { font-size: 12px; } p { margin: 2px 0 8px; }
  dl { grid-template-columns: max-content 1fr max-content 1fr; font-size: 10px; margin: 6px 0; }
  .tiles { grid-template-columns: repeat(5, 1fr); gap: 8px; margin: 8px 0; }
  .tile { padding: 4px 8px; } .tile b { font-size: 16px; } .tile span, figcaption { font-size: 10px; }
  .plots { grid-template-columns: repeat(2, minmax(0, 1fr)); }
  svg.wide { display: block; } svg.narrow { display: none; }
  .scroll { overflow: visible; } table { font-size: 8.5px; } th, td { padding: 1px 4px; }
  tr, .tile { break-inside: avoid; } h2 { break-after: avoid; } thead { display: table-header-group; }
}
"""


class Summary:
    """The file, by name rather than by place."""

    def __init__(self, data):
        self.machine, self.run = data['machine'], data['run']
        self.names = data['contestants']
        self.lines = data['lines']
        self.distributions = data['distributions']

    def cells(self, line, which='cells'):
        return {n: c for n, c in zip(self.names, line[which]) if c is not None}

    def find(self, key):
        return next((line for line in self.lines if line['key'] == key), None)

    def starting(self, *prefixes):
        return [line for line in self.lines if line['key'].startswith(prefixes)]


def figure(plot_at, title, caption):
    """plot_at(width, key) gives the plot."""
    wide, narrow = plot_at(WIDE, 'w'), plot_at(NARROW, 'n')
    return ('<figure><h3>%s</h3>%s%s<figcaption>%s</figcaption></figure>' % (
        escape(title), wide.svg('wide'), narrow.svg('narrow'), escape(caption)))


def section(title, text, figures):
    figures = [f for f in figures if f]
    if not figures:
        return ''
    return '<h2>%s</h2><p>%s</p><div class="plots">%s</div>' % (
        escape(title), escape(text), ''.join(figures))


def efficiency(summary, shape, title, caption):
    lines = summary.starting(shape + '/')
    sizes = [(int(line['key'].split('/')[1]), line) for line in lines]
    # What an iteration takes at the peak, from the rows whose pieces are long enough to tell.
    costs = [line['work_ns'] / n for n, line in sizes if n >= 1000 and line['work_ns']]
    if not costs:
        return ''
    iteration = statistics.median(costs) * 1e-9
    series = {}
    for n, line in sizes:
        for name, (low, value, high) in summary.cells(line).items():
            series.setdefault(name, []).append((n * iteration, value, low, high))
    if not series:
        return ''
    return figure(lambda width, key: efficiency_plot(width, series, shape + key, title), title, caption)


def forks_of(summary, prefix='forkjoin/'):
    """The lines of workloads that ran with several numbers of workers, by workload, in order."""
    found = {}
    for line in summary.starting(prefix):
        parts = line['key'].split('/')
        if len(parts) == 3:
            found.setdefault(line['title'].rsplit(', workers', 1)[0], []).append((int(parts[2]), line))
    return found


def times(summary):
    """For each workload, its time against the number of workers."""
    figures = []
    for i, (title, lines) in enumerate(forks_of(summary).items()):
        series = {}
        for workers, line in lines:
            for name, (low, value, high) in summary.cells(line).items():
                series.setdefault(name, []).append((workers, value, low, high))
        if series:
            figures.append(figure(
                lambda width, key, s=series, t=title, i=i: threads_plot(width, s, 'time%d%s' % (i, key), t),
                title, 'Time of one job. sequential: its twin without tasks.'))
    return figures


def scaling(summary):
    """Speed-up and parallel efficiency, and what many workers cost."""
    names = [n for n in summary.names if n not in ('sequential', 'bare')]
    rows = []
    for title, lines in forks_of(summary).items():
        for workers, line in lines:
            cells = summary.cells(line)
            if 'sequential' in cells:
                ups = {n: cells['sequential'][1] / c[1] for n, c in cells.items()}
                rows.append((line['title'], {n: '%s <small>%.0f %%</small>' % (number(u), u / workers * 100)
                                             for n, u in ups.items()}))
    for title, lines in forks_of(summary, 'many/').items():
        if len(lines) == 2:
            (few, before), (many, after) = lines
            cells, base = summary.cells(after), summary.cells(before)
            rows.append(('%s: time of %d workers / of %d' % (title, many, few),
                         {n: number(c[1] / base[n][1]) for n, c in cells.items() if n in base}))
    if not rows:
        return ''
    shown = [n for n in names if any(n in cells for _, cells in rows)]
    head = ''.join('<th>%s</th>' % escape(n) for n in shown)
    text = ''.join('<tr><td>%s</td>%s</tr>' % (
        escape(title), ''.join('<td>%s</td>' % cells.get(n, '–') for n in shown)) for title, cells in rows)
    return ('<h2>Speed-up</h2><p>Over the sequential twin; in small letters, divided by the number of workers. '
            'A dash: it cannot run that, because a task that waits blocks its worker, or because it has '
            'no such thing.</p><div class="scroll"><table><thead><tr><th></th>%s</tr></thead>'
            '<tbody>%s</tbody></table></div>' % (head, text))


def tail(summary, key, title, caption):
    found = next((d for d in summary.distributions if d['key'] == key), None)
    if not found:
        return ''
    series = {n: q for n, q in zip(summary.names, found['quantiles']) if q}
    name = key.split('/')[1]
    return figure(lambda width, k: tail_plot(width, series, name + k, title), title, caption)


def rows_of(summary, *prefixes, without=()):
    rows = [(line['title'], summary.cells(line)) for line in summary.starting(*prefixes)]
    return [(t, {n: c for n, c in cells.items() if n not in without}) for t, cells in rows]


def dots(summary, prefixes, unit, title, caption):
    rows = rows_of(summary, *prefixes)
    return rows and figure(lambda width, _: dot_plot(width, rows, unit, title), title, caption)


def bars(rows, unit, title, caption):
    return rows and figure(lambda width, _: bar_plot(width, rows, unit, title), title, caption)


def speed_ups(summary):
    rows = []
    for title, cells in rows_of(summary, 'sum_of_squares/'):
        if 'sequential' in cells:
            base = cells['sequential'][1]
            rows.append((title, {n: (base / c[2], base / c[1], base / c[0]) for n, c in cells.items()
                                 if n != 'sequential'}))
    return rows


def tile(summary, key, what):
    line = summary.find(key)
    cells = summary.cells(line) if line else {}
    if 'filch' not in cells:
        return ''
    others = ', '.join('%s %s' % (n, number(c[1])) for n, c in cells.items()
                       if n not in ('filch', 'sequential', 'bare'))
    unit = line['unit'].replace('us', 'µs')
    return '<div class="tile">%s<b>%s %s</b><span>%s</span></div>' % (
        escape(what), number(cells['filch'][1]), unit, escape(others and others + ' ' + unit))


def tiles(summary):
    found = [tile(summary, 'futures/outside/2', 'A future from outside, 2 workers'),
             tile(summary, 'futures/inside/2', 'A future from inside, 2 workers'),
             tile(summary, 'round_trip/hot', 'Round trip, hot, median'),
             tile(summary, 'metg/flat/fitted', 'METG(50 %), flat'),
             tile(summary, 'metg/tree/fitted', 'METG(50 %), tree'),
             tile(summary, 'spawn/1', 'A fork of fib, one worker'),
             tile(summary, 'metg/fork tree/fitted', 'METG(50 %), tree of forks')]
    return '<div class="tiles">%s</div>' % ''.join(found) if any(found) else ''


def cell(summary, line, name):
    found = summary.cells(line).get(name)
    kind = ' class="filch"' if name == 'filch' else ''
    if not found:
        return '<td%s>–</td>' % kind
    low, value, high = found
    spread = ' <small>±%.0f %%</small>' % ((high - low) / 2 / value * 100) if high > low and value else ''
    return '<td%s>%s%s</td>' % (kind, number(value), spread)


def ratio(summary, line, name):
    found = summary.cells(line, 'ratios').get(name)
    if not found:
        return '<td>–</td>'
    low, value, high = found
    shown = name == 'naive pool' and high > low
    spread = ' <small>(%s–%s)</small>' % (number(low), number(high)) if shown else ''
    return '<td>%s%s</td>' % (number(value), spread)


def table(summary, fork_join):
    """One of the two tables, with the columns of those who are in it."""
    lines = [line for line in summary.lines if line['fork_join'] == fork_join]
    if not lines:
        return ''
    names = [n for n in summary.names if any(n in summary.cells(line) for line in lines)]
    compared = [n for n in names if n not in ('filch', 'bare')]
    head = ''.join('<th>%s</th>' % escape(n) for n in names)
    head += ''.join('<th>filch better<br>than %s</th>' % escape(n) for n in compared)
    rows, last = [], None
    for line in lines:
        if line['section'] != last:
            last = line['section']
            rows.append('<tr class="section"><td colspan="%d"><span>%s</span></td></tr>' % (
                1 + len(names) + len(compared), escape(last)))
        rows.append('<tr><td>%s</td>%s%s</tr>' % (
            escape(line['title']), ''.join(cell(summary, line, n) for n in names),
            ''.join(ratio(summary, line, n) for n in compared)))
    return ('<div class="scroll"><table><thead><tr><th></th>%s</tr></thead><tbody>%s</tbody></table></div>'
            % (head, ''.join(rows)))


def counters(summary):
    kinds = ['stolen', 'steal_attempts', 'steals_failed', 'remote_frees', 'parked', 'woken',
             'workers_started']
    head = ''.join('<th>%s</th>' % k.replace('_', ' ') for k in kinds)
    rows = []
    for line in summary.lines:
        if 'counters' in line and not line['key'].startswith('memory/'):
            rows.append('<tr><td>%s</td><td>%d</td>%s</tr>' % (
                escape(line['title']), line['tasks'],
                ''.join('<td>%s</td>' % number(line['counters'][k]) for k in kinds)))
    return ('<div class="scroll"><table><thead><tr><th></th><th>tasks in a batch</th>%s</tr></thead>'
            '<tbody>%s</tbody></table></div>' % (head, ''.join(rows)))


def facts(summary):
    run = summary.run
    how = '%d workers unless a line says otherwise, %d rounds, %.0f s%s' % (
        run['workers'], run['rounds'], run['seconds'], ', --quick' if run['quick'] else '')
    pairs = list(summary.machine.items()) + [('run', how)]
    text = '<dl>%s</dl>' % ''.join('<dt>%s</dt><dd>%s</dd>' % (k, escape(v)) for k, v in pairs)
    if run['others'] > 0.05:
        text += ('<p class="note">Meanwhile other programs used %.0f %% of a CPU: the race is worth '
                 'repeating on an idle machine.</p>' % (run['others'] * 100))
    if not run['build_is_fast']:
        text += '<p class="note">This build is not optimised: its times mean nothing.</p>'
    return text


def body(summary):
    return ''.join([
        '<h1>filch, measured</h1>', facts(summary), tiles(summary),
        section('How small may a task be?',
                'The same work cut into tasks, from a nanosecond of work each to a millisecond. '
                'Efficiency is what bare threads need for the uncut work, divided by what the library '
                'needs; METG(50 %) is where a curve crosses the dotted line.',
                [efficiency(summary, 'flat', 'Flat: one outside thread submits all',
                            'Futures that one thread submits and then awaits.'),
                 efficiency(summary, 'tree', 'Tree: tasks split their range in two',
                            'Each task submits one half, runs the other, and waits. Pools whose tasks '
                            'cannot wait for each other do not take part.')]),
        section('What does a future cost?',
                'No-ops with results that are checked. The bar is half of all turns, the mark the '
                'median; further left is better.',
                [dots(summary, ('futures/', 'producers/'), 'ns per future', 'Many no-op futures',
                      'From outside and from inside a worker, all alive at once, and from several '
                      'outside threads. bare: one write pass and one read pass over as many objects.'),
                 dots(summary, ('memory/pending',), 'bytes per future', 'Memory of a pending future',
                      'Resident bytes, in a process of its own.')]),
        section('How long does one take?',
                'Submit one no-op, wait for its result. bare: two threads that wake each other through '
                'futexes. oneTBB runs the task in the thread that waits.',
                [tail(summary, 'round_trip/hot', 'Round trip, back to back',
                      'Which share of the round trips takes longer. Further left and down is better.'),
                 tail(summary, 'round_trip/parked', 'Round trip after 5 ms of rest',
                      'The same, where every round trip has to wake a worker.')]),
        section('What do rest and real work cost?', 'Left: less is better. Right: more is better.',
                [bars(rows_of(summary, 'idle/', without=('bare',)), ' %', 'CPU time of a pool with little to do',
                      'In per cent of a core, above the same loop without the pool.'),
                 bars(speed_ups(summary), '×', 'Sums of squares, speed-up over the sequential loop',
                      'bare is the ceiling: two virtual CPUs are not always two cores.')]),
        section('Fork and join',
                'Workloads whose tasks wait for tasks, and loops; the time of one job against the number of '
                'workers.', times(summary)),
        scaling(summary),
        section('How small may a fork be?',
                'The same work cut into forks and iterations, as above for futures.',
                [efficiency(summary, 'fork_tree', 'Tree of forks', 'Each fork halves its range.'),
                 efficiency(summary, 'fork_flat', 'Flat forks', 'One task forks all, and joins them.'),
                 efficiency(summary, 'fork_loop', 'Loop with grain 1', "The library's own loop, one "
                            'iteration at a time.'),
                 dots(summary, ('spawn/',), 'ns per spawn', 'A fork of fib, one worker',
                      'fib without a cut-off: the time of all, divided by the number of forks. '
                      'sequential: of calls.')]),
        '<h2>All figures</h2><p>Medians; ± is half the distance between the quartiles. Ratios are taken '
        'within turns; in brackets their quartiles. bench/README.md says what each line means.</p>',
        table(summary, False), table(summary, True),
        '<h2>What filch counted</h2><p>Per batch. Stolen counts tasks; an attempt, at a queue that was not '
        'empty, may take several, and failed if another thread was faster. Remote frees are futures whose '
        'memory another thread gave back than the one that allocates there.</p>',
        counters(summary)])


def main():
    if len(sys.argv) != 3:
        print(__doc__.split('\n\n')[1], file=sys.stderr)
        return 2
    with open(sys.argv[1], encoding='utf-8') as file:
        summary = Summary(json.load(file))
    with open(sys.argv[2], 'w', encoding='utf-8') as file:
        file.write('<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
                   '<meta name="viewport" content="width=device-width, initial-scale=1">'
                   '<title>filch benchmark</title><style>%s</style></head>\n<body><main>%s</main></body>'
                   '</html>\n' % (CSS, body(summary)))
    return 0


if __name__ == '__main__':
    sys.exit(main())
