"""Maps to look around in: a page of its own that needs no network.

The page is a :class:`folium.Map`. Leaflet, which folium takes from the network, lies in ``web/`` here
and is written into the page, as are the pictures.
"""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from importlib.resources import files
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from ..errors import GridError, InputError
from ..extras import needed
from ..plans import Plan
from .figures import day_of
from .pictures import picture_of
from .shrinking import dates_in

MOST = 100
"""Layers of one map."""

_MERCATOR = "EPSG:3857"


def explore(
    what: Any,
    *,
    bands: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
    each: bool = False,
    cmap: str = "YlGn",
    size: int = 1000,
    base: str | None = None,
    height: str = "500px",
) -> Any:
    """Make a map to look around in: a layer per date, opacity, and two layers side by side.

    It is one page that needs no network: what draws it and the pictures are in it.

    Parameters
    ----------
    what : Plan, xarray.DataArray or mapping
        As :func:`eocube.rgb` takes it, with a CRS; without red, green and blue: one band, by ``cmap``.
        A mapping of names and arrays makes layers of each: ``{"before": a, "after": b}``.
    bands : sequence of str, optional
        The three that become red, green and blue.
    limits : pair of float, optional
        Values of the darkest and brightest tone. Default: percentiles 1 and 99.
    each : bool
        Percentiles of each date by itself.
    cmap : str
        Colour map of matplotlib, for one band.
    size : int
        Pixels of the longer side of a layer at most. Larger: see :mod:`eocube.plots.shrinking`.
    base : str, optional
        A base map below, which the browser fetches from the network: ``"OpenStreetMap"``, or any
        other name or url that folium takes. Default: none, and no request.
    height : str
        Of the map in a notebook; the page itself is filled.

    Returns
    -------
    folium.Map
        Shows itself in notebooks; ``.save("map.html")`` writes the page. What is added to it, such as
        ``folium.GeoJson(fields)``, may need the network.

    Raises
    ------
    InputError, BandError
        If there is nothing to show, or too many layers.
    GridError
        If an array has no CRS, or reaches over the date line or beyond 85 degrees of latitude.
    MissingExtraError
        If folium or Pillow is not installed.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> plan = eocube.plan(items, world.grid, bands=["red", "green", "blue"])
    >>> eocube.explore(plan).save("map.html")                              # doctest: +SKIP
    """
    folium = needed("folium", "A map to explore", "plot")
    needed("PIL", "A map to explore", "plot")
    named = what if isinstance(what, Mapping) else {"": what}
    count = sum(max(1, dates_in(array)) for array in named.values())
    if not 0 < count <= MOST:
        raise InputError(f"{count} layers are not a map: give from 1 to {MOST} dates.")
    for array in named.values():
        _mercator(_grid_of(array))
    layers: list[dict[str, Any]] = []
    for name, array in named.items():
        picture = picture_of(array, limits=limits, each=each, cmap=cmap, size=size, bands=bands)
        layers += _layers(str(name), picture)
    corners = np.array([layer["bounds"] for layer in layers])
    bounds = [corners[:, 0].min(axis=0).tolist(), corners[:, 1].max(axis=0).tolist()]
    middle = np.mean(bounds, axis=0).tolist()
    found = folium.Map(location=middle, tiles=base, zoom_snap=0.25, max_zoom=20)
    _offline(found)
    found.get_root().height = height
    found.add_child(_viewer({"layers": layers, "bounds": bounds}), name="eocube")
    return found


def _layers(name: str, picture: xr.DataArray) -> list[dict[str, Any]]:
    """Return name, bounds (south-west, north-east) and picture of each date."""
    grid = _grid_of(picture)
    place = _mercator(grid)
    box = place.geographic_extent.boundingbox
    bounds = [[box.bottom, box.left], [box.top, box.right]]
    dates = (
        [picture]
        if "time" not in picture.dims
        else [picture.isel(time=k) for k in range(picture.sizes["time"])]
    )
    found = []
    for date in dates:
        day = day_of(date["time"].values) if "time" in picture.dims else ""
        title = f"{name} {day}".strip() or "layer"
        found.append({"name": title, "bounds": bounds, "url": _data_url(_warped(date, grid, place))})
    return found


def _grid_of(what: Any) -> GeoBox:
    """Return where a plan or an array lies."""
    if isinstance(what, Plan):
        return what.grid
    import odc.geo.xr  # noqa: F401  (makes .odc)

    grid = what.odc.geobox if isinstance(what, xr.DataArray) else None
    if not isinstance(grid, GeoBox) or grid.crs is None:
        raise GridError(
            "The array has no CRS, or no regular x and y, so it has no place on a map: give it one, for "
            "instance by array.rio.write_crs('EPSG:32631')."
        )
    return grid


def _mercator(grid: GeoBox) -> GeoBox:
    box = grid.geographic_extent.boundingbox
    if box.right - box.left > 180 or box.right > 180 or box.left < -180:
        raise GridError(
            "The array reaches over the date line, where this map ends: show each side by itself."
        )
    if max(abs(box.top), abs(box.bottom)) > 85:
        raise GridError("The array reaches beyond 85 degrees of latitude, where this map ends.")
    found: GeoBox = grid.to_crs(_MERCATOR, resolution="fit")
    return found


def _warped(date: xr.DataArray, grid: GeoBox, place: GeoBox) -> NDArray[np.uint8]:
    from odc.geo.warp import rio_reproject

    values = date.transpose("y", "x", "band").values
    found = np.zeros((*place.shape, 4), dtype=np.uint8)
    for k in range(4):
        plane = np.ascontiguousarray(values[..., k])
        found[..., k] = rio_reproject(
            plane,
            np.zeros(place.shape, dtype=np.uint8),
            grid,
            place,
            "nearest",
            src_nodata=None,
            dst_nodata=None,
        )
    return found


def _data_url(picture: NDArray[np.uint8]) -> str:
    image = needed("PIL.Image", "A map to explore", "plot")
    out = io.BytesIO()
    image.fromarray(picture).save(out, "WEBP", quality=88, alpha_quality=100)
    return "data:image/webp;base64," + base64.b64encode(out.getvalue()).decode()


def _offline(page: Any) -> None:
    """Write Leaflet into the page, in place of links to it."""
    element = needed("branca.element", "A map to explore", "plot").Element
    page.default_js, page.default_css = [], []
    header = page.get_root().header
    header.add_child(element(f"<style>{_css()}</style>"), name="leaflet_css")
    header.add_child(element(f"<script>{_text('leaflet.js')}</script>"), name="leaflet_js")
    header.add_child(element(f"<script>{_text('explore.js')}</script>"), name="eocube_js")


def _viewer(config: dict[str, Any]) -> Any:
    """Return what adds layers and controls to the map."""
    # Names may come from anywhere: nothing in the JSON can end the script.
    said = json.dumps(config)
    for mark in "<>&\u2028\u2029":
        said = said.replace(mark, f"\\u{ord(mark):04x}")
    macro = needed("branca.element", "A map to explore", "plot").MacroElement()
    macro._name = "eocube"
    macro._template = needed("jinja2", "A map to explore", "plot").Template(
        "{% macro script(this, kwargs) %}"
        "eocubeExplore({{ this._parent.get_name() }}, {{ this.said }});"
        "{% endmacro %}"
    )
    macro.said = said
    return macro


def _text(name: str) -> str:
    return files(__package__).joinpath("web", name).read_text(encoding="utf-8")


@lru_cache(maxsize=1)
def _css() -> str:
    """Return the styles, the pictures that Leaflet's point at in them."""

    def inline(found: re.Match[str]) -> str:
        data = files(__package__).joinpath("web", found[1]).read_bytes()
        return f"url(data:image/png;base64,{base64.b64encode(data).decode()})"

    return re.sub(r"url\(images/([a-z0-9-]+\.png)\)", inline, _text("leaflet.css")) + _text("explore.css")
