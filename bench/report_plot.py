# report_plot.py: plots as SVG text; report.py uses it.
#
# Flow: a Plot maps data to places within a frame, and collects SVG elements. Every function that ends
# in _plot makes one drawing for a width in pixels, so that a page can hold a wide and a narrow one:
# an SVG that is merely scaled down has letters that nobody can read.
#
# Colours are those of Okabe and Ito, which colour-blind people can tell apart; shapes differ too, so
# that a black and white print can be read.
#
# SPDX-License-Identifier: MIT
import math
from html import escape

FONT = 12
LETTER = 6.7  # pixels of an average letter, at most

# colour, shape of points, dashes of lines
STYLES = {
    'filch': ('#d55e00', 'circle', ''),
    'naive pool': ('#0072b2', 'square', ''),
    'oneTBB': ('#009e73', 'triangle', ''),
    'GLib': ('#b0508a', 'diamond', ''),
    'libgomp': ('#56b4e9', 'square', '6 2'),
    'libomp': ('#a07800', 'triangle', '6 2'),
    'rayon': ('#7a3db8', 'diamond', '1 3'),
    'bare': ('#555555', 'bar', '5 3'),
    'sequential': ('#999999', 'bar', '2 2'),
}


def style_of(name):
    return STYLES.get(name, ('#333333', 'circle', ''))


def si(seconds):
    """A time in the unit that suits it, at most three digits."""
    for unit, factor in (('ns', 1e9), ('µs', 1e6), ('ms', 1e3), ('s', 1)):
        if seconds * factor < 999.5 or unit == 's':
            return '%.3g %s' % (seconds * factor, unit)


def number(value):
    """Three digits, without an exponent."""
    if value == 0:
        return '0'
    return '%.*f' % (0 if abs(value) >= 99.95 else 1 if abs(value) >= 9.995 else 2, value)


def steps(low, high, most):
    """Round values from low to high, at most so many."""
    for size in (m * 10 ** e for e in range(-6, 10) for m in (1, 2, 5)):
        if (high - low) / size <= most:
            first = math.ceil(low / size - 1e-9)
            return [size * i for i in range(first, int(high / size + 1e-9) + 1)]
    return []


class Axis:
    """From values to pixels."""

    def __init__(self, low, high, start, end, log=False):
        self.log, self.start, self.end = log, start, end
        self.low, self.high = (math.log10(low), math.log10(high)) if log else (low, high)

    def __call__(self, value):
        if self.log:
            value = math.log10(max(value, 1e-300))
        share = (value - self.low) / (self.high - self.low)
        return self.start + min(max(share, -0.02), 1.02) * (self.end - self.start)

    def decades(self, within=(1,)):
        """The powers of ten on a logarithmic axis, and these multiples of them."""
        powers = range(math.floor(self.low), math.floor(self.high) + 1)
        values = [m * 10.0 ** e for e in powers for m in within]
        return [v for v in values if self.low - 1e-9 <= math.log10(v) <= self.high + 1e-9]


class Plot:
    def __init__(self, width, height, title):
        self.width, self.height, self.title = width, height, title
        self.parts = []

    def add(self, text, *values):
        self.parts.append(text % values if values else text)

    def line(self, x1, y1, x2, y2, kind='grid'):
        self.add('<line class="%s" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>', kind, x1, y1, x2, y2)

    def text(self, x, y, text, anchor='start', kind='label'):
        self.add('<text class="%s" x="%.1f" y="%.1f" text-anchor="%s">%s</text>', kind, x, y, anchor,
                 escape(text))

    def point(self, x, y, name, hint):
        colour, shape, _ = style_of(name)
        place = 'transform="translate(%.1f %.1f)" fill="%s"' % (x, y, colour)
        form = {
            'circle': '<circle r="4.5" %s>',
            'square': '<path d="M-4-4H4V4H-4Z" %s>',
            'triangle': '<path d="M0-5L5 4H-5Z" %s>',
            'diamond': '<path d="M0-5.5L5.5 0L0 5.5L-5.5 0Z" %s>',
            'bar': '<path d="M-1.5-7H1.5V7H-1.5Z" %s>',
        }[shape]
        self.add('%s<title>%s</title></%s>', form % place, escape(hint), form[1:].split()[0])

    def curve(self, points, name, clip):
        colour, _, dashes = style_of(name)
        path = ' '.join('%.1f,%.1f' % p for p in points)
        self.add('<polyline clip-path="url(#%s)" points="%s" fill="none" stroke="%s" stroke-width="2" '
                 'stroke-dasharray="%s" stroke-linejoin="round"/>', clip, path, colour, dashes)

    def clip(self, name, x1, y1, x2, y2):
        self.add('<clipPath id="%s"><rect x="%.1f" y="%.1f" width="%.1f" height="%.1f"/></clipPath>',
                 name, x1, y1, x2 - x1, y2 - y1)

    def legend(self, names, x, y):
        """Several names in a row, and more rows if it is too narrow; the height that it takes."""
        left, top = x, y
        for name in names:
            wide = 30 + len(name) * (LETTER + 0.6)
            if x + wide > self.width and x > left:
                x, y = left, y + 18
            self.point(x + 6, y - 4, name, name)
            self.text(x + 16, y, name)
            x += wide
        return y - top + 18

    def svg(self, kind):
        return ('<svg class="%s" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">'
                '%s</svg>' % (kind, self.width, self.height, self.width, self.height,
                              escape(self.title), ''.join(self.parts)))


def frame(plot, x, y, x_marks, y_marks):
    """Grid and labels; marks are pairs of a value and its text."""
    for value, text in y_marks:
        plot.line(x.start, y(value), x.end, y(value))
        plot.text(x.start - 6, y(value) + 4, text, 'end')
    for value, text in x_marks:
        plot.line(x(value), y.start, x(value), y.end)
        plot.text(x(value), y.start + 16, text, 'end' if x(value) > plot.width - 22 else 'middle')
    plot.line(x.start, y.start, x.end, y.start, 'axis')


def efficiency_plot(width, series, key, title):
    """series: name -> [(seconds of work, efficiency, lower, upper)], in %."""
    plot = Plot(width, 330, title)
    top = 10 + plot.legend(series, 48, 14)
    works = [p[0] for points in series.values() for p in points]
    x = Axis(min(works) / 1.3, max(works) * 1.3, 48, width - 12, log=True)
    y = Axis(0, 110, 290, top)
    every = 2 if width < 500 else 1
    frame(plot, x, y, [(v, si(v)) for v in x.decades()[::every]],
          [(v, '%d %%' % v) for v in (0, 25, 50, 75, 100)])
    plot.line(x.start, y(50), x.end, y(50), 'half')
    plot.text((x.start + x.end) / 2, plot.height - 6, 'work in a task, at the peak of the machine',
              'middle')
    plot.clip(key, x.start, y.end - 6, x.end + 6, y.start + 6)
    for name, points in series.items():
        plot.curve([(x(p[0]), y(p[1])) for p in points], name, key)
        for work, value, _, _ in points:
            plot.point(x(work), y(min(value, 109)), name, '%s: %s, %s %%' % (name, si(work), number(value)))
    return plot


def tail_plot(width, series, key, title):
    """series: name -> [(share of samples, seconds)]; draws which share takes longer."""
    plot = Plot(width, 330, title)
    top = 10 + plot.legend(series, 52, 14)
    seconds = [p[1] for points in series.values() for p in points]
    least = min(1 - p[0] for points in series.values() for p in points)
    x = Axis(min(seconds) / 1.3, max(seconds) * 1.3, 52, width - 12, log=True)
    y = Axis(least / 1.2, 1, 290, top, log=True)
    every = 2 if width < 500 and len(x.decades()) > 4 else 1
    frame(plot, x, y, [(v, si(v)) for v in x.decades()[::every]],
          [(v, '%g %%' % (v * 100)) for v in y.decades()])
    plot.text((x.start + x.end) / 2, plot.height - 6, 'time of a round trip', 'middle')
    plot.clip(key, x.start, y.end - 2, x.end + 6, y.start + 2)
    for name, points in series.items():
        plot.curve([(x(p[1]), y(1 - p[0])) for p in points], name, key)
        for share, value in points:
            if any(abs(1 - share - mark) < mark / 20 for mark in (0.5, 0.1, 0.01, 0.001)):
                hint = '%s: %g %% take longer than %s' % (name, (1 - share) * 100, si(value))
                plot.point(x(value), y(1 - share), name, hint)
    return plot


def threads_plot(width, series, key, title):
    """series: name -> [(workers, milliseconds, lower, upper)]; both axes logarithmic."""
    plot = Plot(width, 250, title)
    names = [n for n in STYLES if n in series]
    top = 10 + plot.legend(names, 52, 14)
    points = [p for name in names for p in series[name]]
    workers = sorted({p[0] for p in points})
    x = Axis(workers[0] / 1.25, workers[-1] * 1.25, 52, width - 12, log=True)
    y = Axis(min(p[1] for p in points) / 1.4, max(p[1] for p in points) * 1.4, 210, top, log=True)
    within = (1, 2, 5) if y.high - y.low < 2 else (1,)
    frame(plot, x, y, [(w, '%d' % w) for w in workers],
          [(v, si(v * 1e-3)) for v in y.decades(within)])
    plot.text((x.start + x.end) / 2, plot.height - 6, 'workers', 'middle')
    plot.clip(key, x.start, y.end - 6, x.end + 6, y.start + 6)
    for name in names:
        plot.curve([(x(w), y(value)) for w, value, _, _ in series[name]], name, key)
        for w, value, _, _ in series[name]:
            plot.point(x(w), y(value), name, '%s, %d workers: %s' % (name, w, si(value * 1e-3)))
    return plot


def label_width(titles, width):
    return min(max(len(t) for t in titles) * LETTER + 8, width * 0.45)


def dot_plot(width, rows, unit, title):
    """rows: [(title, {name: (lower, median, upper)})], on a logarithmic axis."""
    names = [n for n in STYLES if any(n in cells for _, cells in rows)]
    step, narrow = (46, True) if width < 500 else (30, False)
    plot = Plot(width, 0, title)
    top = 12 + plot.legend(names, 4, 14)
    bottom = top + step * len(rows)
    plot.height = bottom + 42
    # A long whisker is cut off rather than squeezing everything else.
    middles = [c[1] for _, cells in rows for c in cells.values()]
    values = [min(max(v, min(middles) / 2), max(middles) * 2)
              for _, cells in rows for c in cells.values() for v in c]
    start = 12 if narrow else label_width([t for t, _ in rows], width) + 8
    x = Axis(min(values) / 1.2, max(values) * 1.2, start, width - 14, log=True)
    for value in x.decades((1, 2, 5) if x.high - x.low < 2.2 else (1, 3)):
        plot.line(x(value), top, x(value), bottom)
        plot.text(x(value), bottom + 16, '%g' % value, 'middle')
    plot.text((x.start + x.end) / 2, bottom + 34, unit, 'middle')
    for i, (text, cells) in enumerate(rows):
        y = top + step * (i + (0.68 if narrow else 0.5))
        plot.text(4, y - 14 if narrow else y + 4, text)
        plot.line(x.start, y, x.end, y)
        for name in [n for n in names if n in cells and n != 'filch'] + ['filch'] * ('filch' in cells):
            low, value, high = cells[name]
            if high > low > 0:
                plot.add('<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s" stroke-width="2"/>',
                         x(low), y, x(high), y, style_of(name)[0])
            plot.point(x(value), y, name, '%s: %s %s' % (name, number(value), unit))
    return plot


def bar_plot(width, rows, unit, title):
    """rows: [(title, {name: (lower, median, upper)})], on a linear axis, a bar each."""
    names = [n for n in STYLES if any(n in cells for _, cells in rows)]
    plot = Plot(width, 0, title)
    start = max(len(n) for n in names) * LETTER + 14
    high = max(max(c[1] for _, cells in rows for c in cells.values()), 1e-9)
    x = Axis(0, high * 1.02, start, width - 62)
    y = 4
    for text, cells in rows:
        y += 18
        plot.text(4, y, text, kind='head')
        y += 8
        for name in [n for n in names if n in cells]:
            low, value, upper = cells[name]
            colour = style_of(name)[0]
            plot.text(start - 6, y + 11, name, 'end')
            plot.add('<rect x="%.1f" y="%.1f" width="%.1f" height="13" fill="%s"/>', x.start, y,
                     max(x(value) - x.start, 1), colour)
            plot.text(max(x(value), x.start + 1) + 5, y + 11, number(value) + unit)
            y += 17
    plot.height = y + 8
    return plot
