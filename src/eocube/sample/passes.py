"""When the satellites come by, and which granules a pass leaves in the archive.

The calendar is the real one: Sentinel-2A and 2B, five days apart, see 12 degrees east on the
relative orbits 22 (about 10:10 UTC) and 122 (about 10:00 UTC), each every ten days.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from ..errors import InputError
from .frames import border
from .noise import generator
from .sun import solar_position

_START = {
    22: {"A": datetime(2021, 6, 12, 10, 10, 31), "B": datetime(2021, 6, 17, 10, 10, 29)},
    122: {"A": datetime(2021, 6, 9, 10, 0, 31), "B": datetime(2021, 6, 14, 10, 0, 29)},
}
_OFFSET_DAY = datetime(2022, 1, 25, tzinfo=UTC)
_ROW = 14.9
"""Seconds in which the satellite flies over one row of tiles, 100 km."""

# day, cloud fraction, cirrus, role; the order is that in which a smaller world drops them last.
_CHOSEN: tuple[tuple[str, float, bool, str], ...] = (
    ("2021-06-12", 0.04, False, "duplicate"),
    ("2022-03-24", 0.07, False, "split"),
    ("2021-06-24", 0.32, False, ""),
    ("2022-02-24", 0.18, False, "carried"),
    ("2021-09-20", 0.12, True, ""),
    ("2021-11-29", 1.00, False, ""),
    ("2021-07-19", 0.22, False, ""),
    ("2022-04-18", 0.28, True, ""),
    ("2021-10-22", 0.45, False, ""),
    ("2022-05-10", 0.03, False, ""),
    ("2021-08-06", 0.10, False, ""),
    ("2022-01-13", 0.15, False, ""),
)


@dataclass(frozen=True)
class Pass:
    """One overflight.

    Attributes
    ----------
    start : datetime
        Start of the data take (UTC).
    platform : {"A", "B"}
        Sentinel-2A or 2B.
    orbit : int
        Relative orbit.
    cloud : float
        Share of the ground under cumulus, 1 for an overcast sky.
    cirrus : bool
        Whether there is thin cirrus too.
    role : str
        ``"duplicate"``, ``"split"``, ``"carried"`` (the offset is still in the pixels) or nothing.
    place : int
        Which place it is seen from.
    """

    start: datetime
    platform: str
    orbit: int
    cloud: float
    cirrus: bool
    role: str = ""
    place: int = 0

    @property
    def date(self) -> str:
        """The day, ``"2021-06-12"``."""
        return f"{self.start:%Y-%m-%d}"

    @property
    def absolute_orbit(self) -> int:
        """Orbits since launch: 143 in ten days."""
        number, day = {"A": (42_547, datetime(2023, 8, 15)), "B": (33_638, datetime(2023, 8, 20))}[
            self.platform
        ]
        since = self.start - day.replace(hour=9, minute=50, tzinfo=UTC)
        return number + round(since / timedelta(days=10) * 143)

    def sun(self) -> tuple[float, float]:
        """Return the sun's azimuth (from true north) and elevation at the middle of the place."""
        return solar_position(self.start + timedelta(seconds=460 + _ROW * self.place), *border(self.place))


@dataclass(frozen=True)
class Granule:
    """One Item of the archive and how it was made.

    Attributes
    ----------
    flight : Pass
        The overflight.
    tile : int
        0 for the main tile, 1 for its neighbour in the other UTM zone.
    baseline : str
        Processing baseline.
    sequence : int
        Number of the Item among those of its tile, day and platform.
    carried : int
        What the digital numbers carry on top of reflectance * 10000: 0 or 1000.
    applied : bool
        What ``earthsearch:boa_offset_applied`` says.
    bias : float
        Error of reflectance, on the superseded one of a pair of duplicates.
    generated : datetime
        Time of processing.
    part : {"", "north", "south"}
        Which half of a split pass this is.
    """

    flight: Pass
    tile: int
    baseline: str
    sequence: int
    carried: int
    applied: bool
    bias: float
    generated: datetime
    part: str = ""

    @property
    def time(self) -> datetime:
        """Sensing time of the granule: the neighbour comes some seconds later, as do places further south."""
        return self.flight.start + timedelta(seconds=457.6 + 3.2 * self.tile + _ROW * self.flight.place)

    def planes(self, half: float) -> tuple[tuple[float, float, float], ...]:
        """Return the edges of the valid data.

        Each edge is ``(a, b, c)``: data lie where ``a * east + b * north > c``, in metres from
        the middle of the world. The satellite flies toward 193 degrees.
        """
        edges = []
        if self.flight.orbit == 122:
            wander = generator(0, "swath", self.flight.date).uniform(-0.22, 0.22)
            edges.append((0.974, -0.225, 0.974 * half * (wander - 0.85)))
        if self.part == "north":
            edges.append((0.225, 0.974, 0.10 * half - 40))
        if self.part == "south":
            edges.append((-0.225, -0.974, -0.10 * half - 40))
        return tuple(edges)


@lru_cache(maxsize=64)
def calendar(seed: int, dates: int, place: int = 0) -> tuple[Pass, ...]:
    """Return ``dates`` passes of the year from June 2021 to June 2022, in order of time.

    Parameters
    ----------
    seed : int
        Decides the weather of the passes beyond the first twelve.
    dates : int
        1 to 140.
    place : int
        Which place they are seen from. The days are the same everywhere.

    Raises
    ------
    InputError
        If there are not as many passes in the year.
    """
    flights = {
        f"{first + timedelta(days=10 * k):%Y-%m-%d}": (orbit, platform, first + timedelta(10 * k))
        for orbit, starts in _START.items()
        for platform, first in starts.items()
        for k in range(36)
    }
    if not isinstance(dates, int) or not 1 <= dates <= 140:
        raise InputError(f"A year of the sample has 1 to 140 dates, not {dates!r}.")
    chosen = list(_CHOSEN[:dates])
    rest = [day for day in sorted(flights) if day not in {row[0] for row in _CHOSEN}]
    more = max(0, dates - len(chosen))
    for number in range(more):
        rng = generator(seed, "weather", number)
        day = rest[number * len(rest) // more]
        chosen.append((day, float(rng.beta(0.8, 1.4)), bool(rng.random() < 0.15), ""))
    made = []
    for day, cloud, cirrus, role in sorted(chosen):
        orbit, platform, start = flights[day]
        made.append(Pass(start.replace(tzinfo=UTC), platform, orbit, cloud, cirrus, role, place))
    return tuple(made)


def granules(passes: tuple[Pass, ...], naming: str) -> tuple[Granule, ...]:
    """Return what the passes leave in an archive that names its Items in one of the two ways."""
    return tuple(g for flight in passes for tile in (0, 1) for g in _of_tile(flight, tile, naming))


def _of_tile(flight: Pass, tile: int, naming: str) -> list[Granule]:
    """One granule, or two on the main tile when the pass is one of the awkward ones."""
    late = flight.start >= _OFFSET_DAY
    first = "04.00" if late else ("03.00" if flight.start.month == 6 else "03.01")
    soon = flight.start + timedelta(hours=4, minutes=17 + 3 * tile, seconds=41)

    def one(baseline: str, sequence: int, generated: datetime, bias: float = 0.0,
            part: str = "") -> Granule:  # fmt: skip
        carries = baseline >= "04.00"
        harmonised = naming == "earth-search" and carries and flight.role != "carried"
        carried = 1000 if carries and not harmonised else 0
        return Granule(flight, tile, baseline, sequence, carried, harmonised, bias, generated, part)

    if tile == 0 and flight.role == "duplicate":
        again = datetime(2023, 2, 18, 21, 5, 13, tzinfo=UTC)
        return [one(first, 0, soon, bias=0.01), one("05.00", 1, again)]
    if tile == 0 and flight.role == "split":
        later = soon + timedelta(minutes=52)
        return [one(first, 0, soon, part="north"), one(first, 1, later, part="south")]
    return [one(first, 0, soon)]
