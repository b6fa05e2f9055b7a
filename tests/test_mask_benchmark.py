"""The table of masks: the truth is right in it, and a mask is better than none."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.masks import masks_for, mean_of, measure, table


def test_the_table(small):
    masks = masks_for(small, ukis=False)
    assert {"no mask", "SCL", "SCL strict", "the truth"} <= set(masks)
    found = measure(small, {name: masks[name] for name in ("no mask", "SCL", "the truth")})
    truth, none = found["the truth"], found["no mask"]
    for kind in ("cloud", "shadow"):
        assert [truth[f"{kind} {score}"] for score in ("precision", "recall", "f1", "iou")] == [1, 1, 1, 1]
        assert none[f"{kind} recall"] == 0
        assert np.isnan(none[f"{kind} precision"])
    assert none["clear"] == 1 > found["SCL"]["clear"]
    assert truth["rmse"] < none["rmse"]
    assert mean_of([found, found])["SCL"] == pytest.approx(found["SCL"])
    lines = table(found).splitlines()
    assert len(lines) == 5
    assert len({line.count("|") for line in lines}) == 1
    assert "| - / 0.00 / 0.00 / 0.00 |" in lines[2]
