"""Recipes and expressions: what is read back, what is refused, and that nothing is run."""

from __future__ import annotations

import hashlib
import json
import warnings
from dataclasses import fields, replace

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from eocube import masks, reducers
from eocube.archives.expressions import DEEPEST, mask_from_text, reducer_from_text
from eocube.archives.files import read_recipe, recipe_from
from eocube.archives.recipes import Recipe, rung_of
from eocube.errors import EocubeError, OutputError, RecipeError

SCL, STRICT = masks.SCLMask(), masks.SCLMask("strict")
S2C = masks.S2Cloudless(threshold=0.41234567)
MASKS = [
    SCL, STRICT, masks.SCLMask("snow"), masks.SCLMask("cloud_high", "shadow"), masks.SCLMask("cloud_high"),
    masks.SCLMask(cleanup=(20, 60)), masks.SCLMask("strict", cleanup=(20.123456789, 60)),
    masks.SCLMask(snow="check"), S2C, masks.S2Cloudless(average_over=0, dilation_size=0),
    masks.S2Cloudless(average_over=200, dilation_size=100, unit="metres", resolution=80, on_missing="skip_mask"),
    masks.CloudProbability("cloud"), masks.CloudProbability("cloud", 33.3333333, average_over=2, resolution=60),
    masks.CloudProbability("cloud", 50, average_over=90.5, dilation_size=40, unit="metres", on_missing="skip_mask"),
    masks.UkisCSMask(), masks.ProjectedShadow(of=SCL),
    masks.ProjectedShadow(of=SCL | S2C, preset="gee", dark=0.123456789, heights=(200, 5000), resolution=10),
    masks.ProjectedShadow(of=~SCL, distance=1234.5678, water=True, grow=60, sun="grid"),
    SCL | STRICT, SCL & STRICT, ~SCL, ~(SCL | S2C), SCL | STRICT | S2C, (SCL & STRICT) | S2C, SCL & (STRICT | S2C),
    SCL.dilate(metres=60), SCL.dilate(metres=60.123456789), (SCL | S2C).dilate(metres=40), (~SCL).dilate(metres=20),
    ~SCL.dilate(metres=20), ~~SCL, (~~SCL).dilate(metres=10), SCL.dilate(metres=20).dilate(metres=1e-3),
    masks.vote(SCL, STRICT, S2C), masks.vote(SCL | S2C, ~STRICT, at_least=1), masks.vote(SCL, SCL, at_least=2),
    (masks.ProjectedShadow(of=SCL) | SCL).dilate(metres=60) & ~masks.vote(SCL, STRICT, at_least=1),
]  # fmt: skip
REDUCERS = [
    reducers.Median(), reducers.Median(method="lower"), reducers.Percentile(25), reducers.Percentile(33.3333333333),
    reducers.Mean(), reducers.Min(), reducers.Max(), reducers.First(), reducers.Latest(), reducers.Medoid(),
    reducers.GeoMedian(), reducers.GeoMedian(mads=True), reducers.MaxNDVI(), reducers.WeightedMean(far=1234.5),
    reducers.BestPixel(196), reducers.BestPixel(196, 2021, weights={"cloud": 0, "haze": 0.123456789}, strict=True),
]  # fmt: skip


def read(how, text):
    """Return what is read, and what is said if it cannot be; any other error is one."""
    try:
        return how(text), ""
    except RecipeError as error:
        return None, str(error)


class TestExpressions:
    @pytest.mark.parametrize("mask", MASKS, ids=repr)
    def test_masks_are_read_back(self, mask):
        found = mask_from_text(repr(mask))
        assert found == mask
        assert type(found) is type(mask)
        assert repr(found) == repr(mask)

    @pytest.mark.parametrize("reducer", REDUCERS, ids=repr)
    def test_reducers_are_read_back(self, reducer):
        found = reducer_from_text(repr(reducer))
        assert found == reducer
        assert repr(found) == repr(reducer)

    def test_every_mask_and_reducer_of_the_library_is_among_them(self):
        """What can be made of text; left out is what holds arrays or functions, or belongs to the archive."""
        from eocube.archives import expressions

        own = {name for name in masks.__all__ if isinstance(getattr(masks, name), type)}
        assert set(expressions._masks()) == own - {"Mask", "Need"} | {"vote"}
        assert {type(mask).__name__ for mask in MASKS} >= own - {"Mask", "Need"}
        made = {name for name in reducers.__all__ if isinstance(getattr(reducers, name), type)}
        assert set(expressions._reducers()) == made - {
            "Count", "Join", "MaxIndex", "Observations", "Reducer", "Used"
        }  # fmt: skip
        assert {type(reducer).__name__ for reducer in REDUCERS} >= set(expressions._reducers()) - {"Weights"}

    def test_none(self):
        assert mask_from_text(" None ") is None
        with pytest.raises(RecipeError, match="is none"):
            reducer_from_text("None")

    def test_weights_as_a_mapping(self):
        found = reducer_from_text("BestPixel(196, weights={'haze': 0})")
        assert found == reducers.BestPixel(196, weights={"haze": 0})

    @pytest.mark.parametrize("text", [
        "__import__('os').system('touch {}')", "open('{}', 'w')", "SCLMask.__init__.__globals__['os']",
        "SCLMask().__class__", "().__class__.__bases__[0].__subclasses__()", "(lambda: open('{}', 'w'))()",
        "[open('{}', 'w') for _ in (1,)]", "SCLMask(*[open('{}', 'w')])", "SCLMask(**{{'a': open('{}', 'w')}})",
        "SCLMask(**'abc')", "f'{{open(\"{}\", \"w\")}}'", "SCLMask(x := 3)", "9**9**9", "SCLMask() if 1 else SCLMask()",
        "SCLMask()[0]", "SCLMask().dilate.__self__", "SCLMask() or SCLMask()", "await SCLMask()", "SCLMask(); 1",
        "import os", "SCLMask()\nSCLMask()", "SCLMask", "'SCLMask()'", "5", "(SCLMask(), SCLMask())", "{{}}", "", "   ",
        "SCLMask(...)", "SCLMask(b'x')", "SCLMask(1j)", "SCLMask()|5", "~5", "1|2", "~True", "(5).dilate(metres=3)",
        "SCLMask().dilate()", "SCLMask().dilate(metres='a')", "SCLMask().dilate(metres=-1)", "SCLMask().dilate(1, 2, 3)",
        "SCLMask(None)", "SCLMask({{'a': 1}})", "SCLMask(cleanup=5)", "S2Cloudless(threshold='a')",
        "S2Cloudless(resolution=[])", "S2Cloudless(l1c=5)", "S2Cloudless(l1c=('a',))", "CloudProbability(5)",
        "ProjectedShadow()", "ProjectedShadow(of=5)", "ProjectedShadow(of=SCLMask(), heights=5)", "vote()", "vote(1, 2)",
        "ProjectedShadow(of=SCLMask(), dark='x')", "vote(SCLMask(), at_least='a')", "SCLMask(0x" + "f" * 1900 + ")",
        "Median()", "\0", "\ud800", "{{**1}}", "SCLMask().dilate(metres=1e999)", "{{[]: 1}}", "SCLMask({{'a': []}})",
    ])  # fmt: skip
    def test_anything_else_is_refused_and_not_run(self, text, tmp_path):
        trace = tmp_path / "trace"
        with pytest.raises(RecipeError):
            mask_from_text(text.format(trace))
        with pytest.raises(RecipeError):
            reducer_from_text(text.format(trace) if text != "Median()" else "SCLMask()")
        assert not trace.exists()

    @pytest.mark.parametrize("text", [
        "~" * 1900 + "SCLMask()", "(" * 900 + "SCLMask()" + ")" * 900, "SCLMask()" + "|SCLMask()" * 190,
        "SCLMask()" + ".dilate(metres=1)" * 110, "[" * 900 + "]" * 900, "-" * 1900 + "1", "lambda:" * 280 + "1",
        "vote(" * 300 + ")" * 300, "not " * 480 + "1", "SCLMask(" * 220 + ")" * 220, "x" * 10_000_000,
        "SCLMask()" + "\n" * 10_000_000,
    ], ids=lambda text: f"{text[:12]}, {len(text)}")  # fmt: skip
    def test_huge_and_deep(self, text):
        """What is too deep is refused; brackets that Python's own parser drops do no harm."""
        found, said = read(mask_from_text, text)
        assert found == SCL or 0 < len(said) < 1000

    def test_as_deep_as_allowed(self):
        joined = "|".join(["SCLMask()"] * (DEEPEST - 2))
        assert mask_from_text(joined) is not None
        with pytest.raises(RecipeError, match="levels"):
            mask_from_text(joined + "|SCLMask()" * 5)

    @given(st.text(alphabet="SCLMaskvotedil()|&~.,=[]'\" 0123456789-_{}:*", max_size=60))
    @settings(max_examples=300)
    def test_any_text(self, text):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)
            read(mask_from_text, text)
            read(reducer_from_text, text)

    @given(st.data())
    @settings(max_examples=300)
    def test_any_argument(self, data):
        """Constructors are given odd things; whatever they say is a RecipeError."""
        names = ["SCLMask", "S2Cloudless", "CloudProbability", "UkisCSMask", "ProjectedShadow", "vote"]
        keys = [
            "of", "threshold", "average_over", "dilation_size", "unit", "resolution", "on_missing", "cleanup", "snow",
            "heights", "preset", "dark", "l1c", "at_least",
        ]  # fmt: skip
        odd = st.one_of(
            st.none(), st.booleans(), st.integers(-(10**30), 10**30), st.floats(), st.text(max_size=5),
            st.just(SCL), st.lists(st.one_of(st.integers(), st.text(max_size=3)), max_size=3).map(tuple),
        )  # fmt: skip
        name = data.draw(st.sampled_from(names))
        said = [repr(one) for one in data.draw(st.lists(odd, max_size=2))]
        said += [f"{key}={data.draw(odd)!r}" for key in data.draw(st.lists(st.sampled_from(keys), max_size=3, unique=True))]
        read(mask_from_text, f"{name}({', '.join(said)})")


GOOD = {"version": 1, "name": "a", "period": "2023", "cells": ["33TWM"]}
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(), st.integers(-(10**5000), 10**5000), st.floats(), st.text(max_size=8),
    st.sampled_from(["2023", "33TWM", "B04", "SCLMask()", "Median()", "years=1", "years=0", "all", "9999", "1.5"]),
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


class TestFields:
    @given(st.sampled_from([one.name for one in fields(Recipe)] + ["version"]), JSON)
    @settings(max_examples=1500)
    @example("mask", 5).via("had no strip")
    @example("scenes", 10**5000)
    @example("area", [10**400, 0, 1, 1])
    @example("area", [float("nan"), 0, 1, 1])
    @example("period", "9999")
    @example("period", "0001")
    @example("relax", [["years=1"]])
    def test_any_value_in_any_field(self, name, value):
        made, said = read(recipe_from, GOOD | {name: value})
        assert len(said) < 3000
        if made is None:
            return
        assert recipe_from(made.as_dict()) == made
        assert made.hash == recipe_from(made.as_dict()).hash
        assert made.identity("33TWM").startswith("33TWM_")
        repr(made)

    @pytest.mark.parametrize(("name", "value"), [
        ("name", "../a"), ("name", ""), ("name", 5), ("period", True), ("period", "2023-13"), ("period", "2023/.."),
        ("period", "2024/2023"), ("period", "9999"), ("cells", "xx"), ("cells", ["33TWM", "nowhere"]), ("cells", 0),
        ("cells", {"a": 1}), ("area", []), ("area", [1, 2, 3]), ("area", [1, 2, 3, "4"]), ("area", ""), ("area", True),
        ("catalog", ""), ("catalog", []), ("catalog", 3), ("scenes", 0), ("scenes", True), ("scenes", "some"),
        ("scenes", 1.5), ("max_cloud", 101), ("max_cloud", -1), ("max_cloud", "5"), ("max_cloud", True),
        ("max_cloud", float("nan")), ("months", []), ("months", [0]), ("months", [13]), ("months", "june"),
        ("bands", []), ("bands", ["B4711"]), ("bands", ["scl"]), ("bands", "tci"), ("tci", 1), ("tci", "yes"),
        ("mask", 5), ("mask", "SCLMask"), ("mask", None), ("reducer", "Median"), ("reducer", None), ("grid", "wgs"),
        ("reducer", "MaxNDVI()"), ("reducer", "GeoMedian(mads=True)"), ("grid", 1), ("relax", ["year=1"]),
        ("relax", "SCLMask("), ("relax", 0), ("min_count", 0), ("min_count", 10**400), ("on_error", "ignore"),
        ("title", 5), ("license", None), ("version", 2), ("version", "1"), ("version", None), ("version", True),
    ])  # fmt: skip
    def test_each_is_refused_by_name(self, name, value):
        with pytest.raises(RecipeError, match=f"^{name}"):
            recipe_from(GOOD | {name: value})

    def test_unknown_missing_and_nowhere(self):
        with pytest.raises(RecipeError, match=r"'reduser' is no field of a recipe\. Did you mean 'reducer'"):
            recipe_from(GOOD | {"reduser": "Median()"})
        for name in ("name", "period", "version"):
            with pytest.raises(RecipeError, match=name):
                recipe_from({key: value for key, value in GOOD.items() if key != name})
        with pytest.raises(RecipeError, match="names no place"):
            recipe_from(GOOD | {"cells": []})

    def test_the_hash_is_of_what_decides_the_cells(self):
        base = recipe_from(GOOD)
        for change in ({"cells": ("32TQT",)}, {"area": (1, 2, 3, 4)}, {"title": "t"}, {"description": "d"}, {"license": "MIT"}):
            assert replace(base, **change).hash == base.hash
            assert base.differences(replace(base, **change)) == []
        others = {
            "name": "b", "period": "2022", "catalog": "cdse", "scenes": 3, "max_cloud": 5, "months": (6,), "bands": ("B02",),
            "l1c": "earth-search-l1c", "tci": False, "mask": "none", "reducer": "Mean()", "grid": "web", "relax": (), "min_count": 2, "on_error": "skip",
        }  # fmt: skip
        assert {*others, "cells", "area", "title", "description", "license"} == {one.name for one in fields(Recipe)}
        for name, value in others.items():
            other = replace(base, **{name: value})
            assert other.hash != base.hash
            assert [said.partition(":")[0] for said in base.differences(other)] == [name]

    def test_the_hash_stays_where_new_fields_have_their_default(self):
        """That of an archive begun long ago, written down here: who changes it, loses those archives."""
        made = Recipe("a", "2023", cells=("33TWM",), bands=("B04", "B08"), mask="SCLMask('strict')")
        said = {"version": 1, "name": "a", "period": "2023", "bands": ["B04", "B08"], "mask": "SCLMask('strict')"}
        assert made.hash == hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
        assert replace(made, scenes=16, l1c=None).hash == made.hash

    def test_distances_need_a_mask(self):
        assert recipe_from(GOOD | {"reducer": "WeightedMean()"})
        with pytest.raises(RecipeError, match="needs a mask"):
            recipe_from(GOOD | {"reducer": "WeightedMean()", "mask": "none"})

    def test_identity(self):
        made = Recipe("a", "2021-06/2022-05", cells="T33TWM")
        assert made.identity("33TWM") == "33TWM_2021-06-01_2022-06-01"
        assert Recipe("a", "2023", cells="33TWM").identity("11UQS") == "11UQS_2023-01-01_2024-01-01"
        assert [rung_of(step) for step in ("years = 2", "SCLMask()", "none")] == [(None, 2), ("SCLMask()", 0), ("none", 0)]


ALL = Recipe(
    "alles", "2021-06/2022-05", cells=("33TTN", "32TQT"), area=(12.0, 47.0, 13.0, 48.0), catalog=("cdse", "earth-search"),
    scenes="all", max_cloud=80.5, months=(6, 7), bands=("B02", "B03", "B04"), tci=False, mask="SCLMask('strict') | SCLMask()",
    reducer="Percentile(25)", grid="web", relax=(), min_count=3, on_error="skip", title="Ümläut: \"x\" # y", description="d\ne",
    license="",
)  # fmt: skip


class TestFiles:
    @pytest.mark.parametrize("ending", ["yaml", "yml", "json", "JSON"])
    @pytest.mark.parametrize("recipe", [ALL, Recipe("a", "2023", cells="33TWM")], ids=["all", "least"])
    def test_saved_and_read_back(self, recipe, ending, tmp_path):
        found = read_recipe(recipe.save(tmp_path / f"r.{ending}"))
        assert found == recipe
        assert found.hash == recipe.hash
        recipe.save(tmp_path / f"r.{ending}")

    def test_saved_as_something_else(self, tmp_path):
        with pytest.raises(OutputError, match=r"\.yaml or \.json"):
            ALL.save(tmp_path / "r.toml")
        assert not list(tmp_path.iterdir())

    @pytest.mark.parametrize(("name", "text"), [
        ("r.yaml", "version: 1\nname: a\nperiod: 2023\ncells: [33TWM, 32TQT]\nmonths: 6\nscenes: 8\n"),
        ("r.toml", 'version = 1\nname = "a"\nperiod = "2023"\ncells = ["33TWM", "32TQT"]\nmonths = [6]\nscenes = 8\n'),
        ("r.json", '{"version": 1, "name": "a", "period": "2023", "cells": ["33TWM", "32TQT"], "months": [6], "scenes": 8}'),
        ("bom.toml", '\ufeffversion = 1\nname = "a"\nperiod = 2023\ncells = ["33TWM", "32TQT"]\nmonths = 6\nscenes = 8\n'),
    ])  # fmt: skip
    def test_forms(self, name, text, tmp_path):
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert read_recipe(tmp_path / name) == Recipe("a", "2023", cells=("33TWM", "32TQT"), months=(6,), scenes=8)

    def test_dates_of_yaml(self, tmp_path):
        (tmp_path / "r.yaml").write_text("version: 1\nname: a\nperiod: 2023-05-01\ncells: 33TWM\n")
        assert read_recipe(tmp_path / "r.yaml").period == "2023-05-01"

    def test_paths_are_meant_from_the_file(self, tmp_path):
        (tmp_path / "sub").mkdir()
        (tmp_path / "sub" / "area.geojson").write_text("{}")
        (tmp_path / "sub" / "items").mkdir()
        (tmp_path / "sub" / "r.json").write_text(json.dumps(GOOD | {"area": "area.geojson", "catalog": ["items", "cdse"]}))
        found = read_recipe(tmp_path / "sub" / "r.json")
        assert found.area == str(tmp_path / "sub" / "area.geojson")
        assert found.catalog == (str(tmp_path / "sub" / "items"), "cdse")

    def test_paths_that_cannot_be(self, tmp_path):
        for text in ("x" * 5000, "a\0b", "a/" * 3000):
            (tmp_path / "r.json").write_text(json.dumps(GOOD | {"area": text, "catalog": [text, "cdse"]}))
            assert read_recipe(tmp_path / "r.json").area == text

    @pytest.mark.parametrize("text", [
        "!!python/object/apply:os.system ['touch {}']", "a: !!python/object/new:os.system ['touch {}']",
        "name: !!python/name:os.system", "version: !!int ''", "version: !!float x", "version: !!bool maybe",
        "version: !!timestamp x", "version: !!binary ä", "version: 2023-13-45", "a: b: c", "- a\n- b", "5", "", "\0", "[" * 5000,
        "? [1, 2]\n: 3", "? {{a: b}}\n: 3", "a: &a [*a]", "name: &a [*a]\nversion: 1\nperiod: 2023",
        "version: 1\nname: a\nperiod: 0x" + "f" * 9000,
    ])  # fmt: skip
    def test_yaml_that_means_harm(self, text, tmp_path):
        (tmp_path / "r.yaml").write_text(text.format(tmp_path / "trace"))
        with pytest.raises(RecipeError):
            read_recipe(tmp_path / "r.yaml")
        assert not (tmp_path / "trace").exists()

    def test_a_bomb_of_aliases(self, tmp_path):
        """Ten lines that would be ten thousand million words, if someone wrote them down."""
        lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
        lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
        (tmp_path / "r.yaml").write_text("\n".join(["version: 1", "period: 2023", *lines, "name: *a9"]))
        with pytest.raises(RecipeError) as said:
            read_recipe(tmp_path / "r.yaml")
        (tmp_path / "r.yaml").write_text("version: 1\nperiod: 2023\nname:\n  - " + "\n  - ".join(["&b [x]"] * 2) + "\ncells: *b")
        with pytest.raises(RecipeError):
            read_recipe(tmp_path / "r.yaml")
        assert len(str(said.value)) < 1000

    @pytest.mark.parametrize(("name", "content"), [
        ("r.toml", b"version = "), ("r.json", b"{"), ("r.json", b"[" * 100_000), ("r.json", b"[1]"), ("r.json", b"null"),
        ("r.json", b'{"version": ' + b"9" * 5000 + b"}"), ("r.toml", b"a = " + b"[" * 5000), ("r.txt", b"version: 1"),
        ("r.yaml", b"\xff\xfe\x00"), ("recipe", b""), ("r.json", b" " * 10_000_001), ("r.json", b'{"version": 1, "name": NaN}'),
    ], ids=range(12))  # fmt: skip
    def test_files_that_are_none(self, name, content, tmp_path):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(RecipeError, match=r"r\.|recipe"):
            read_recipe(tmp_path / name)

    def test_places_that_are_none(self, tmp_path):
        for place in (tmp_path, tmp_path / "no.yaml", "a\0b.yaml", ""):
            with pytest.raises(RecipeError, match="cannot be read"):
                read_recipe(place)

    @given(st.binary(max_size=200), st.sampled_from(["yaml", "toml", "json"]))
    @settings(max_examples=200)
    def test_any_bytes(self, tmp_path_factory, content, ending):
        file = tmp_path_factory.getbasetemp() / f"any.{ending}"
        file.write_bytes(content)
        with pytest.raises(EocubeError):
            read_recipe(file)
