"""Clear NDVI of a field, month by month."""

from __future__ import annotations

from typing import Any

import pandas as pd

import eocube as eo

__all__ = ["MASK", "FieldError", "monthly_ndvi"]
__version__ = "1.0.0"

MASK = eo.SCLMask("strict")
"""What is thrown away unless asked otherwise: a plain value, as every mask."""


class FieldError(ValueError):
    """The field cannot be looked at."""


def monthly_ndvi(
    field: Any,
    period: str,
    *,
    catalog: Any = eo.EARTH_SEARCH,
    mask: Any = MASK,
    min_clear: float = 0.5,
) -> pd.DataFrame:
    """Return the NDVI of a field for each month.

    Parameters
    ----------
    field
        Anything ``eocube.area`` takes: GeoJSON, a shapely geometry in degrees, a file.
    period
        ``"2024-03/2024-10"``, both ends included.
    catalog
        A catalog of eocube: a public one, a folder of Items, an index.
    mask
        A mask of eocube, or None.
    min_clear
        Share of the field that has to be clear on a date for it to count.

    Returns
    -------
    pandas.DataFrame
        Index ``month``; ``ndvi``, the median of the clear dates (NaN where there is none), and ``dates``, how
        many there were.

    Raises
    ------
    FieldError
        If eocube cannot use what was asked: its message says why.
    """
    try:
        area = eo.area(field)
        grid = eo.grid_for(area)
        items = eo.search(catalog, area, period)
        plan = eo.plan(items, grid, bands=["red", "nir"], mask=mask)
    except eo.NoItemsError:
        return _by_month(pd.DataFrame({"time": pd.to_datetime([]), "median": [], "clear": []}), min_clear)
    except eo.InputError as error:
        raise FieldError(str(error)) from error
    found = eo.timeseries(plan, {"field": area}, of=eo.ndvi, stat=["mean", "median"])
    assert isinstance(found, pd.DataFrame)  # form="table" is the default
    return _by_month(found, min_clear)


def _by_month(table: pd.DataFrame, min_clear: float) -> pd.DataFrame:
    seen = table[table["clear"] >= min_clear].set_index("time")["median"]
    months = seen.resample("MS")
    made = pd.DataFrame({"ndvi": months.median(), "dates": months.count()})
    return made.rename_axis("month")
