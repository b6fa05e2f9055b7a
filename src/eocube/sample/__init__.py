"""A made-up but physical Sentinel-2 L2A archive, on disk in seconds, with the truth beside it.

Two small tiles on both sides of the border of the UTM zones 32 and 33 see one landscape of fields,
woods, a river, a lake and a town through a year of weather. The sun casts the clouds' shadows
where they belong, and the archive has the traps of the real ones: the offset of baseline 04.00
(applied, not applied, and metadata that say the wrong thing), a reprocessed duplicate, a split
pass, ragged swath edges and, when asked for, the faults of the scene classification. Level-1C of the same
ground and sky, band 10 among it, is written when asked for, by :meth:`World.l1c`.

``places=6`` makes an archive of twelve tiles in the two zones: six such pairs, each with a landscape and
weather of its own, one row of MGRS squares south of the one before. ``world.parts`` holds a world for each.

Examples
--------
>>> from eocube import sample
>>> world = sample.cached()
>>> world.item_ids[:2]
('S2A_33TTN_20210612_0_L2A', 'S2A_33TTN_20210612_1_L2A')
>>> world.cloud_on(world.grid, "2021-06-24").shape
(192, 276)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from .files import DEFAULT_BANDS, cached_world, plan_world, write_world
from .worlds import Naming, World, read_world

__all__ = ["World", "cached", "open", "write"]


def write(
    folder: str | Path,
    *,
    seed: int = 0,
    naming: Naming = "earth-search",
    size: int = 240,
    dates: int = 12,
    bands: Iterable[str] = DEFAULT_BANDS,
    scl_faults: bool = False,
    landscape: str = "fields",
    places: int = 1,
) -> World:
    """Write a made-up archive and return it.

    Parameters
    ----------
    folder : path
        Where to; must not exist yet, or be empty.
    seed : int
        Decides landscape, weather and noise: the same seed, the same pixels.
    naming : {"earth-search", "planetary-computer"}
        Whose ids, properties and asset keys the Items bear. With the second one, no pixels are
        harmonised, as there.
    size : int
        Pixels of 10 m along each side of a tile; a multiple of 6 from 60 on.
    dates : int
        Passes in the year from June 2021, 1 to 140. From 3 on there are a duplicate, a split pass
        and both kinds of baseline; from 4 on, an Item whose offset is still in the pixels; from 6
        on, cirrus and an overcast day. The first twelve do not depend on the seed.
    bands : iterable of str
        Reflectance bands to write; ``scl`` always comes along.
    scl_faults : bool
        Give the classification the usual faults: bright roofs and gravel as cloud, rims of clouds
        missed, narrow shadows missed, faint cirrus missed. Without, it is the truth at 20 m.
    landscape : {"fields", "forest", "desert", "steppe", "snow", "water", "silt"}
        What the ground is made of. The shapes are the same; truth and traps hold in all.
    places : int
        Pairs of tiles, 1 to 20: see :attr:`World.parts`. The first is the same however many there are.

    Returns
    -------
    World

    Raises
    ------
    OutputError
        If the folder is not empty.
    InputError
        If size, dates, naming, landscape or places cannot be; ``BandError`` for a band that it cannot make.

    Examples
    --------
    >>> import tempfile
    >>> world = write(tempfile.mkdtemp(), seed=7, size=60, dates=1)
    >>> world.truth("shadow", world.item_ids[0]).shape
    (60, 60)
    """
    world = plan_world(folder, seed, naming, size, dates, bands, scl_faults, landscape, places)
    write_world(world)
    return world


def cached(
    *,
    seed: int = 0,
    naming: Naming = "earth-search",
    size: int = 240,
    dates: int = 12,
    scl_faults: bool = False,
    landscape: str = "fields",
    places: int = 1,
) -> World:
    """Return a world out of the user's cache, and write it there the first time.

    Parameters
    ----------
    seed, naming, size, dates, scl_faults, landscape, places
        As in :func:`write`.

    Returns
    -------
    World
        In ``$XDG_CACHE_HOME/eocube`` or ``~/.cache/eocube``. Others use it too: do not change it.

    Raises
    ------
    InputError
        If size, dates, naming, landscape or places cannot be.

    Examples
    --------
    >>> cached().item_ids[0]
    'S2A_33TTN_20210612_0_L2A'
    """
    bands = DEFAULT_BANDS
    world = plan_world("not yet", seed, naming, size, dates, bands, scl_faults, landscape, places)
    return cached_world(world)


def open(folder: str | Path) -> World:  # noqa: A001 - said as sample.open
    """Return a world that was written before.

    Parameters
    ----------
    folder : path
        The folder given to :func:`write`.

    Raises
    ------
    InputError
        If there is no sample in the folder.

    Examples
    --------
    >>> open(cached().path).item_ids[0]
    'S2A_33TTN_20210612_0_L2A'
    """
    return read_world(folder)
