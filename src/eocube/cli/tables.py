"""The command ``series``: a table of fields and dates."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import InputError, OutputError
from ..extras import check_needed
from .charts import check_plot

if TYPE_CHECKING:
    from .requests import Request


def write_series(
    request: Request, fields: Path | None, out: Path, *, overwrite: bool, index: str, stat: str, weights: Any,
    ids: str | None, fields_crs: str | None, plot: Path | None = None,
) -> None:  # fmt: skip
    """Compute the series of a vector file's fields, write it, and draw it if asked.

    Raises
    ------
    OutputError
        If the output exists, or has another ending than .csv and .parquet.
    InputError
        If no fields are given.
    MissingExtraError
        If Parquet is asked for and pyarrow is not installed.
    """
    from ..bars import progress
    from ..fields import fields_of
    from ..indices import ndvi
    from ..series import checked_stats, timeseries
    from ..writers.outputs import check_output, whole
    from .shows import show_plan, show_result, size_of

    if out.suffix.lower() not in (".csv", ".parquet"):
        raise OutputError(f"--out {out}: write .csv or .parquet.")
    if out.suffix.lower() == ".parquet":
        check_needed(("pyarrow",), "Parquet", "series", "A .csv works without.")
    check_output(out, overwrite=overwrite)
    names = checked_stats([name for name in stat.replace(" ", "").split(",") if name])
    shown = next((name for name in ("mean", "median", *names) if name in names and name != "count"), "")
    if plot is not None:
        check_plot(plot)
        check_output(plot, overwrite=overwrite)
        if not shown:
            raise InputError(f"--plot draws a statistic, and --stat {stat} has none but the count: add mean.")
    areas: Any = fields if fields is not None else _sample_fields(request)
    count = len(fields_of(areas, ids=ids, crs=fields_crs).ids)
    started = time.perf_counter()
    made = request.plan(request.query.items(), "red,nir" if index == "ndvi" else None)
    show_plan(made)
    with progress(made):
        table: Any = timeseries(
            made, areas, of=ndvi if index == "ndvi" else None, weights=weights, ids=ids, crs=fields_crs,
            stat=names,
        )  # fmt: skip
    with whole(out) as final:
        if out.suffix.lower() == ".csv":
            table.to_csv(final, index=False)
        else:
            table.to_parquet(final, index=False)
    if plot is not None:
        from .charts import draw_series

        what = "NDVI" if index == "ndvi" else "Reflectance"
        dates = f"{table['time'].min():%Y-%m-%d} to {table['time'].max():%Y-%m-%d}"
        with whole(plot) as final:
            draw_series(table, final, stat=shown, title=f"{what} of {count} fields, {dates}")
    show_result(
        {
            "made": f"{out} ({len(table)} rows, {size_of(out)})",
            **({"drawn": f"{plot} ({size_of(plot)})"} if plot is not None else {}),
            "fields": f"{count} fields, {table['time'].nunique()} dates",
            "clear": f"{table['clear'].mean():.0%} of all fields and dates",
            "seconds": f"{time.perf_counter() - started:.1f}",
        }
    )


def _sample_fields(request: Request) -> Any:
    """Return six squares of the embedded archive."""
    if not request.query.sample:
        raise InputError("series needs FIELDS: a vector file, for instance eocube series fields.gpkg.")
    import shapely
    from odc.geo.geom import Geometry

    from ..sample import cached

    grid = cached().grid
    box = grid.extent.boundingbox
    corners = [(box.left + 300 + 800 * i, box.bottom + 400 + 700 * j) for j in range(2) for i in range(3)]
    return {
        f"field {number}": Geometry(shapely.box(x, y, x + 240, y + 180), grid.crs)
        for number, (x, y) in enumerate(corners, start=1)
    }
