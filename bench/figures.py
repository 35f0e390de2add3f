"""What the benchmarks share: medians and spreads, tables, plots by gnuplot, progress."""
import math
import os
import statistics
import subprocess
import sys
import time

ROOT = os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
DOCS = os.path.join(ROOT, "docs", "bench")
COLOURS = ["#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#b07aa1", "#9c755f", "#76b7b2", "#edc948", "#bab0ac", "#2f4b7c", "#a05195", "#665191"]


def spread(values):
    """Half the distance of the quartiles, as a part of the median."""
    if len(values) < 2:
        return math.nan
    q = statistics.quantiles(values, n=4, method="inclusive")
    return (q[2] - q[0]) / 2 / q[1] if q[1] else 0.0


def quartiles(values):
    """Median, lower and upper quartile."""
    if len(values) < 2:
        return (*values, math.nan, math.nan)[:3] if values else (math.nan,) * 3
    q = statistics.quantiles(values, n=4, method="inclusive")
    return q[1], q[0], q[2]


def geometric_mean(values):
    values = list(values)
    return math.exp(sum(map(math.log, values)) / len(values)) if values and min(values) > 0 else math.nan


def show(value, digits=3):
    if isinstance(value, float):
        return "-" if math.isnan(value) else f"{value:.{digits}f}"
    return str(value)


def tsv(rows):
    return "".join("\t".join(show(cell) for cell in row) + "\n" for row in rows)


def aligned(rows):
    """The same for people: columns under each other."""
    cells = [[show(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) if i < len(row) else 0 for row in cells) for i in range(max(map(len, cells)))]
    return "".join("  ".join(cell.ljust(w) for cell, w in zip(row, widths)).rstrip() + "\n" for row in cells)


def save(name, text):
    os.makedirs(DOCS, exist_ok=True)
    with open(os.path.join(DOCS, name), "w", encoding="utf-8") as f:
        f.write(text)
    print(f"wrote docs/bench/{name}", file=sys.stderr)


def plot(name, commands):
    """An SVG from gnuplot; says so when there is no gnuplot."""
    os.makedirs(DOCS, exist_ok=True)
    path = os.path.join(DOCS, name)
    try:
        subprocess.run(["gnuplot"], input=f"set output '{path}'\n{commands}", text=True, check=True, timeout=60)
    except FileNotFoundError:
        print(f"docs/bench/{name} is not drawn: there is no gnuplot (tools/install bench)", file=sys.stderr)
        return
    print(f"wrote docs/bench/{name}", file=sys.stderr)


def block(name, rows):
    """Data for gnuplot, in the commands themselves; a figure that is missing is nan."""
    cells = "\n".join("\t".join("nan" if isinstance(c, float) and math.isnan(c) else str(c) for c in row) for row in rows)
    return f"${name} << EOD\n{cells}\nEOD\n"


def bars(name, title, ylabel, groups, series, ceiling=2.5):
    """Groups of bars with error bars; those above the ceiling are cut off. series: (label, [(value, half of its spread) for each group])."""
    rows = [[f'"{g}"', *(x for _, values in series for x in values[i])] for i, g in enumerate(groups)]
    width = max(640, 60 + len(groups) * (len(series) + 2) * 9)
    commands = block("data", rows) + f"""
set terminal svg size {width},420 dynamic font 'sans-serif,11' background rgb 'white'
set datafile separator tab
set title "{title}" noenhanced
set ylabel "{ylabel}" noenhanced
set style data histograms
set style histogram errorbars gap 2 lw 0.7
set style fill solid 0.9 noborder
set errorbars small front linecolor rgb '#333333'
set grid ytics lc rgb '#dddddd'
set xtics nomirror rotate by -25 scale 0 noenhanced
set yrange [0:{ceiling}]
set key outside top center horizontal noenhanced
plot """
    commands += ", ".join(
        [f"$data using {2 + 2 * i}:{3 + 2 * i}:xtic(1) title \"{label}\" lc rgb '{COLOURS[i % len(COLOURS)]}'" for i, (label, _) in enumerate(series)]
        + ["1 with lines lc rgb 'black' lw 0.7 notitle"])
    plot(name, commands + "\n")


class Progress:
    """One line on stderr that changes; a line now and then where stderr is a file."""

    def __init__(self, steps):
        self.steps, self.done, self.start, self.said = steps, 0, time.monotonic(), 0.0

    def step(self, what):
        now = time.monotonic()
        left = f", {(now - self.start) / self.done * (self.steps - self.done):.0f} s left" if self.done else ""
        line = f"{self.done} of {self.steps}: {what}{left}"
        self.done += 1
        if sys.stderr.isatty():
            print(f"\r{line[:100]:100}", end="", file=sys.stderr, flush=True)
        elif now - self.said > 10:
            self.said = now
            print(line, file=sys.stderr, flush=True)

    def end(self):
        print(f"\r{f'{self.done} in {time.monotonic() - self.start:.0f} s':100}" if sys.stderr.isatty()
              else f"{self.done} in {time.monotonic() - self.start:.0f} s", file=sys.stderr, flush=True)
