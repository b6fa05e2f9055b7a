"""Shadows: where the sun casts them of the clouds that another mask finds."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import numpy as np

from ..errors import MaskError, did_you_mean
from ..pixels import Pixels
from ..sentinel2 import SCL_CLASSES
from ..suns import patches
from .algebra import Mask, apply, as_mask, reach_for
from .heights import AROUND, Blocks, Surroundings, block_side
from .rays import Bools, Offset, dilated, eroded, ray, seen_along

Preset = Literal["default", "dark", "gee", "cordmaur"]
_EVERY = (0.0, math.inf)


@dataclass(frozen=True)
class Recipe:
    """The numbers of a way to find shadows; lengths in metres.

    Attributes
    ----------
    dark : float or None
        Reflectance of B8 below which ground is dark, anywhere within the length of a shadow.
    contrast : float or None
        Share of the brightness of the ground around below which it is dark, too, where the clouds'
        outlines fit.
    heights : (float, float)
        Of clouds above ground.
    distance : float
        From a cloud, at most.
    water : bool
        Whether what SCL calls water can be in shadow.
    erode, grow : float
        What is done to the result: first the one, then the other.
    clouds : bool
        Whether the clouds belong to the result.
    """

    dark: float | None
    contrast: float | None
    heights: tuple[float, float]
    distance: float
    water: bool
    erode: float = 0.0
    grow: float = 0.0
    clouds: bool = False


RECIPES: dict[str, Recipe] = {
    "default": Recipe(0.10, 0.80, (200.0, 3000.0), 6000.0, water=False),
    "dark": Recipe(0.20, None, (200.0, 3000.0), 6000.0, water=False),
    # NIR_DRK_THRESH 0.15, CLD_PRJ_DIST 1, BUFFER 50, focalMin(2).focalMax(BUFFER * 2 / 20) in pixels of 20 m:
    # Google Earth Engine community, tutorials/sentinel-2-s2cloudless.
    "gee": Recipe(0.15, None, _EVERY, 1000.0, water=False, erode=40.0, grow=100.0, clouds=True),
    # M. Cordeiro's article: the same with B8 < 0.1, water too, no erosion, dilation of 5 pixels of 20 m.
    "cordmaur": Recipe(0.10, None, _EVERY, 1000.0, water=True, grow=100.0, clouds=True),
}

_MAY_CAST = np.zeros(256, dtype=bool)
_MAY_CAST[: len(SCL_CLASSES)] = [name not in ("no_data", "dark", "shadow") for name in SCL_CLASSES]


@dataclass(frozen=True, repr=False)
class ProjectedShadow(Mask):
    """Throw away the shadows of the clouds that another mask finds.

    A pixel is in shadow if, looking toward the sun, a cloud stands within the length of a shadow, and
    the pixel is dark. A shadow lies cloud height * tan(sun zenith) away from its cloud.

    By default a pixel is dark where it has less than 80 % of the brightness of the lit ground within
    1.6 km, and there only heights count at which the clouds' outlines, moved by the sun, fit the dark
    ground best. So neither woods nor dark fields become shadows, and shadows on bright ground, snow too,
    are found. What is nearly black (B8 < 0.10) is dark at any height: between towering clouds there is
    no lit ground to compare with.

    Parameters
    ----------
    of : mask
        Finds the clouds, ``SCLMask("cloud_medium", "cloud_high")`` or ``S2Cloudless(...)``. Of what it
        throws away, no data casts no shadow, nor what SCL, where it is read, calls a shadow or dark.
    preset : {"default", "dark", "gee", "cordmaur"}
        The numbers that are not given. ``"dark"``: one threshold for all ground, B8 < 0.20, no outlines;
        quicker. ``"gee"``: those of Google Earth Engine's s2cloudless tutorial; ``"cordmaur"``: those of
        the article after it. These two return the clouds as well, cleaned together with the shadows,
        and take ``of`` as it is.
    dark : float, optional
        Reflectance of B8 below which ground is dark whatever is around it: 0.10, 0.20, 0.15 and 0.10.
    heights : (float, float), optional
        Lowest and highest cloud above ground, metres.
    distance : float, optional
        How far from a cloud, in metres, its shadow is looked for at most: 6000 (1000 in the recipes).
        It bounds what is read around a window when the sun is low.
    water : bool, optional
        Whether what SCL calls water can be in shadow; without, SCL is not read for it.
    grow : float, optional
        Metres by which the result is dilated: 0, or 100 in the recipes. The tutorial's BUFFER of 50 m is
        ``grow=100``.
    sun : {"granule", "grid"}
        ``granule``: the mean angles that each Item states. ``grid``: the angles per 5 km of the granule's
        metadata (the asset ``granule_metadata``), which are read when the cube is planned.
    resolution : float
        Pixel in metres on which it works.

    Raises
    ------
    MaskError
        If a number cannot be. When a cube is planned: if the sun's angles are not known or it is below
        the horizon.

    Notes
    -----
    It works on the UTM grid of the mask, before anything is moved to the grid of the cube, with the
    sun of each granule, its azimuth turned from true north to grid north. How well it does:
    docs/shadows.md.

    Examples
    --------
    >>> from eocube import SCLMask
    >>> clouds = SCLMask("cloud_medium", "cloud_high")
    >>> clouds | ProjectedShadow(of=clouds)
    (SCLMask('cloud_medium', 'cloud_high') | ProjectedShadow(of=SCLMask('cloud_medium', 'cloud_high')))
    >>> ProjectedShadow(of=clouds, preset="gee").recipe.dark
    0.15
    """

    of: Any
    preset: Preset = "default"
    dark: float | None = None
    heights: tuple[float, float] | None = None
    distance: float | None = None
    water: bool | None = None
    grow: float | None = None
    sun: Literal["granule", "grid"] = "granule"
    resolution: float | None = 20.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "of", as_mask(self.of))
        for name, known in (("preset", tuple(RECIPES)), ("sun", ("granule", "grid"))):
            if getattr(self, name) not in known:
                found = getattr(self, name)
                raise MaskError(
                    f"{name}={found!r} is not known.{did_you_mean(str(found), known)} Choose of: "
                    f"{', '.join(known)}."
                )
        if self.heights is not None:
            object.__setattr__(self, "heights", tuple(map(float, self.heights)))
        _check(self.recipe, self.resolution)

    @property
    def recipe(self) -> Recipe:
        """The numbers by which it works: those of the preset, and what was given."""
        given = {
            name: value for name in ("dark", "heights", "distance", "water", "grow")
            if (value := getattr(self, name)) is not None
        }  # fmt: skip
        return replace(RECIPES[self.preset], **given)

    @property
    def bands(self) -> tuple[str, ...]:
        """Those of the clouds, B8, and SCL where water cannot be in shadow."""
        extra = ("nir",) if self.recipe.water else ("nir", "scl")
        return tuple(dict.fromkeys((*self.of.bands, *extra)))

    @property
    def reach(self) -> float:  # type: ignore[override]
        """Metres, under the lowest sun."""
        return self.reach_for(self.resolution or 20.0, 0.0)

    def reach_for(self, resolution: float, sun: float) -> float:
        """Return metres: the longest shadow, and what is looked at around it."""
        recipe = self.recipe
        around = 0.0 if recipe.contrast is None else AROUND + block_side(resolution) * resolution
        slack = 3 * resolution  # rays run from middle to middle of pixels
        length = longest(recipe, sun)
        return reach_for(self.of, resolution, sun) + length + around + recipe.erode + recipe.grow + slack

    def __call__(self, px: Pixels) -> Bools:
        """Return bool (y, x), True in shadow; in a recipe's also where the clouds are."""
        recipe, valid = self.recipe, px.valid
        casters = apply(self.of, px) & valid
        ground = valid & ~casters
        if not recipe.water:
            ground &= px["scl"] != SCL_CLASSES["water"]
        if not recipe.clouds and "scl" in px.bands:
            casters &= _MAY_CAST[px["scl"]]
        found = np.zeros(px.shape, dtype=bool)
        if casters.any():
            self._cast(px, ground, casters, found)
        if recipe.clouds:
            found |= casters
        found = eroded(found, recipe.erode / px.resolution, valid)
        return dilated(found, recipe.grow / px.resolution)

    def _cast(self, px: Pixels, ground: Bools, casters: Bools, out: Bools) -> None:
        """Put the shadows of a window where they belong."""
        recipe, pixel, nir = self.recipe, px.resolution, px["nir"]
        around = None
        if recipe.contrast is not None:
            around = Surroundings(nir, ground, casters, _blocks(px), pixel)
        for patch in patches(px):
            line = ray(patch.azimuth, *_lengths(recipe, patch.elevation), pixel)
            if not line:
                continue
            part, start = (patch.rows, patch.columns), (patch.rows.start, patch.columns.start)
            found = np.zeros(out[part].shape, dtype=bool)
            if recipe.dark is not None:
                dark = ground[part] & (nir[part] < np.float32(recipe.dark))
                found |= dark & _swept(casters, part, line) if dark.any() else False
            if around is not None and recipe.contrast is not None:
                rows, columns = around.fitting(*part, line, recipe.contrast)
                found[rows - start[0], columns - start[1]] = True
            out[part] |= found if patch.own is None else found & patch.own

    def __repr__(self) -> str:
        given = {told.name: getattr(self, told.name) for told in fields(self)}
        usual = {told.name: told.default for told in fields(self)}
        said = [f"{name}={value!r}" for name, value in given.items() if name == "of" or value != usual[name]]
        return f"ProjectedShadow({', '.join(said)})"


def _swept(casters: Bools, part: tuple[slice, slice], line: list[Offset]) -> Bools:
    """Return where in a part of the window a caster stands on the line."""
    wide, inner = [], []
    for axis, own in enumerate(part):
        low = max(0, own.start + min(0, *(offset[axis] for offset in line)))
        wide.append(slice(low, own.stop + max(0, *(offset[axis] for offset in line))))
        inner.append(slice(own.start - low, own.stop - low))
    return seen_along(casters[wide[0], wide[1]], line)[inner[0], inner[1]]


def followed(found: Any, sun: float) -> float:
    """Return up to which height of clouds all shadows within a mask are followed under this sun, metres."""
    inner = (*getattr(found, "parts", ()), *filter(None, (getattr(found, "of", None),)))
    height = math.inf
    if isinstance(found, ProjectedShadow) and found.recipe.heights[1] < math.inf:
        reached = found.recipe.distance * math.tan(math.radians(sun))
        height = reached if reached < found.recipe.heights[1] else math.inf
    return min([height, *(followed(part, sun) for part in inner)])


def longest(recipe: Recipe, sun: float) -> float:
    """Return how far from a cloud its shadow is looked for, under a sun of so many degrees."""
    return _lengths(recipe, sun)[1]


def _lengths(recipe: Recipe, sun: float) -> tuple[float, float]:
    """Return the least and the greatest distance of a shadow from its cloud, metres."""
    low, high = recipe.heights
    tangent = math.tan(math.radians(max(sun, 0.0)))
    far = high / tangent if tangent > 0 else math.inf
    return (low / tangent if tangent > 0 else 0.0), min(far, recipe.distance)


def _blocks(px: Pixels) -> Blocks:
    """Return the blocks of a window, which lie at whole multiples of their size in its CRS."""
    affine, side = px.geobox.affine, block_side(px.resolution)
    return Blocks(side, round(affine.f / affine.e) % side, round(affine.c / affine.a) % side, px.shape)


def _check(recipe: Recipe, resolution: float | None) -> None:
    def refuse(what: str, advice: str) -> None:
        raise MaskError(f"ProjectedShadow: {what} {advice}.")

    low, high = recipe.heights if len(recipe.heights) == 2 else (math.nan, math.nan)
    if recipe.dark is not None and not 0 < recipe.dark <= 1:
        refuse(f"dark={recipe.dark} is no reflectance:", "give a number from 0 to 1, 0.15 for instance")
    if not 0 <= low < high:
        refuse(f"heights={recipe.heights} is not a range:", "give the lowest and the highest cloud in metres")
    if not (recipe.distance > 0 and math.isfinite(recipe.distance)):
        refuse(f"distance={recipe.distance} is no length:", "give metres above 0")
    if not (recipe.grow >= 0 and math.isfinite(recipe.grow)):
        refuse(f"grow={recipe.grow} is no radius:", "give metres, 0 or more")
    if not (resolution and resolution > 0 and math.isfinite(resolution)):
        refuse(f"resolution={resolution} is not a pixel size:", "give metres above 0")
