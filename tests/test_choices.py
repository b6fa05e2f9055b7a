"""Which passes are the best of a tile: the rule, worked by hand."""

from __future__ import annotations

import pytest

import eocube as eo
from eocube.errors import InputError, NoItemsError


def item(name, day, nodata=0.0, high=0.0, medium=0.0, cirrus=0.0, shadow=0.0, **more):
    properties = {
        "datetime": f"2021-{day}T10:00:31Z", "platform": "sentinel-2a", "grid:code": "MGRS-33TTN",
        "s2:processing_baseline": "05.00", "s2:nodata_pixel_percentage": nodata,
        "s2:high_proba_clouds_percentage": high, "s2:medium_proba_clouds_percentage": medium,
        "s2:thin_cirrus_percentage": cirrus, "s2:cloud_shadow_percentage": shadow, **more,
    }  # fmt: skip
    ring = [[[12, 47], [13, 47], [13, 48], [12, 48], [12, 47]]]
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "sentinel-2-l2a", "links": [],
        "properties": {key: value for key, value in properties.items() if value is not None}, "bbox": [12, 47, 13, 48],
        "geometry": {"type": "Polygon", "coordinates": ring}, "assets": {"red": {"href": "/nowhere/B04.tif"}},
    }  # fmt: skip


def ids(items):
    return [found.id for found in items]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 1.0),
        ({"nodata": 40}, 0.6),
        ({"high": 10, "medium": 20, "cirrus": 5, "shadow": 5}, 0.6),
        ({"nodata": 50, "high": 10, "medium": 10}, 0.4),
        ({"nodata": 100}, 0.0),
        ({"high": 70, "medium": 50}, 0.0),
        (
            {
                "high": None,
                "medium": None,
                "cirrus": None,
                "shadow": None,
                "eo:cloud_cover": 30,
                "nodata": 50,
            },
            0.35,
        ),
        ({"high": None, "medium": None, "cirrus": None, "shadow": None, "nodata": None}, 0.5),
        ({"cirrus": None, "high": 25}, 0.75),
    ],
)
def test_score(options, expected):
    assert eo.score(item("a", "06-12", **options)) == pytest.approx(expected)


def test_score_of_copernicus_statistics():
    own = item("a", "06-12", None, None, None, None, None, statistics={
        "nodata": 10.0, "high_proba_clouds": 20.0, "medium_proba_clouds": 5.0, "thin_cirrus": 3.0, "cloud_shadow": 2.0,
    })  # fmt: skip
    assert eo.score(own) == pytest.approx(0.9 * 0.7)


def test_the_worked_table():
    """What each pass counts in each round; the highest is taken. Month: * 0.8, orbit: * 0.95.

    ====  =====  =====  ====  ======  ======  ======
    pass  orbit  score  1st   2nd     3rd     4th
    ====  =====  =====  ====  ======  ======  ======
    jun1  22     1.00   1.00  taken
    jun2  22     0.95   0.95  0.7220  0.6859  0.5487
    jun3  79     0.94   0.94  0.7520  0.7520  taken
    aug1  22     0.85   0.85  0.8075  taken
    oct1  22     0.80   0.80  0.7600  0.7220  0.7220
    dec1  79     0.30   0.30  0.3000  0.3000  0.2850
    ====  =====  =====  ====  ======  ======  ======
    """
    passes = [
        item("jun1", "06-02", **{"sat:relative_orbit": 22}),
        item("jun2", "06-12", high=5, **{"sat:relative_orbit": 22}),
        item("jun3", "06-15", high=6, **{"sat:relative_orbit": 79}),
        item("aug1", "08-11", high=15, **{"sat:relative_orbit": 22}),
        item("oct1", "10-10", high=20, **{"sat:relative_orbit": 22}),
        item("dec1", "12-12", high=70, **{"sat:relative_orbit": 79}),
    ]
    assert ids(eo.best(passes, n=1)) == ["jun1"]
    assert ids(eo.best(passes, n=2)) == ["jun1", "aug1"]
    assert ids(eo.best(passes, n=3)) == ["jun1", "jun3", "aug1"]
    assert ids(eo.best(passes[::-1], n=4)) == ["jun1", "jun3", "aug1", "oct1"]
    assert ids(eo.best(passes, n=3, spread=False)) == ["jun1", "jun2", "jun3"]
    assert ids(eo.best(passes)) == ["jun1", "jun2", "jun3", "aug1", "oct1", "dec1"]


def test_sixteen_of_twenty():
    """Two passes in each of ten months: one all clear, one with n % of cloud in month n; orbits of their own.

    The ten clear ones count 1.0 each, ties go to the earlier. Then each month has one, and the others count
    0.8 * (1 - n / 100): those of the months 1 to 6 are the six that are left to choose.
    """
    clear = [item(f"clear{n}", f"{n:02}-20", **{"sat:relative_orbit": n}) for n in range(1, 11)]
    cloudy = [item(f"cloud{n}", f"{n:02}-10", high=n, **{"sat:relative_orbit": 50 + n}) for n in range(1, 11)]
    both = [*cloudy[::-1], *clear[::-1]]
    assert ids(eo.best(both, n=4)) == ["clear1", "clear2", "clear3", "clear4"]
    assert ids(eo.best(both, n=10)) == [f"clear{n}" for n in range(1, 11)]
    expected = [name for n in range(1, 11) for name in ([f"cloud{n}"] if n <= 6 else []) + [f"clear{n}"]]
    assert ids(eo.best(both)) == expected
    assert len(expected) == 16
    # By score alone the order is the same here; of one orbit it is not: what is left counts 0.95 ** 10 of it.
    assert ids(eo.best(both, spread=False)) == expected
    few = [item(f"dark{n}", f"{n:02}-25", high=30, **{"sat:relative_orbit": 99}) for n in (11, 12)]
    # 0.7 in a month of its own goes before 0.8 * 0.99 = 0.792? No; but before 0.8 * 0.86 = 0.688 it does.
    assert ids(eo.best([*both, *few], n=12))[-1] == "clear10"
    thick = [item(f"thick{n}", f"{n:02}-10", high=13 + n, **{"sat:relative_orbit": 50 + n}) for n in range(1, 11)]
    found = ids(eo.best([*clear, *thick, *few], n=12))
    assert "dark11" in found  # 0.7 > 0.8 * 0.86
    assert "dark12" not in found  # 0.95 * 0.7 = 0.665 < 0.688: of the same orbit as dark11
    assert "thick1" in found


def test_per_tile():
    found = [
        item(f"{t}{d}", f"06-{d:02}", high=d, **{"grid:code": f"MGRS-{t}"})
        for t in ("33TTN", "32TQT")
        for d in (2, 7)
    ]
    assert ids(eo.best(found, n=1)) == ["32TQT2", "33TTN2"]


def test_halves_are_one_pass_and_twins_none():
    west, east = item("west", "06-02", nodata=50, high=10), item("east", "06-02", nodata=50)
    west["geometry"]["coordinates"] = [[[12, 47], [12.5, 47], [12.5, 48], [12, 48], [12, 47]]]
    east["geometry"]["coordinates"] = [[[12.5, 47], [13, 47], [13, 48], [12.5, 48], [12.5, 47]]]
    old = item("old", "06-12", **{"s2:processing_baseline": "03.00"})
    new = item("new", "06-12", high=20)
    # 0.95 together (either alone: 0.5 at most); the twin's 1.00 does not count.
    assert ids(eo.best([west, east, old, new], n=1)) == ["east", "west"]
    assert ids(eo.best([west, east, old, new], n=2)) == ["east", "west", "new"]


def test_mistakes(small_items):
    for n in (0, -1, 1.5, True):
        with pytest.raises(InputError, match="not a number of scenes"):
            eo.best(small_items, n=n)
    with pytest.raises(NoItemsError):
        eo.best([])
    with pytest.raises(eo.errors.ItemsError):
        eo.score("a")


def test_items_stay_items(small, small_items):
    found = eo.best(small_items, n=2)
    assert eo.plan(found, small.grid, bands=["red"]).scenes
    assert set(ids(found)) < set(ids(small_items))
