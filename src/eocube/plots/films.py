"""Films: one picture per date, with the date burnt in."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from ..errors import InputError, MissingExtraError, OutputError
from ..extras import needed
from ..writers.outputs import check_output, whole
from .figures import day_of
from .pictures import picture_of
from .shrinking import dates_in

BACKGROUND = (40, 40, 40)
"""What has no data."""

_SMALL = 400
"""Pixels of the longer side below which pictures are enlarged."""


def timelapse(
    what: Any,
    path: str | os.PathLike[str],
    *,
    bands: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
    each: bool = False,
    cmap: str = "YlGn",
    fps: float = 2.0,
    fill: bool = False,
    min_clear: float = 0.0,
    size: int = 800,
    overwrite: bool = False,
) -> Path:
    """Write a film of a cube: a frame per date, its date burnt in.

    Parameters
    ----------
    what : Plan or xarray.DataArray
        A plan, or a cube (time, band, y, x) or (time, y, x), for instance of monthly composites or of
        NDVI. Larger than ``size``: see :mod:`eocube.plots.shrinking`.
    path : path
        Ends in ``.gif`` (Pillow) or ``.mp4`` (H.264, by imageio-ffmpeg).
    bands : sequence of str, optional
        The three that become red, green and blue. Default: those, or the one band there is.
    limits : pair of float, optional
        Values of the darkest and brightest tone. Default: percentiles 1 and 99 of all dates.
    each : bool
        Percentiles of each date by itself.
    cmap : str
        Colour map of matplotlib, for one band.
    fps : float
        Dates per second.
    fill : bool
        Where a date has no data, show the date before: the film then never goes dark.
    min_clear : float
        Leave out dates of which less (from 0 to 1) is clear.
    size : int
        Pixels of the longer side at most. All frames have one size, even numbers of pixels. Of what is
        smaller than 200, each pixel is shown several times.
    overwrite : bool
        Replace what is there.

    Returns
    -------
    Path

    Raises
    ------
    InputError, BandError
        If there are no dates, none is clear enough, or the stretch cannot be.
    OutputError
        If the path ends in something else, exists or cannot be written.
    MissingExtraError
        If Pillow, or for ``.mp4`` ffmpeg, is not there.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> plan = eocube.plan(items, world.grid, bands=["red", "green", "blue"])
    >>> film = eocube.timelapse(plan, "year.gif")                          # doctest: +SKIP
    """
    kind = Path(path).suffix.lower()
    if kind not in (".gif", ".mp4"):
        raise OutputError(f"{path} ends in neither .gif nor .mp4: those two are written.")
    if not (isinstance(fps, int | float) and 0.05 <= fps <= 50):
        raise InputError(f"fps={fps!r}: give dates per second, from 0.05 to 50.")
    if not (isinstance(min_clear, int | float) and 0 <= min_clear <= 1):
        raise InputError(f"min_clear={min_clear!r}: give a share from 0 to 1.")
    place = check_output(path, overwrite=overwrite)
    needed("PIL", "A film", "plot")
    ffmpeg = _ffmpeg() if kind == ".mp4" else None
    if not dates_in(what):
        raise InputError("There is one picture and no dim time: a film needs several dates.")
    pictures = picture_of(what, limits=limits, each=each, cmap=cmap, size=size, bands=bands)
    ordered = pictures.sortby("time") if "time" in pictures.coords else pictures
    chosen = _enlarged(_clear_enough(ordered, min_clear))
    frames = _frames(chosen, fill)
    with whole(place) as final:
        if ffmpeg is not None:
            _write_mp4(ffmpeg, final, frames, _size(chosen), fps)
        else:
            _write_gif(final, list(frames), fps)
    return place


def _clear_enough(pictures: xr.DataArray, min_clear: float) -> xr.DataArray:
    clear = (pictures.values[..., 3] > 0).mean(axis=(1, 2))
    keep = clear >= min_clear
    if not keep.any():
        raise InputError(
            f"None of {len(keep)} dates has a clear share of {min_clear:g}; the best has {clear.max():.2f}: "
            "lower min_clear."
        )
    return pictures.isel(time=np.flatnonzero(keep))


def _enlarged(pictures: xr.DataArray) -> xr.DataArray:
    """Return small pictures with each pixel several times, so that there is room for the date."""
    times = _SMALL // max(pictures.sizes["y"], pictures.sizes["x"])
    if times < 2:
        return pictures
    rows, columns = (np.repeat(np.arange(pictures.sizes[dim]), times) for dim in ("y", "x"))
    return pictures.isel(y=rows, x=columns)


def _size(pictures: xr.DataArray) -> tuple[int, int]:
    """Return width and height: at least 96 px, and even, as H.264 wants them."""
    width, height = (max(96, int(pictures.sizes[dim])) for dim in ("x", "y"))
    return width + width % 2, height + height % 2


def _frames(pictures: xr.DataArray, fill: bool) -> Iterator[NDArray[np.uint8]]:
    """Yield frames uint8 (height, width, 3)."""
    width, height = _size(pictures)
    canvas = np.full((height, width, 3), BACKGROUND, dtype=np.uint8)
    rows, columns = pictures.sizes["y"], pictures.sizes["x"]
    for k in range(pictures.sizes["time"]):
        if not fill:
            canvas[:] = BACKGROUND
        own = pictures.values[k]
        seen = own[..., 3] > 0
        canvas[:rows, :columns][seen] = own[..., :3][seen]
        label = day_of(pictures["time"].values[k]) if "time" in pictures.coords else str(k + 1)
        yield _labelled(canvas, label)


def _labelled(canvas: NDArray[np.uint8], label: str) -> NDArray[np.uint8]:
    parts = ("Image", "ImageDraw", "ImageFont")
    image, draw, font = (needed(f"PIL.{name}", "A film", "plot") for name in parts)
    frame = image.fromarray(canvas)
    size = int(np.clip(min(frame.size) / 14, 13, 40))
    draw.Draw(frame).text(
        (size // 2, frame.height - size // 2), label, anchor="ls", font=font.load_default(size), fill="white",
        stroke_width=max(1, size // 10), stroke_fill="black",
    )  # fmt: skip
    return np.asarray(frame)


def _write_gif(path: Path, frames: list[NDArray[np.uint8]], fps: float) -> None:
    image = needed("PIL.Image", "A film", "plot")
    # One palette for all frames, and no dithering: else what does not change would flicker.
    thin = max(1, int(np.sqrt(len(frames) * frames[0].size / 3 / 1e6)))
    sample = np.concatenate([frame[::thin, ::thin] for frame in frames])
    palette = image.fromarray(sample).quantize(256, method=image.Quantize.MEDIANCUT)
    first, *others = [image.fromarray(f).quantize(palette=palette, dither=image.Dither.NONE) for f in frames]
    first.save(
        path,
        save_all=True,
        append_images=others,
        duration=round(1000 / fps),
        loop=0,
        disposal=1,
        optimize=False,
    )


def _ffmpeg() -> Any:
    found = needed("imageio_ffmpeg", "A film in .mp4", "plot")
    try:
        found.get_ffmpeg_exe()
    except RuntimeError as error:
        raise MissingExtraError(
            "A film in .mp4 needs ffmpeg: pip install 'eocube[plot]' brings it, or set IMAGEIO_FFMPEG_EXE; "
            ".gif works without."
        ) from error
    return found


def _write_mp4(
    ffmpeg: Any, path: Path, frames: Iterator[NDArray[np.uint8]], size: tuple[int, int], fps: float
) -> None:
    writer = ffmpeg.write_frames(
        str(path), size, fps=fps, codec="libx264", pix_fmt_out="yuv420p", quality=7, macro_block_size=2,
        output_params=["-movflags", "+faststart"], ffmpeg_log_level="error",
    )  # fmt: skip
    writer.send(None)
    try:
        for frame in frames:
            writer.send(np.ascontiguousarray(frame))
    except OSError as error:
        raise OutputError(f"ffmpeg did not write {path.name}: {error}") from error
    finally:
        writer.close()
