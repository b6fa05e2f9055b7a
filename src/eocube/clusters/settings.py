"""What workers are told: settings of the environment, credentials if asked for, a mask's model."""

from __future__ import annotations

import asyncio
import ctypes
import os
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from distributed.diagnostics.plugin import WorkerPlugin
from odc.geo.geobox import GeoBox

from ..errors import InputError
from ..masks.algebra import apply, as_mask, need
from ..pixels import Pixels
from ..sentinel2 import BANDS
from .versions import mismatches, versions_here

SETTINGS = (
    "EOCUBE_PATIENCE", "EOCUBE_BLOB_HOSTS", "PC_SDK_SAS_URL",
    "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_S3_ENDPOINT", "AWS_HTTPS", "AWS_VIRTUAL_HOSTING",
    "AWS_NO_SIGN_REQUEST", "AWS_REQUEST_PAYER", "AZURE_STORAGE_ACCOUNT", "AZURE_NO_SIGN_REQUEST",
)  # fmt: skip
"""Variables that always travel: they say how files are read, and hold no secret."""

CREDENTIALS = (
    "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN",
    "AZURE_STORAGE_CONNECTION_STRING", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_SAS_TOKEN",
    "PC_SDK_SUBSCRIPTION_KEY", "EOCUBE_HTTP_HEADERS",
    "EARTHDATA_USERNAME", "EARTHDATA_PASSWORD", "EARTHDATA_TOKEN",
    "GDAL_HTTP_USERPWD", "GDAL_HTTP_HEADERS", "GDAL_HTTP_BEARER",
)  # fmt: skip
"""Variables that travel with ``credentials=True``."""

_GDAL = re.compile(r"(GDAL|CPL|VSI)_[A-Z0-9_]+")
_STAYS = re.compile(
    r"PWD|HEADER|COOKIE|BEARER|TOKEN|SECRET|PASS|KEY|AUTH|PROXY|NETRC|CERT|FILE|PATH|DATA|THREADS"
)
"""GDAL's secrets, folders of this machine, and GDAL_NUM_THREADS, which turns off GDAL's retries."""

GDAL_CACHEMAX = "64"
"""MB of GDAL's block cache in a worker, unless the environment says otherwise: its own default is 5 % of
the machine's memory, in each process."""

KEPT = 256 * 2**20
"""Bytes of freed memory that a worker keeps at most."""

_LARGEST = 32 * 2**20
"""Bytes from which on memory comes from the system directly: the most that glibc takes."""

_DASKS = "65536"
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
"""Of malloc.h."""


def settings_of(environment: Mapping[str, str]) -> dict[str, str]:
    """Return what of an environment workers are told: how files are read, and nothing secret."""
    found = {"GDAL_CACHEMAX": GDAL_CACHEMAX}
    return found | {
        name: value
        for name, value in environment.items()
        if name in SETTINGS or (_GDAL.fullmatch(name) and not _STAYS.search(name))
    }


def credentials_of(environment: Mapping[str, str], wanted: bool | Iterable[str]) -> dict[str, str]:
    """Return the credentials that were asked for.

    Raises
    ------
    InputError
        If a variable that is named is not set, or nothing is.
    """
    if wanted is False:
        return {}
    names = CREDENTIALS if wanted is True else (wanted,) if isinstance(wanted, str) else tuple(wanted)
    found = {name: environment[name] for name in names if name in environment}
    missing = [] if wanted is True else [name for name in names if name not in found]
    if missing or not found:
        said = ", ".join(missing or CREDENTIALS)
        raise InputError(f"credentials={wanted!r}: not set in this process's environment: {said}.")
    return found


def keep_memory() -> bool:
    """Let the C library keep freed memory for the next block; return whether it could be told.

    Dask starts its workers with ``MALLOC_TRIM_THRESHOLD_=65536``, so that all that is freed goes back to the
    system at once. The blocks of a cube are tens of MB, and each is then paid for anew, page by page: a
    third of a worker's processor time. What is kept is bounded by :data:`KEPT`. Another value in the
    environment is somebody's wish, and stays.
    """
    if os.environ.get("MALLOC_TRIM_THRESHOLD_") != _DASKS:
        return False
    try:
        mallopt = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):  # another C library
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, KEPT) and mallopt(_M_MMAP_THRESHOLD, _LARGEST))


class Secrets:
    """Values that are never shown."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = dict(values)

    def __repr__(self) -> str:
        return f"<{len(self.values)} credentials>"


class Settings(WorkerPlugin):
    """Prepares each worker, also those that join later.

    Attributes
    ----------
    settings : dict
        Variables of the environment.
    secrets : Secrets
    versions : dict
        Of the client; a worker that has others leaves.
    preload : mask or callable, optional
        Applied once, so that a model is read before the first task.
    """

    name = "eocube-settings"
    idempotent = False

    def __init__(
        self,
        settings: Mapping[str, str],
        secrets: Secrets,
        preload: Any = None,
        *,
        versions: dict[str, str] | None = None,
    ) -> None:
        self.settings, self.secrets, self.preload = dict(settings), secrets, preload
        self.versions = versions or versions_here()
        self._before: dict[str, str | None] = {}

    async def setup(self, worker: Any) -> None:
        """Prepare a worker."""
        wrong = mismatches(self.versions, versions_here())
        if wrong:
            worker.loop.add_callback(worker.close, nanny=True, reason="eocube-versions")
            raise RuntimeError(f"This worker does not fit the client: {'; '.join(wrong)}.")
        new = self.settings | self.secrets.values
        self._before = {name: os.environ.get(name) for name in new}
        os.environ.update(new)
        if getattr(worker, "nanny", None):  # else it may be the user's own process
            keep_memory()
        if self.preload is not None:
            await asyncio.to_thread(warm, self.preload)

    def teardown(self, worker: Any) -> None:  # noqa: ARG002
        """Leave the environment as it was."""
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def __repr__(self) -> str:
        return f"<eocube settings: {', '.join(sorted(self.settings))}; {self.secrets!r}>"


def check_preload(preload: Any) -> Any:
    """Return a mask, or a function without arguments.

    Raises
    ------
    MaskError
        If it is neither.
    """
    return preload if preload is None or _is_function(preload) else as_mask(preload)


def _is_function(preload: Any) -> bool:
    return callable(preload) and not hasattr(preload, "bands") and not isinstance(preload, type)


def warm(preload: Any) -> None:
    """Apply a mask to a few pixels that nobody needs, which makes it read its model; or call a function."""
    if _is_function(preload):
        call: Callable[[], Any] = preload
        call()
        return
    wants = need(preload)
    size = 16
    grid = GeoBox.from_bbox(
        (0, 0, size * wants.resolution, size * wants.resolution), "EPSG:32631", shape=(size, size)
    )
    bands = {
        band: np.full((size, size), 4, np.uint8)
        if BANDS[band].kind == "class"
        else np.full((size, size), 0.1, np.float32)
        for band in wants.bands
    }
    apply(preload, Pixels(bands, grid, 150.0, 45.0))
