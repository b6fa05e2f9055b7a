"""The scripts behind the tables of docs/masks.md run, and measure what they say."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks import cloudless, clouds
from click.testing import CliRunner
from lightgbm import Booster

from eocube.masks.s2cloudless import model_path
from eocube.masks.trees import load_forest


def test_scores():
    truth, thrown = np.array([1, 1, 1, 1, 0, 0], bool), np.array([1, 1, 0, 0, 1, 0], bool)
    found = clouds.scores(thrown, truth)
    assert found["precision"] == pytest.approx(2 / 3)
    assert found["recall"] == pytest.approx(1 / 2)
    assert found["F1"] == pytest.approx(4 / 7)
    assert found["clear kept"] == pytest.approx(1 / 2)


def test_the_table_of_masks(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(f"above\n{clouds.BEGIN}\nold\n{clouds.END}\nbelow\n")
    ran = CliRunner().invoke(clouds.main, ["--size", "60", "--dates", "1", "--docs", str(page)])
    assert ran.exit_code == 0, ran.output
    text = page.read_text()
    assert "old" not in text
    assert text.startswith("above")
    assert text.endswith("below\n")
    rows = [line for line in text.splitlines() if "S2Cloudless" in line or "SCL" in line]
    assert len(rows) == len(clouds.masks([object()])) + 1


def test_plain_numpy_and_the_scene_agree_with_the_package():
    spectra = np.random.default_rng(0).beta(0.7, 2, (400, 10)).astype(np.float32)
    booster, forest = Booster(model_file=str(model_path())), load_forest(model_path())
    np.testing.assert_allclose(cloudless.plain(booster)(spectra), booster.predict(spectra), atol=1e-9)
    np.testing.assert_allclose(forest.probability(spectra.T), booster.predict(spectra), atol=1e-6)
    table = cloudless.scene_table(cloudless.scene(spectra, 40), rounds=1, threads=2)
    rows = table.splitlines()[2:]
    assert len(rows) == 4
    assert all(row.endswith("| 100.0000 % |") for row in rows)
