"""What a mask is, and how masks are joined: ``|``, ``&``, ``~`` and ``.dilate(metres=)``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import MaskError
from ..pixels import Pixels
from ..sentinel2 import BANDS

Bools = NDArray[np.bool_]


class Need(NamedTuple):
    """What a mask needs to see.

    Attributes
    ----------
    bands : tuple of str
        Common names.
    reach : float
        Metres the mask looks around a pixel.
    resolution : float
        Pixel in metres on which it works.
    """

    bands: tuple[str, ...]
    reach: float
    resolution: float


@runtime_checkable
class MaskLike(Protocol):
    """The seam: any such object is a mask. :class:`Mask` adds the operators."""

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands the mask needs, by common name."""
        ...  # pragma: no cover

    @property
    def reach(self) -> float:
        """Metres the mask looks around a pixel; 0 for a mask that sees one pixel at a time."""
        ...  # pragma: no cover

    @property
    def resolution(self) -> float | None:
        """Pixel in metres on which the mask works; None: the finest native one of its bands."""
        ...  # pragma: no cover

    def __call__(self, px: Pixels) -> Bools:
        """Return bool (y, x), True where the pixel is to be thrown away."""
        ...  # pragma: no cover


class Mask:
    """Base of eocube's masks: a frozen dataclass that derives from it gets the operators."""

    reach: float = 0.0
    resolution: float | None = None

    def __or__(self, other: Any) -> Mask:
        """Thrown away by either."""
        return Either((self, as_mask(other)))

    def __ror__(self, other: Any) -> Mask:
        return Either((as_mask(other), self))

    def __and__(self, other: Any) -> Mask:
        """Thrown away by both."""
        return Both((self, as_mask(other)))

    def __rand__(self, other: Any) -> Mask:
        return Both((as_mask(other), self))

    def __invert__(self) -> Mask:
        """Thrown away where this one keeps."""
        return Not(self)

    def dilate(self, *, metres: float) -> Mask:
        """Grow what is thrown away by a disk of this radius.

        Pixels without data are not grown: the edge of a swath is not a cloud.
        """
        return Dilated(self, float(metres))

    def reach_for(self, resolution: float, sun: float) -> float:  # noqa: ARG002
        """Return the reach in metres on this pixel, where the sun stands no lower than ``sun`` degrees."""
        return self.reach

    def __call__(self, px: Pixels) -> Bools:  # noqa: ARG002
        """Return bool (y, x), True where the pixel is to be thrown away."""
        raise MaskError(f"{type(self).__name__} does not say what it throws away.")

    def _repr_html_(self) -> str:
        from .views import as_html

        return as_html(self)


def _united(parts: Iterable[Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(band for part in parts for band in part.bands))


@dataclass(frozen=True)
class Joined(Mask):
    """Several masks; their needs are united."""

    parts: tuple[Any, ...]

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands that any part needs."""
        return _united(self.parts)

    @property
    def reach(self) -> float:  # type: ignore[override]
        """The farthest of the parts, metres."""
        return max(float(part.reach) for part in self.parts)

    @property
    def resolution(self) -> float | None:  # type: ignore[override]
        """The finest of the parts, metres."""
        return min(need(part).resolution for part in self.parts)

    def reach_for(self, resolution: float, sun: float) -> float:
        """Return the farthest of the parts, metres."""
        return max(reach_for(part, resolution, sun) for part in self.parts)


@dataclass(frozen=True)
class Either(Joined):
    """Union: ``a | b``."""

    def __call__(self, px: Pixels) -> Bools:
        """Return bool (y, x)."""
        return np.asarray(np.logical_or.reduce([apply(part, px) for part in self.parts]))

    def __repr__(self) -> str:
        return "(" + " | ".join(map(repr, self.parts)) + ")"


@dataclass(frozen=True)
class Both(Joined):
    """Intersection: ``a & b``."""

    def __call__(self, px: Pixels) -> Bools:
        """Return bool (y, x)."""
        return np.asarray(np.logical_and.reduce([apply(part, px) for part in self.parts]))

    def __repr__(self) -> str:
        return "(" + " & ".join(map(repr, self.parts)) + ")"


@dataclass(frozen=True)
class Not(Joined):
    """Complement: ``~a``."""

    parts: tuple[Any, ...]

    def __init__(self, part: Any) -> None:
        object.__setattr__(self, "parts", (part,))

    def __call__(self, px: Pixels) -> Bools:
        """Return bool (y, x)."""
        return ~apply(self.parts[0], px)

    def __repr__(self) -> str:
        return f"~{self.parts[0]!r}"


@dataclass(frozen=True)
class Dilated(Mask):
    """``a.dilate(metres=60)``: everything within so many metres of what ``a`` throws away."""

    of: Any
    metres: float

    def __post_init__(self) -> None:
        if not (self.metres > 0 and np.isfinite(self.metres)):
            raise MaskError(f"dilate(metres={self.metres}) is not a radius: give metres above 0.")

    @property
    def bands(self) -> tuple[str, ...]:
        """Bands of the inner mask."""
        return tuple(self.of.bands)

    @property
    def reach(self) -> float:  # type: ignore[override]
        """Metres: the inner mask's and the radius."""
        return float(self.of.reach) + self.metres

    @property
    def resolution(self) -> float | None:  # type: ignore[override]
        """Of the inner mask, metres."""
        return need(self.of).resolution

    def reach_for(self, resolution: float, sun: float) -> float:
        """Return the inner mask's and the radius, metres."""
        return reach_for(self.of, resolution, sun) + self.metres

    def __call__(self, px: Pixels) -> Bools:
        """Return bool (y, x)."""
        from scipy.ndimage import distance_transform_edt

        inner = apply(self.of, px)
        seed = inner & px.valid
        if not seed.any():
            return inner
        away = distance_transform_edt(~seed) * px.resolution
        return np.asarray(inner | (away <= self.metres * (1 + 1e-9)))

    def __repr__(self) -> str:
        of = f"({self.of!r})" if isinstance(self.of, Not) else repr(self.of)  # ~a.dilate is ~(a.dilate)
        return f"{of}.dilate(metres={plain(self.metres)})"


def plain(number: float) -> str:
    """Return a number as short as it can be read back.

    Examples
    --------
    >>> plain(60.0), plain(0.123456789)
    ('60', '0.123456789')
    """
    short = f"{number:g}"
    return short if float(short) == number else repr(float(number))


def as_mask(found: Any) -> Any:
    """Return the mask, or say why it is none."""
    if isinstance(found, Mask) or (isinstance(found, MaskLike) and not isinstance(found, type)):
        return found
    if isinstance(found, type) and issubclass(found, Mask):
        raise MaskError(f"{found.__name__} is a class: write {found.__name__}() with its brackets.")
    raise MaskError(
        f"{found!r} is not a mask: take eocube.SCLMask(), or put @eocube.mask(bands=[...]) before "
        "your function."
    )


def need(found: Any) -> Need:
    """Return what a mask needs to see, its resolution settled."""
    bands = tuple(found.bands)
    native = min((BANDS[band].resolution for band in bands), default=10.0)
    return Need(bands, float(found.reach), float(found.resolution or native))


def reach_for(found: Any, resolution: float, sun: float) -> float:
    """Return how far a mask looks on this pixel (metres) under a sun no lower than ``sun`` degrees."""
    own = getattr(found, "reach_for", None)
    return float(found.reach if own is None else own(resolution, sun))


def apply(found: Any, px: Pixels) -> Bools:
    """Return what a mask throws away, checked.

    Raises
    ------
    MaskError
        If the mask did not return bool (y, x) of the window's shape; names the mask.
    """
    result = found(px)
    if not isinstance(result, np.ndarray) or result.dtype != np.bool_ or result.shape != px.shape:
        what = (
            f"{result.dtype} of shape {result.shape}"
            if isinstance(result, np.ndarray)
            else type(result).__name__
        )
        raise MaskError(
            f"Mask {found!r} returned {what}; it must return bool of shape {px.shape}, True where a "
            "pixel is to be thrown away."
        )
    return result
