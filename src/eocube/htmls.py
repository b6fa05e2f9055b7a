"""What notebooks show: small tables, the same for all that shows itself.

No colours of our own, so that they can be read on light and on dark pages; no scripts, no resources.
Whatever is shown is escaped: Items come from anywhere.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence

_LEFT = "text-align:left;vertical-align:top"
MOST = 200
"""Rows of a table."""


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


def escaped(cell: object) -> str:
    """Return a cell as HTML; what is none yet is escaped, and control characters are left out."""
    if isinstance(cell, Html):
        return cell
    text = "".join(sign if sign.isprintable() or sign in "\n\t" else "\ufffd" for sign in str(cell))
    return html.escape(text)


def pairs(rows: Iterable[tuple[str, object]]) -> Html:
    """Return a table of words and their meanings."""
    body = "".join(
        f'<tr><th style="{_LEFT}">{escaped(word)}</th><td style="{_LEFT}">{escaped(meaning)}</td></tr>'
        for word, meaning in rows
    )
    return Html(f"<table>{body}</table>")


def table(head: Sequence[str], rows: Iterable[Sequence[object]], count: int) -> Html:
    """Return a table with a head; of more than 200 rows, the first, and how many more there are.

    Parameters
    ----------
    head : sequence of str
    rows : iterable of rows
    count : int
        Of all rows.
    """
    top = "".join(f'<th style="{_LEFT}">{escaped(word)}</th>' for word in head)
    body = "".join(
        "<tr>" + "".join(f'<td style="{_LEFT}">{escaped(cell)}</td>' for cell in row) + "</tr>"
        for _, row in zip(range(MOST), rows, strict=False)
    )
    more = f"<p>and {count - MOST} more</p>" if count > MOST else ""
    return Html(f"<table><tr>{top}</tr>{body}</table>{more}")


def folded(title: str, inside: Html) -> Html:
    """Return something to be unfolded."""
    return Html(f'<details><summary style="cursor:pointer">{escaped(title)}</summary>{inside}</details>')


def page(title: str, *parts: Html) -> str:
    """Return all of it: a title, and parts below each other."""
    wide = "max-width:100%;overflow-x:auto"
    return f'<div style="{wide}"><b>{escaped(title)}</b>{"".join(parts)}</div>'
