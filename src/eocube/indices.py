"""Spectral indices as plain functions on any xarray object that has the bands.

Each takes a DataArray with ``band`` or a Dataset, with common or ESA's names and any further dims, lazy or
not, and returns a DataArray of float32 without ``band``: NaN where a band has no data or the formula has
no finite value. Ratios may be made of digital numbers too; the others need reflectance from 0 to 1, or
whole numbers of eocube, which say their scale. Many more by :func:`eocube.index`.
"""

from __future__ import annotations

import xarray as xr

from .formulas import Formula

Cube = xr.DataArray | xr.Dataset


def _made(cube: Cube, name: str, text: str, *bands: str, **constants: float) -> xr.DataArray:
    pairs = tuple((band, band) for band in bands)
    return Formula(name, text, pairs, tuple(constants.items()))(cube)


def ndvi(cube: Cube) -> xr.DataArray:
    """Normalised difference vegetation index, (nir - red) / (nir + red).

    Parameters
    ----------
    cube : xarray.DataArray or Dataset
        With ``nir`` and ``red``.

    Returns
    -------
    xarray.DataArray
        float32, see the module.

    Raises
    ------
    BandError
        If a band is missing; says which there are.

    Notes
    -----
    Rouse et al. 1974, *Monitoring vegetation systems in the Great Plains with ERTS*.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> cube = xr.DataArray(np.float32([0.3, 0.1]), {"band": ["nir", "red"]}, "band")
    >>> round(float(ndvi(cube)), 3)
    0.5
    """
    return _made(cube, "NDVI", "(nir - red) / (nir + red)", "nir", "red")


def evi(cube: Cube) -> xr.DataArray:
    """Enhanced vegetation index, 2.5 (nir - red) / (nir + 6 red - 7.5 blue + 1).

    Parameters
    ----------
    cube : xarray.DataArray or Dataset
        With ``nir``, ``red`` and ``blue``. Reflectance from 0 to 1.

    Returns
    -------
    xarray.DataArray
        float32, see the module.

    Raises
    ------
    BandError
        If a band is missing; says which there are.
    InputError
        If values are not reflectance: whole numbers of unknown scale, or floats above 20.

    Notes
    -----
    Huete et al. 2002, doi 10.1016/S0034-4257(02)00096-2. Over bright clouds the denominator nears 0.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> cube = xr.DataArray(np.float32([0.4, 0.1, 0.05]), {"band": ['nir', 'red', 'blue']}, "band")
    >>> round(float(evi(cube)), 3)
    0.462
    """
    return _made(cube, "EVI", "2.5 * (nir - red) / (nir + 6 * red - 7.5 * blue + 1)", "nir", "red", "blue")


def evi2(cube: Cube) -> xr.DataArray:
    """Enhanced vegetation index of two bands, 2.5 (nir - red) / (nir + 2.4 red + 1).

    Parameters
    ----------
    cube : xarray.DataArray or Dataset
        With ``nir`` and ``red``. Reflectance from 0 to 1.

    Returns
    -------
    xarray.DataArray
        float32, see the module.

    Raises
    ------
    BandError
        If a band is missing; says which there are.
    InputError
        If values are not reflectance: whole numbers of unknown scale, or floats above 20.

    Notes
    -----
    Jiang et al. 2008, doi 10.1016/j.rse.2008.06.006.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> cube = xr.DataArray(np.float32([0.4, 0.1]), {"band": ["nir", "red"]}, "band")
    >>> round(float(evi2(cube)), 3)
    0.457
    """
    return _made(cube, "EVI2", "2.5 * (nir - red) / (nir + 2.4 * red + 1)", "nir", "red")


def savi(cube: Cube, *, soil: float = 0.5) -> xr.DataArray:
    """Soil adjusted vegetation index, (1 + soil) (nir - red) / (nir + red + soil).

    Parameters
    ----------
    cube : xarray.DataArray or Dataset
        With ``nir`` and ``red``. Reflectance from 0 to 1.
    soil : float
        Huete's L: 1 for sparse plants, 0.5 between, 0 (NDVI) for dense ones.

    Returns
    -------
    xarray.DataArray
        float32, see the module.

    Raises
    ------
    BandError
        If a band is missing; says which there are.
    InputError
        If values are not reflectance: whole numbers of unknown scale, or floats above 20.

    Notes
    -----
    Huete 1988, doi 10.1016/0034-4257(88)90106-X.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> cube = xr.DataArray(np.float32([0.4, 0.1]), {"band": ["nir", "red"]}, "band")
    >>> round(float(savi(cube)), 3)
    0.45
    """
    return _made(cube, "SAVI", "(1 + soil) * (nir - red) / (nir + red + soil)", "nir", "red", soil=soil)


def ndre(cube: Cube) -> xr.DataArray:
    """Normalised difference red edge index, (nir - rededge1) / (nir + rededge1).

    Parameters
    ----------
    cube : xarray.DataArray or Dataset
        With ``nir`` and ``rededge1``.

    Returns
    -------
    xarray.DataArray
        float32, see the module.

    Raises
    ------
    BandError
        If a band is missing; says which there are.

    Notes
    -----
    Gitelson and Merzlyak 1994, doi 10.1016/1011-1344(93)06963-4.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> cube = xr.DataArray(np.float32([0.4, 0.2]), {"band": ['nir', 'rededge1']}, "band")
    >>> round(float(ndre(cube)), 3)
    0.333
    """
    return _made(cube, "NDRE", "(nir - rededge1) / (nir + rededge1)", "nir", "rededge1")


def ndwi(cube: Cube) -> xr.DataArray:
    """Normalised difference water index of McFeeters (open water), (green - nir) / (green + nir).

    The water in leaves, which Gao calls NDWI as well, is :func:`ndmi`.

    Parameters
    ----------
    cube : xarray.DataArray or Dataset
        With ``green`` and ``nir``.

    Returns
    -------
    xarray.DataArray
        float32, see the module.

    Raises
    ------
    BandError
        If a band is missing; says which there are.

    Notes
    -----
    McFeeters 1996, doi 10.1080/01431169608948714.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> cube = xr.DataArray(np.float32([0.1, 0.05]), {"band": ['green', 'nir']}, "band")
    >>> round(float(ndwi(cube)), 3)
    0.333
    """
    return _made(cube, "NDWI", "(green - nir) / (green + nir)", "green", "nir")


def mndwi(cube: Cube) -> xr.DataArray:
    """Water index of Xu, less taken in by buildings, (green - swir16) / (green + swir16).

    Parameters
    ----------
    cube : xarray.DataArray or Dataset
        With ``green`` and ``swir16``.

    Returns
    -------
    xarray.DataArray
        float32, see the module.

    Raises
    ------
    BandError
        If a band is missing; says which there are.

    Notes
    -----
    Xu 2006, doi 10.1080/01431160600589179. The same formula over snow is called NDSI.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> cube = xr.DataArray(np.float32([0.1, 0.05]), {"band": ['green', 'swir16']}, "band")
    >>> round(float(mndwi(cube)), 3)
    0.333
    """
    return _made(cube, "MNDWI", "(green - swir16) / (green + swir16)", "green", "swir16")


def ndmi(cube: Cube) -> xr.DataArray:
    """Normalised difference moisture index (water in leaves), (nir - swir16) / (nir + swir16).

    Parameters
    ----------
    cube : xarray.DataArray or Dataset
        With ``nir`` and ``swir16``.

    Returns
    -------
    xarray.DataArray
        float32, see the module.

    Raises
    ------
    BandError
        If a band is missing; says which there are.

    Notes
    -----
    Gao 1996, doi 10.1016/S0034-4257(96)00067-3, who calls it NDWI.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> cube = xr.DataArray(np.float32([0.4, 0.2]), {"band": ['nir', 'swir16']}, "band")
    >>> round(float(ndmi(cube)), 3)
    0.333
    """
    return _made(cube, "NDMI", "(nir - swir16) / (nir + swir16)", "nir", "swir16")


def nbr(cube: Cube) -> xr.DataArray:
    """Normalised burn ratio, (nir - swir22) / (nir + swir22).

    Parameters
    ----------
    cube : xarray.DataArray or Dataset
        With ``nir`` and ``swir22``.

    Returns
    -------
    xarray.DataArray
        float32, see the module.

    Raises
    ------
    BandError
        If a band is missing; says which there are.

    Notes
    -----
    Key and Benson 2006, *Landscape Assessment*, FIREMON, RMRS-GTR-164.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> cube = xr.DataArray(np.float32([0.4, 0.2]), {"band": ['nir', 'swir22']}, "band")
    >>> round(float(nbr(cube)), 3)
    0.333
    """
    return _made(cube, "NBR", "(nir - swir22) / (nir + swir22)", "nir", "swir22")


def ndbi(cube: Cube) -> xr.DataArray:
    """Normalised difference built-up index, (swir16 - nir) / (swir16 + nir).

    Parameters
    ----------
    cube : xarray.DataArray or Dataset
        With ``swir16`` and ``nir``.

    Returns
    -------
    xarray.DataArray
        float32, see the module.

    Raises
    ------
    BandError
        If a band is missing; says which there are.

    Notes
    -----
    Zha et al. 2003, doi 10.1080/01431160304987.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> cube = xr.DataArray(np.float32([0.3, 0.2]), {"band": ['swir16', 'nir']}, "band")
    >>> round(float(ndbi(cube)), 3)
    0.2
    """
    return _made(cube, "NDBI", "(swir16 - nir) / (swir16 + nir)", "swir16", "nir")
