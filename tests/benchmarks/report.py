"""The figures as a table, as JSON, and as a plot of cost against size."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from tests.benchmarks.figures import MB, Figure

HEAD = ("work", "users", "what", "against", "ratio", "from, to", "MB", "client", "server", "target", "")
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 440, 70, 210, 30, 50
COLOURS = ("#1b6ca8", "#c0392b", "#27804a", "#8e44ad", "#b9770e", "#34495e")


def table(figures: Sequence[Figure]) -> str:
    """One figure a line. `client` and `server`: the processor's share of the wall, of the command and of the server."""
    rows = [HEAD, *map(_row, figures)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])


def _row(figure: Figure) -> tuple[str, ...]:
    cost, ratio, target = figure.cost, figure.ratio, figure.target
    wanted = []
    if target is not None and target.ratio is not None:
        wanted.append(f"≤ {target.ratio:.2f}")
    if target is not None and target.memory is not None:
        wanted.append(f"≤ {target.memory // MB} MB")
    return (
        figure.work,
        f"{figure.users:,}" if figure.users else "",
        figure.name,
        figure.against,
        f"{ratio.median:.3g}" if ratio.median < 100 else f"{ratio.median:.0f}",
        f"{ratio.low:.3g} to {ratio.high:.3g}" if ratio.rounds > 1 else "one round",
        *(
            ("", "", "")
            if not cost.memory
            else (
                f"{cost.memory / MB:.0f}",
                f"{cost.cpu / cost.wall:.0%}",
                f"{cost.server / cost.wall:.0%}",
            )
        ),
        ", ".join(wanted),
        "" if figure.met is None else "met" if figure.met else "MISSED",
    )


def as_json(figures: Sequence[Figure], about: dict[str, object]) -> str:
    """Every figure, with the medians in seconds and octets that it is made of, and what it was measured with."""
    return (
        json.dumps({**about, "figures": [asdict(figure) | {"met": figure.met} for figure in figures]}, indent=1) + "\n"
    )


# ---------------------------------------------------------------- the plot


def plot(figures: Sequence[Figure]) -> str:
    """An SVG: cost against the directory's size, both logarithmic; the unit is what ldapsearch takes for the least."""
    lines = _lines(figures)
    points = [point for line in lines.values() for point in line]
    if not points:
        return '<svg xmlns="http://www.w3.org/2000/svg"/>\n'
    least, most = min(x for x, _ in points), max(x for x, _ in points)
    low = math.floor(math.log10(min(y for _, y in points)))
    high = math.ceil(math.log10(max(y for _, y in points)))

    def across(users: int) -> float:
        share = math.log(users / least) / math.log(most / least) if most > least else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def down(cost: float) -> float:
        return TOP + (high - math.log10(cost)) / max(1, high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}">',
        '<g font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18">wall time, in units of what ldapsearch takes for {least:,} users</text>',
    ]
    for power in range(low, high + 1):
        y = down(10.0**power)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10.0**power:g}</text>')
    parts += [
        f'<text x="{across(users):.1f}" y="{HEIGHT - 25}" text-anchor="middle">{users:,} users</text>'
        for users in sorted({x for x, _ in points})
    ]
    for (name, line), colour in zip(lines.items(), COLOURS * 2, strict=False):
        places = [(across(x), down(y)) for x, y in sorted(line)]
        path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        x, y = places[-1]
        parts.append(f'<text x="{x + 8:.1f}" y="{y + 4:.1f}" fill="{colour}">{name}</text>')
    return "\n".join([*parts, "</g></svg>\n"])


def _lines(figures: Sequence[Figure]) -> dict[str, list[tuple[int, float]]]:
    """By name, the points (users, cost)."""
    walls = dict(_walls(figures))
    sizes = sorted(users for name, users in walls if name == "ldapsearch")
    if not sizes:
        return {}
    unit = walls["ldapsearch", sizes[0]]
    lines: dict[str, list[tuple[int, float]]] = {}
    for (name, users), wall in walls.items():
        lines.setdefault(name, []).append((users, wall / unit))
    return lines


def _walls(figures: Sequence[Figure]) -> Iterator[tuple[tuple[str, int], float]]:
    for figure in figures:
        if figure.work == "plan, in sync":
            yield ("ldapsearch", figure.users), figure.unit.wall
            yield ("plan, all users agents", figure.users), figure.cost.wall
        elif figure.work == "plan of 1,000 agents":
            yield ("plan of 1,000 agents", figure.users), figure.cost.wall
        elif figure.work.startswith("look up") and figure.name == "plan":
            yield (figure.work, figure.users), figure.cost.wall
