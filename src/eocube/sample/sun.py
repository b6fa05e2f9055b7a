"""Where the sun stands, and where on the map the shadow of a cloud falls.

Source: NOAA Global Monitoring Laboratory, *General Solar Position Calculations* (the low accuracy
formulas of the NOAA solar calculator, after Meeus, *Astronomical Algorithms*, 1991): good to some
hundredths of a degree between 1900 and 2100.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from pyproj import Geod, Transformer

_ELLIPSOID = Geod(ellps="WGS84")


def solar_position(when: datetime, longitude: float, latitude: float) -> tuple[float, float]:
    """Return the sun's azimuth and elevation, without refraction.

    Parameters
    ----------
    when : datetime
        Time; taken as UTC when it has no time zone.
    longitude, latitude : float
        Place in degrees, east and north positive.

    Returns
    -------
    azimuth, elevation : float
        Degrees; azimuth clockwise from true north.

    Examples
    --------
    >>> azimuth, elevation = solar_position(datetime(2021, 6, 21, 12), 0.0, 51.5)
    >>> round(azimuth), round(elevation)
    (179, 62)
    """
    when = when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC)
    days = when.timestamp() / 86_400 + 2_440_587.5 - 2_451_545.0
    declination, equation = _declination_and_equation_of_time(days / 36_525)
    minutes = when.hour * 60 + when.minute + when.second / 60
    hour_angle = math.radians((minutes + equation + 4 * longitude) / 4 - 180)
    phi = math.radians(latitude)
    sine = math.sin(phi) * math.sin(declination) + math.cos(phi) * math.cos(declination) * math.cos(
        hour_angle
    )
    east = -math.cos(declination) * math.sin(hour_angle)
    north = math.sin(declination) * math.cos(phi) - math.cos(declination) * math.sin(phi) * math.cos(
        hour_angle
    )
    return math.degrees(math.atan2(east, north)) % 360, math.degrees(math.asin(sine))


def _declination_and_equation_of_time(century: float) -> tuple[float, float]:
    """Return the sun's declination (radians) and the equation of time (minutes)."""
    mean_longitude = math.radians((280.46646 + century * (36_000.76983 + century * 0.0003032)) % 360)
    anomaly = math.radians(357.52911 + century * (35_999.05029 - 0.0001537 * century))
    eccentricity = 0.016708634 - century * (0.000042037 + 0.0000001267 * century)
    centre = (
        math.sin(anomaly) * (1.914602 - century * (0.004817 + 0.000014 * century))
        + math.sin(2 * anomaly) * (0.019993 - 0.000101 * century)
        + math.sin(3 * anomaly) * 0.000289
    )
    node = math.radians(125.04 - 1934.136 * century)
    apparent = mean_longitude + math.radians(centre - 0.00569 - 0.00478 * math.sin(node))
    obliquity = math.radians(23.439291 - 0.0130042 * century + 0.00256 * math.cos(node))
    declination = math.asin(math.sin(obliquity) * math.sin(apparent))
    y = math.tan(obliquity / 2) ** 2
    equation = (
        y * math.sin(2 * mean_longitude)
        - 2 * eccentricity * math.sin(anomaly)
        + 4 * eccentricity * y * math.sin(anomaly) * math.cos(2 * mean_longitude)
        - 0.5 * y * y * math.sin(4 * mean_longitude)
        - 1.25 * eccentricity**2 * math.sin(2 * anomaly)
    )
    return declination, 4 * math.degrees(equation)


def grid_azimuth(azimuth: float, crs: str, longitude: float, latitude: float) -> float:
    """Return an azimuth of true north as one of grid north, by walking a kilometre that way.

    Parameters
    ----------
    azimuth : float
        Degrees clockwise from true north.
    crs : str
        A projected CRS in metres, ``"EPSG:32633"``.
    longitude, latitude : float
        Place in degrees.

    Returns
    -------
    float
        Degrees clockwise from the map's upward direction; differs from ``azimuth`` by the
        meridian convergence.

    Examples
    --------
    >>> round(grid_azimuth(180.0, "EPSG:32633", 12.0, 47.0), 2)
    182.19
    """
    to_map = Transformer.from_crs("EPSG:4326", crs, always_xy=True)
    there = _ELLIPSOID.fwd(longitude, latitude, azimuth, 1000.0)
    x0, y0 = to_map.transform(longitude, latitude)
    x1, y1 = to_map.transform(there[0], there[1])
    return math.degrees(math.atan2(x1 - x0, y1 - y0)) % 360
