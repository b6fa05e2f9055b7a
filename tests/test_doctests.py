"""The examples in docstrings run."""

from __future__ import annotations

import doctest
import pkgutil
import warnings
from importlib import import_module

import pytest

import eocube

MODULES = ["eocube"] + [
    module.name
    for module in pkgutil.walk_packages(eocube.__path__, "eocube.")
    if "__main__" not in module.name
]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name):
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        failed, _ = doctest.testmod(import_module(name), optionflags=flags)
    assert failed == 0


def test_every_public_function_has_an_example():
    for name in eocube.__all__:
        found = getattr(eocube, name)
        if type(found).__name__ == "function":
            assert ">>>" in (found.__doc__ or ""), name
