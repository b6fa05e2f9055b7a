"""The command ``series``: a table of fields and dates."""

from __future__ import annotations

import importlib.util
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MissingExtraError, OutputError

if TYPE_CHECKING:
    from .requests import Request


def write_series(
    request: Request, fields: Path, out: Path, *, overwrite: bool, index: str, stat: str, weights: Any,
    ids: str | None, fields_crs: str | None,
) -> None:  # fmt: skip
    """Compute the series of a vector file's fields and write it.

    Raises
    ------
    OutputError
        If the output exists, or has another ending than .csv and .parquet.
    MissingExtraError
        If Parquet is asked for and pyarrow is not installed.
    """
    from ..fields import fields_of
    from ..indices import ndvi
    from ..series import timeseries
    from ..writers.outputs import check_output, whole
    from .shows import show_plan, show_result, size_of

    if out.suffix.lower() not in (".csv", ".parquet"):
        raise OutputError(f"--out {out}: write .csv or .parquet.")
    if out.suffix.lower() == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError("Parquet needs pyarrow: pip install 'eocube[series]', or write a .csv.")
    check_output(out, overwrite=overwrite)
    count = len(fields_of(fields, ids=ids, crs=fields_crs).ids)
    started = time.perf_counter()
    made = request.plan(request.query.items(), "red,nir" if index == "ndvi" else None)
    show_plan(made)
    table: Any = timeseries(
        made, fields, of=ndvi if index == "ndvi" else None, weights=weights, ids=ids, crs=fields_crs,
        stat=[name for name in stat.replace(" ", "").split(",") if name],
    )  # fmt: skip
    with whole(out) as final:
        if out.suffix.lower() == ".csv":
            table.to_csv(final, index=False)
        else:
            table.to_parquet(final, index=False)
    show_result(
        {
            "made": f"{out} ({len(table)} rows, {size_of(out)})",
            "fields": f"{count} fields, {table['time'].nunique()} dates",
            "clear": f"{table['clear'].mean():.0%} of all fields and dates",
            "seconds": f"{time.perf_counter() - started:.1f}",
        }
    )
