"""Options that several commands share, and what they ask for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from ..catalogs import CATALOGS, Catalog
from ..errors import AreaError, EocubeError, InputError
from ..loaders.base import RESAMPLINGS

if TYPE_CHECKING:
    import pystac
    from odc.geo.geobox import GeoBox
    from odc.geo.geom import Geometry

    from ..checks import Verify
    from ..loaders.base import Resampling
    from ..plans import DType, Plan

VERIFY: dict[str, Verify] = {"auto": "auto", "all": True, "none": False}
MASKS = ("scl", "scl-strict", "scl-snow", "none")


class Failure(click.ClickException):
    """An error of eocube's own, shown without a traceback."""

    def show(self, file: Any = None) -> None:  # noqa: ARG002  (click's signature)
        """Print to standard error."""
        click.secho(f"Error: {self.message}", fg="red", err=True)


@dataclass(frozen=True)
class Query:
    """Which Items.

    Attributes
    ----------
    catalog, area, period, max_cloud, tile, orbit, platform, baseline, months, limit, trust, sample
        As the options say.
    """

    catalog: tuple[str, ...]
    area: str | None
    period: str | None
    max_cloud: float | None
    tile: tuple[str, ...]
    orbit: tuple[str, ...]
    platform: tuple[str, ...]
    baseline: str | None
    months: str | None
    limit: int | None
    trust: bool
    sample: bool

    def items(self) -> pystac.ItemCollection:
        """Search."""
        from ..queries import search, search_tiles

        options: dict[str, Any] = {
            "max_cloud": self.max_cloud, "orbit": self.orbit or None, "platform": self.platform or None,
            "baseline": tuple(self.baseline.split("/")) if self.baseline else None,
            "months": _months(self.months), "limit": self.limit,
        }  # fmt: skip
        if not self.tile:
            return search(self._catalogs(), self.where(), self.period, **options)
        if self.area is not None:
            raise InputError("--tile and --area both say where: give one.")
        return search_tiles(self.tile, self.period, self._catalogs(), **options)

    def _catalogs(self) -> Any:
        if self.sample:
            from ..sample import cached

            return cached().items_path
        found: list[Any] = list(self.catalog)
        if self.trust:
            found = [replace(CATALOGS.get(name, Catalog(name, name)), trust=True) for name in found]
        return found if len(found) > 1 else found[0]

    def where(self) -> Geometry | None:
        """Return the area, if one was given."""
        from ..areas import area
        from ..tiles import tile_name, tiles_outline

        if self.area is None:
            if len(self.tile) < 2:
                return area(self.tile[0]) if self.tile else None
            return area(tiles_outline([tile_name(tile) for tile in self.tile]))
        numbers = self.area.replace(" ", "").split(",")
        if len(numbers) == 4:
            try:
                return area([float(number) for number in numbers])
            except ValueError as error:
                if isinstance(error, AreaError):
                    raise
                raise AreaError(
                    f"--area {self.area!r} is neither 'west,south,east,north' nor a file nor a tile."
                ) from error
        return area(self.area)


@dataclass(frozen=True)
class Request:
    """Which cube.

    Attributes
    ----------
    query : Query
    bands, crs, resolution, mask, dilate, dtype, resampling, chunk, memory, on_missing, on_error, loader,
    verify_offset
        As the options say.
    """

    query: Query
    bands: str
    crs: str
    resolution: float | None
    mask: str
    dilate: float | None
    dtype: DType
    resampling: Resampling
    chunk: int | None
    memory: str
    on_missing: Literal["raise", "skip"]
    on_error: Literal["raise", "skip"]
    loader: str
    verify_offset: str

    def plan(self, items: pystac.ItemCollection, bands: str | None = None) -> Plan:
        """Plan the cube."""
        from ..planning import plan

        names = [name for name in (bands or self.bands).replace(" ", "").split(",") if name]
        return plan(
            items, self._grid(items), bands=names, mask=self._mask(), dtype=self.dtype,
            resampling=self.resampling, chunk=self.chunk, memory=self.memory,
            on_missing=self.on_missing, on_error=self.on_error, loader=self.loader,
            verify_offset=VERIFY[self.verify_offset],
        )  # fmt: skip

    def _grid(self, items: pystac.ItemCollection) -> GeoBox:
        from ..grids import grid_for

        where = self.query.where()
        if where is None and self.query.sample and self.resolution is None and self.crs == "utm":
            from ..sample import cached

            return cached().grid
        return grid_for(items if where is None else where, crs=self.crs, resolution=self.resolution)

    def _mask(self) -> Any:
        from ..masks import SCLMask

        if self.mask == "none":
            if self.dilate:
                raise InputError("--dilate needs a mask.")
            return None
        made: Any = SCLMask(self.mask.removeprefix("scl-") if "-" in self.mask else "default")
        return made.dilate(metres=self.dilate) if self.dilate else made


def _months(text: str | None) -> list[int] | None:
    """Read ``5-9`` or ``6,7``; ``11-2`` goes round the year."""
    if not text:
        return None
    found: list[int] = []
    try:
        for part in text.replace(" ", "").split(","):
            first, _, last = part.partition("-")
            start, stop = int(first), int(last or first)
            found += range(start, stop + 1) if start <= stop else [*range(start, 13), *range(1, stop + 1)]
    except ValueError as error:
        raise InputError(f"--months {text!r} are not months: write 5-9 or 6,7.") from error
    return found


_QUERY = (
    click.option("--catalog", default=("earth-search",), show_default=True, multiple=True,
                 help=f"{', '.join(CATALOGS)}; a STAC API's url; a local index (.parquet), a folder of "
                      "Items, an ItemCollection or catalog.json. Given again: where the ones before have "
                      "gaps."),
    click.option("--area", help="west,south,east,north in degrees, a vector file, or an MGRS tile (31UFR). "
                                "Default for a local catalog: all of it."),
    click.option("--period", help="For instance 2024-05/2024-09, both ends included."),
    click.option("--max-cloud", type=float, help="Greatest cloud cover of an Item in percent."),
    click.option("--tile", multiple=True, help="An MGRS tile instead of an area; may be given again."),
    click.option("--orbit", multiple=True, help="Relative orbit, ascending or descending."),
    click.option("--platform", multiple=True, help="For instance S2A."),
    click.option("--baseline", help="Lowest processing baseline, or lowest/highest: 04.00, /03.01."),
    click.option("--months", help="Months of the year: 5-9, or 6,7."),
    click.option("--limit", type=int, help="At most so many Items, the first in time."),
    click.option("--trust", is_flag=True,
                 help="Let Items of a remote catalog point at files of this machine and local addresses."),
    click.option("--sample", is_flag=True, help="Use the embedded made-up archive; needs no network."),
)  # fmt: skip

_REQUEST = (
    click.option("--bands", default="red,green,blue,nir", show_default=True, help="Common or ESA's names."),
    click.option("--crs", default="utm", show_default=True, help="utm, or any CRS such as EPSG:3857."),
    click.option("--resolution", type=float,
                 help="Pixel in units of the CRS. Default: 10 m, or the Items' own."),
    click.option("--mask", type=click.Choice(MASKS), default="scl", show_default=True,
                 help="What is thrown away."),
    click.option("--dilate", type=float, help="Grow the mask by so many metres."),
    click.option("--dtype", type=click.Choice(["float32", "uint16"]), default="float32", show_default=True,
                 help="Reflectance, or reflectance * 10000."),
    click.option("--resampling", type=click.Choice(RESAMPLINGS), default="auto", show_default=True),
    click.option("--chunk", type=int, help="Pixels along a block's side."),
    click.option("--memory", default="2GB", show_default=True, help="What a task may take at most."),
    click.option("--on-missing", type=click.Choice(["raise", "skip"]), default="raise", show_default=True,
                 help="What to do with an Item that lacks an asset."),
    click.option("--on-error", type=click.Choice(["raise", "skip"]), default="raise", show_default=True,
                 help="What to do where a file cannot be read; what is skipped is listed."),
    click.option("--loader", default="cog", show_default=True, help="cog, rio or stackstac."),
    click.option("--verify-offset", type=click.Choice(list(VERIFY)), default="auto", show_default=True,
                 help="Look at the pixels of doubtful Items, of all, or of none for the offset."),
)  # fmt: skip


def takes_query(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a search; it is called with a Query."""
    return _decorated(command, _QUERY, lambda options: _taken(Query, options))


def takes_request(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a search and of a cube; it is called with a Request."""

    def made(options: dict[str, Any]) -> Request:
        return Request(query=_taken(Query, options), **{
            field.name: options.pop(field.name) for field in fields(Request) if field.name != "query"
        })  # fmt: skip

    return _decorated(command, (*_QUERY, *_REQUEST), made)


def _taken(kind: type[Query], options: dict[str, Any]) -> Query:
    return kind(**{field.name: options.pop(field.name) for field in fields(kind)})


def _decorated(
    command: Callable[..., None], options: tuple[Any, ...], made: Callable[[dict[str, Any]], Any]
) -> Callable[..., None]:
    @wraps(command)
    def run(**values: Any) -> None:
        try:
            command(made(values), **values)
        except EocubeError as error:
            raise Failure(str(error)) from error

    wrapped: Callable[..., None] = run
    for option in reversed(options):
        wrapped = option(wrapped)
    return wrapped


def out_option(default: str, text: str) -> Callable[..., Any]:
    """Return the option that says where the result goes."""
    kind = click.Path(path_type=Path)
    return click.option("--out", type=kind, default=default, show_default=True, help=text)


REDUCER = "median, mean, min, max, count, p25, ..., or with parameters as percentile:25."


def takes_reducer(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the option of one reducer; it is called with a tuple of one, ``reducers``."""
    made: Callable[..., None] = click.option(
        "--reducer", "reducers", default="median", show_default=True, help=REDUCER,
        callback=lambda _, __, text: (text,),
    )(command)  # fmt: skip
    return made


def takes_output(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of what is written."""
    command = click.option("--overwrite", is_flag=True, help="Replace what is there.")(command)
    made: Callable[..., None] = click.option(
        "--item", is_flag=True, help="Write a STAC Item beside it, with links to all that it was made of."
    )(command)
    return made
