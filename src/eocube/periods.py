"""Periods of time: from what a user writes to two moments in UTC."""

from __future__ import annotations

import re
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from .errors import PeriodError

_PART = re.compile(r"^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?$")

ALWAYS = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
"""Start and end of what has none."""


@dataclass(frozen=True)
class Period:
    """A period, both ends included.

    Attributes
    ----------
    start, end : datetime
        UTC. ``ALWAYS`` is the earliest and the latest there are: an open period.
    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start > self.end:
            raise PeriodError(f"The period starts ({self.start}) after it ends ({self.end}): swap them.")

    def __contains__(self, when: datetime) -> bool:
        return self.start <= when <= self.end

    def __str__(self) -> str:
        start, end = (
            ".." if when == limit else _rfc3339(when)
            for when, limit in zip((self.start, self.end), ALWAYS, strict=True)
        )
        return f"{start}/{end}"


def period(text: str | tuple[str, str] | Period) -> Period:
    """Read a period.

    Parameters
    ----------
    text : str or pair of str
        ``"2024"``, ``"2024-05"``, ``"2024-05-17"``, a range of those ``"2024-05/2024-09"`` (whole
        months and days, both ends included), two ISO 8601 times, or one open at an end:
        ``"2024-05/.."``.

    Returns
    -------
    Period

    Raises
    ------
    PeriodError
        If it is not a period, or ends before it starts.

    Examples
    --------
    >>> print(period("2024-05/2024-09"))
    2024-05-01T00:00:00Z/2024-09-30T23:59:59Z
    >>> print(period("2021-07/.."))
    2021-07-01T00:00:00Z/..
    """
    if isinstance(text, Period):
        return text
    parts = text.split("/") if isinstance(text, str) else list(text)
    if len(parts) not in (1, 2):
        raise PeriodError(f"{text!r} is not a period: write '2024-05/2024-09', '2024-05' or two dates.")
    if len(parts) == 2 and all(_is_open(part) for part in parts):
        raise PeriodError(f"{text!r} is open at both ends: leave the period out instead.")
    if len(parts) == 1:
        return Period(_moment(parts[0], first=True), _moment(parts[0], first=False))
    start, end = (
        ALWAYS[i] if _is_open(part) else _moment(part, first=i == 0) for i, part in enumerate(parts)
    )
    return Period(start, end)


def _is_open(text: object) -> bool:
    return text is None or str(text).strip() in ("..", "")


def _moment(text: str, first: bool) -> datetime:
    """Return the first or the last second of a year, month, day, or the moment itself."""
    match = _PART.match(str(text).strip())
    try:
        if not match:
            found = datetime.fromisoformat(str(text).strip())
            return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
        year, month, day = (int(part) if part else None for part in match.groups())
        if year is None or first:
            return datetime(year or 0, month or 1, day or 1, tzinfo=UTC)
        month = month or 12
        day = day or monthrange(year, month)[1]
        return datetime(year, month, day, tzinfo=UTC) + timedelta(days=1, seconds=-1)
    except (ValueError, IndexError, OverflowError) as error:
        raise PeriodError(
            f"{text!r} is not a date: write '2024', '2024-05', '2024-05-17' or an ISO 8601 time."
        ) from error


def _rfc3339(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if when.microsecond else "%Y-%m-%dT%H:%M:%SZ")
