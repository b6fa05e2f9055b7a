"""The package in docs/example-package: built, put beside eocube as an install would, its own tests and mypy run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import eocube

SOURCE = Path(__file__).parent.parent / "docs" / "example-package"


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package, and a folder it is installed into from its wheel."""
    copy = tmp_path_factory.mktemp("fieldgreen") / "package"
    shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__", ".*", "dist"))
    run([sys.executable, "-m", "hatchling", "build", "-t", "wheel"], copy)
    (wheel,) = (copy / "dist").glob("fieldgreen-*.whl")
    installed = copy.parent / "installed"
    with zipfile.ZipFile(wheel) as packed:  # a pure wheel: unpacking is installing
        packed.extractall(installed)
    shutil.rmtree(copy / "src")  # what is tested is what was installed
    return copy, installed


def run(words, folder, **more):
    """Run a command in a folder; return what it said."""
    path = [str(Path(eocube.__file__).parent.parent), *more.pop("path", [])]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(path), **more}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def test_its_own_tests_pass(package):
    copy, installed = package
    said = run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], copy, path=[str(installed)])
    assert "5 passed" in said


def test_the_wheel_is_typed_and_bounded(package):
    _, installed = package
    assert (installed / "fieldgreen" / "py.typed").is_file()
    (metadata,) = installed.glob("*.dist-info/METADATA")
    assert "Requires-Dist: eocube[series]<0.3,>=0.1" in metadata.read_text()


def test_it_uses_the_public_face_alone():
    """Nothing but names of `eocube.__all__`."""
    import ast

    tree = ast.parse((SOURCE / "src" / "fieldgreen" / "__init__.py").read_text())
    used = {
        node.attr for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "eo"
    }  # fmt: skip
    assert used
    assert used <= set(eocube.__all__)
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and "eocube" in str(node.module)]


def test_mypy_is_strict_about_it(package):
    """And sees eocube's types: what does not fit them is found."""
    copy, installed = package
    shutil.copytree(installed / "fieldgreen", copy / "src" / "fieldgreen")
    words = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"]
    assert "no issues found in 1 source file" in run(words, copy)
    file = copy / "src" / "fieldgreen" / "__init__.py"
    file.write_text(file.read_text() + '\nwrong: int = eo.search("folder")\n')
    with pytest.raises(AssertionError, match='"ItemCollection", variable has type "int"'):
        run(words, copy)
