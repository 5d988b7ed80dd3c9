"""A chart of lines as SVG, whose texts the browser draws in whatever script they are."""

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 40  # around the lines
TICKS = 5
LARGEST = 1e100  # value that is drawn where it is
# Okabe & Ito's colours, which people who confuse red and green tell apart too; then again, with other dashes.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")


class Line(NamedTuple):
    """A line of a chart.

    Args:
        label: shown where the pointer is on it.
        colour: index of its colour.
        is_dashed: whether it is dashed.
        points: x and y, both finite.
    """

    label: str
    colour: int
    is_dashed: bool
    points: Sequence[tuple[float, float]]


def colour_of(index: int) -> str:
    """The colour of an index."""
    return COLOURS[index % len(COLOURS)]


def line_chart(lines: Sequence[Line], x_label: str, y_label: str) -> str:
    """An SVG element.

    Args:
        lines: one at least, each of one point or more.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
    """
    x_ticks, x_low, x_high = axis([x for line in lines for x, _ in line.points])
    y_ticks, y_low, y_high = axis([y for line in lines for _, y in line.points])

    def x_at(value: float) -> float:
        return LEFT + (value - x_low) / (x_high - x_low) * (WIDTH - LEFT - RIGHT)

    def y_at(value: float) -> float:
        value = min(max(value, y_low), y_high)
        return HEIGHT - BOTTOM - (value - y_low) / (y_high - y_low) * (HEIGHT - TOP - BOTTOM)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(y_label)}">'
    ]
    for value in y_ticks:
        y = y_at(value)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{tick_text(value)}</text>')
    for value in x_ticks:
        x = x_at(value)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick_text(value)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>')
    for line in lines:
        where = " ".join(f"{x_at(x):.1f},{y_at(y):.1f}" for x, y in line.points)
        dash = ' stroke-dasharray="5 4"' if line.is_dashed else ""
        title = f"<title>{escape(line.label)}</title>"
        colour = colour_of(line.colour)
        if len(line.points) == 1:
            left, top = where.split(",")
            parts.append(f'<circle cx="{left}" cy="{top}" r="3.5" fill="{colour}">{title}</circle>')
        else:
            parts.append(f'<polyline points="{where}" stroke="{colour}"{dash}>{title}</polyline>')
    return "\n".join([*parts, "</svg>"])


def axis(values: Sequence[float]) -> tuple[list[float], float, float]:
    """The ticks of an axis, at round numbers, and its ends."""
    low, high = max(min(values), -LARGEST), min(max(values), LARGEST)
    magnitude = max(abs(low), abs(high))
    if high - low <= magnitude * 1e-9 or magnitude < 1 / LARGEST:  # nothing between which ticks could be
        room = magnitude / 2 if magnitude > 1 / LARGEST else 0.5
        low, high = low - room, high + room
    step = round_up((high - low) / TICKS)
    first, last = math.floor(low / step), math.ceil(high / step)
    return [index * step for index in range(first, last + 1)], first * step, last * step


def round_up(step: float) -> float:
    """The next of …, 0.1, 0.2, 0.5, 1, 2, 5, …"""
    unit = 10.0 ** math.floor(math.log10(step))
    return next(factor * unit for factor in (1, 2, 5, 10, 20) if factor * unit >= step * (1 - 1e-9))


def tick_text(value: float) -> str:
    """A tick's number, without the noise of floating point."""
    return f"{value:,.0f}" if value == round(value) and 1000 <= abs(value) < 1e7 else f"{value:.6g}"
