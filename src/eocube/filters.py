"""Filters of a search as a value: tested on Items here, or pushed down to an API as CQL2.

What an API is asked is never more than what :meth:`Filters.keeps` asks, and every answer goes
through it: an API with CQL2, one without, a folder and an index give the same Items.
"""

from __future__ import annotations

import operator as python
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import InputError, ItemsError
from .facts import PLATFORMS, baseline_of, number_of, orbit_of, platform_of, properties_of, tile_of, time_of
from .tiles import tile_name

OPERATORS = {"eq": "=", "neq": "<>", "lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
"""Of the STAC API's query extension, and how CQL2 writes them; ``in`` besides."""

_COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    name: getattr(python, {"eq": "eq", "neq": "ne", "lt": "lt", "lte": "le", "gt": "gt", "gte": "ge"}[name])
    for name in OPERATORS
}

DIRECTIONS = ("ascending", "descending")


@dataclass(frozen=True)
class Filters:
    """Which Items, beyond area and period. Made by :func:`filters`, which checks and normalises.

    Attributes
    ----------
    max_cloud : float, optional
        Greatest ``eo:cloud_cover`` in percent. An Item that does not say it is kept.
    orbits : tuple of int
        Relative orbits (1 to 143); empty: all.
    direction : {"", "ascending", "descending"}
        Of the pass; an Item that does not say it is kept (Sentinel-2 images by day, descending).
    platforms : tuple of str
        ``"sentinel-2a"``; empty: all.
    baseline : tuple of two str
        Lowest and highest processing baseline, both included; ``""``: no limit.
    months : tuple of int
        Months of the year (UTC); empty: all.
    tiles : tuple of str
        MGRS tiles, ``"22KFV"``; empty: all.
    query : mapping
        Further conditions by property; see :func:`eocube.search`.
    """

    max_cloud: float | None = None
    orbits: tuple[int, ...] = ()
    direction: str = ""
    platforms: tuple[str, ...] = ()
    baseline: tuple[str, str] = ("", "")
    months: tuple[int, ...] = ()
    tiles: tuple[str, ...] = ()
    query: Mapping[str, Any] = field(default_factory=dict, hash=False)

    def keeps(self, item: Mapping[str, Any]) -> bool:
        """Whether an Item (as a dict) fits; never raises, whatever the Item holds."""
        return self._by_pass(item) and self._by_product(item) and meets(properties_of(item), self.query)

    def _by_pass(self, item: Mapping[str, Any]) -> bool:
        if self.orbits and orbit_of(item) not in self.orbits:
            return False
        said = properties_of(item).get("sat:orbit_state")
        if self.direction and isinstance(said, str) and said.lower() != self.direction:
            return False
        try:
            if self.platforms and platform_of(item) not in self.platforms:
                return False
            return not self.months or time_of(item).month in self.months
        except ItemsError:
            return False

    def _by_product(self, item: Mapping[str, Any]) -> bool:
        said = properties_of(item).get("eo:cloud_cover")
        if self.max_cloud is not None and said is not None:
            cloud = number_of(said)
            if cloud is None or cloud > self.max_cloud:
                return False
        if self.tiles and tile_of(item) not in self.tiles:
            return False
        low, high = self.baseline
        if not (low or high):
            return True
        baseline = baseline_of(item)
        return bool(baseline) and low <= baseline and (not high or baseline <= high)

    def cql2(self) -> dict[str, Any] | None:
        """Return the part that an API can decide, as CQL2 JSON; None if there is none.

        It keeps everything that :meth:`keeps` does and may keep more: what a property does not say
        may be said elsewhere in the Item (``IS NULL`` everywhere); baselines and months are not
        asked for, since catalogs write them in several ways.
        """
        parts = [
            _or_unsaid(name, test)
            for name, test in (
                ("eo:cloud_cover", self.max_cloud is not None and ("<=", self.max_cloud)),
                ("sat:relative_orbit", self.orbits and ("in", list(self.orbits))),
                ("sat:orbit_state", self.direction and ("in", _spelled([self.direction]))),
                ("platform", self.platforms and ("in", _spelled(self.platforms))),
            )
            if test
        ]
        if self.tiles:
            parts.append({"op": "and", "args": [
                _or_unsaid("grid:code", ("in", [s for t in self.tiles for s in _codes(t)])),
                _or_unsaid("s2:mgrs_tile", ("in", [s for t in self.tiles for s in _names(t)])),
            ]})  # fmt: skip
        for name, tests in self.query.items():
            for operator, wanted in tests.items():
                op = "in" if operator == "in" else OPERATORS[operator]
                parts.append({"op": op, "args": [{"property": name}, _listed(wanted)]})
        if not parts:
            return None
        return parts[0] if len(parts) == 1 else {"op": "and", "args": parts}

    def __str__(self) -> str:
        low, high = self.baseline
        said = [
            f"max_cloud {self.max_cloud:g} %" if self.max_cloud is not None else "",
            f"orbit {', '.join(map(str, self.orbits))}" if self.orbits else "",
            self.direction,
            f"platform {', '.join(self.platforms)}" if self.platforms else "",
            f"baseline {low or 'any'} to {high or 'any'}" if low or high else "",
            f"months {', '.join(map(str, self.months))}" if self.months else "",
            f"tiles {', '.join(self.tiles)}" if self.tiles else "",
            f"query {dict(self.query)}" if self.query else "",
        ]
        return "; ".join(part for part in said if part)


def filters(
    *,
    max_cloud: float | None = None,
    orbit: int | str | Iterable[int | str] | None = None,
    platform: str | Iterable[str] | None = None,
    baseline: str | tuple[str, str] | None = None,
    months: int | Iterable[int] | None = None,
    tiles: str | Iterable[str] | None = None,
    query: Mapping[str, Any] | None = None,
) -> Filters:
    """Read filters as a user writes them; the parameters are those of :func:`eocube.search`.

    Raises
    ------
    InputError
        If one is not usable.

    Examples
    --------
    >>> print(filters(max_cloud=60, orbit=[22, "descending"], platform="S2A", months=[6, 7]))
    max_cloud 60 %; orbit 22; descending; platform sentinel-2a; months 6, 7
    """
    cloud = max_cloud if max_cloud is None else number_of(max_cloud)
    if (max_cloud is not None and cloud is None) or (cloud is not None and not 0 <= cloud <= 100):
        raise InputError(f"max_cloud={max_cloud} is not a percentage: give 0 to 100.")
    orbits, direction = _orbits(orbit)
    names = () if tiles is None else (tiles,) if isinstance(tiles, str) else tuple(tiles)
    return Filters(
        cloud,
        orbits,
        direction,
        () if platform is None else tuple(_platform(name) for name in _several(platform)),
        _baselines(baseline),
        _months(months),
        tuple(dict.fromkeys(tile_name(name) for name in names)),
        _conditions(query),
    )


def meets(properties: Mapping[str, Any], conditions: Mapping[str, Any]) -> bool:
    """Whether properties meet conditions; what is not said, or not comparable, meets none."""
    return all(
        _compare(properties.get(name), operator, wanted)
        for name, tests in conditions.items()
        for operator, wanted in tests.items()
    )


def _compare(found: Any, operator: str, wanted: Any) -> bool:
    if found is None:
        return False
    try:
        if operator == "in":
            return found in wanted
        return bool(_COMPARISONS[operator](found, wanted))
    except TypeError:
        return False


def _or_unsaid(name: str, test: tuple[str, Any]) -> dict[str, Any]:
    named = {"property": name}
    return {"op": "or", "args": [
        {"op": test[0], "args": [named, test[1]]}, {"op": "isNull", "args": [named]},
    ]}  # fmt: skip


def _spelled(words: Iterable[str]) -> list[str]:
    """As catalogs write them: sentinel-2a, Sentinel-2A, SENTINEL-2A."""
    spelled = {
        form for w in words for form in (w, w.upper(), w.capitalize(), w.capitalize()[:-1] + w[-1].upper())
    }
    return sorted(spelled)


def _codes(tile: str) -> list[str]:
    return [f"MGRS-{tile}", *([f"MGRS-{tile[1:]}"] if tile[0] == "0" else [])]


def _names(tile: str) -> list[str]:
    return [tile, *([tile[1:]] if tile[0] == "0" else [])]


def _listed(wanted: Any) -> Any:
    return list(wanted) if isinstance(wanted, tuple | set | frozenset) else wanted


def _several(value: Any) -> list[Any]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return [value]
    return list(value)


def _orbits(orbit: Any) -> tuple[tuple[int, ...], str]:
    orbits: list[int] = []
    directions: list[str] = []
    for part in () if orbit is None else _several(orbit):
        text = str(part).strip().lower()
        if text in DIRECTIONS:
            directions.append(text)
        elif (
            not isinstance(part, bool) and text.lstrip("r").isdecimal() and 1 <= int(text.lstrip("r")) <= 143
        ):
            orbits.append(int(text.lstrip("r")))
        else:
            raise InputError(
                f"orbit={part!r} is not an orbit of Sentinel-2: give relative orbits (1 to 143), "
                "'ascending' or 'descending'."
            )
    return tuple(dict.fromkeys(orbits)), directions[0] if len(set(directions)) == 1 else ""


def _platform(name: Any) -> str:
    text = str(name).strip().lower().replace("_", "-")
    for known in PLATFORMS:
        if text in (known, known.replace("-2", "2"), f"s2{known[-1]}", f"2{known[-1]}", known[-1]):
            return known
    raise InputError(f"platform={name!r} is not known: give one of {', '.join(PLATFORMS)}.")


def _baselines(baseline: Any) -> tuple[str, str]:
    if baseline is None:
        return "", ""
    parts = [baseline] if isinstance(baseline, str) else list(baseline)
    found = []
    for part in parts:
        text = str(part or "").strip()
        read = baseline_of({"id": "", "properties": {"s2:processing_baseline": text}})
        if text and not read:
            raise InputError(f"baseline={baseline!r} is not one: write '04.00', or a pair (lowest, highest).")
        found.append(read)
    if len(found) not in (1, 2) or (len(found) == 2 and found[1] and found[0] > found[1]):
        raise InputError(f"baseline={baseline!r} is not a limit: write '04.00', or a pair (lowest, highest).")
    return found[0], found[1] if len(found) == 2 else ""


def _months(months: Any) -> tuple[int, ...]:
    found = [] if months is None else _several(months)
    if any(isinstance(m, bool) or not isinstance(m, int) or not 1 <= m <= 12 for m in found):
        raise InputError(f"months={months!r} are not months: give numbers from 1 to 12.")
    return tuple(sorted(set(found)))


def _conditions(query: Any) -> dict[str, Any]:
    if query is None:
        return {}
    if not isinstance(query, Mapping):
        raise InputError(f"query={query!r} is not a mapping: write {{'s2:mgrs_tile': {{'eq': '22KFV'}}}}.")
    for name, tests in query.items():
        if not isinstance(tests, Mapping):
            raise InputError(f"query of {name!r} is {tests!r}: write {{{name!r}: {{'eq': {tests!r}}}}}.")
        for operator, wanted in tests.items():
            if operator not in (*OPERATORS, "in"):
                known = ", ".join((*OPERATORS, "in"))
                raise InputError(f"query has no operator {operator!r}: {known} are known.")
            if operator == "in" and not isinstance(wanted, list | tuple | set | frozenset):
                raise InputError(f"query of {name!r}: 'in' needs a list, found {wanted!r}.")
    return {str(name): dict(tests) for name, tests in query.items()}
