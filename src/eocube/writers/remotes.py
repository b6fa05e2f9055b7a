"""Outputs on S3: by the environment's credentials, each object whole or not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..loaders.directories import Foreign
from ..loaders.stores import s3_config

SCHEME = "s3://"

_CLIENT: Any = {"allow_http": True, "timeout": "300s", "connect_timeout": "10s"}


@dataclass(frozen=True)
class Remote:
    """A place on S3.

    Attributes
    ----------
    bucket, key : str
        Of an object, or of all objects below the key.
    """

    bucket: str
    key: str

    def __str__(self) -> str:
        return f"{SCHEME}{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        """Last part of the key."""
        return self.key.rpartition("/")[2]

    def __truediv__(self, name: str) -> Remote:
        return Remote(self.bucket, f"{self.key}/{name}")

    def store(self, *, below: bool = False) -> Any:
        """Return obstore's store of the bucket, or of what lies below the key.

        Keys are read from the environment of the process that asks; they do not travel.

        Raises
        ------
        OutputError
            If the environment does not say region and keys.
        """
        from obstore.store import S3Store

        try:
            config: Any = s3_config()
        except Foreign as error:
            raise OutputError(
                f"{self} cannot be written: {error}. Set AWS_REGION, AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY."
            ) from error
        prefix = self.key if below else None
        return S3Store(self.bucket, prefix=prefix, config=config, client_options=_CLIENT)

    def exists(self) -> bool:
        """Whether there is such an object, or one below the key.

        Raises
        ------
        OutputError
            If the bucket cannot be asked.
        """
        import obstore

        with refused(self):
            try:
                obstore.head(self.store(), self.key)
            except FileNotFoundError:
                return any(len(page) for page in obstore.list(self.store(), prefix=self.key, chunk_size=50))
        return True

    def send(self, file: Path) -> None:
        """Write a file as this object: in parts if it is large; it appears when it is whole."""
        import obstore

        with refused(self):
            obstore.put(self.store(), self.key, file)

    def fetch(self, file: Path) -> None:
        """Write this object into a file."""
        import obstore

        with refused(self), file.open("wb") as out:
            for part in obstore.get(self.store(), self.key).stream():
                out.write(part)

    def remove(self) -> None:
        """Delete this object and all below the key."""
        import obstore

        with refused(self):
            store = self.store()
            every = [str(found["path"]) for page in obstore.list(store, prefix=self.key) for found in page]
            obstore.delete(store, [*every, self.key])  # what is not there is not missed



@contextmanager
def refused(place: Any) -> Iterator[None]:
    """Turn what a store says into an error of ours, without what it shows of addresses and keys."""
    from obstore import exceptions

    try:
        yield
    except (exceptions.BaseError, FileNotFoundError, PermissionError) as error:
        kind = type(error).__name__.removesuffix("Error")
        raise OutputError(
            f"{place} cannot be written or read: {kind}. Are bucket, region and keys right?"
        ) from None


def as_remote(path: str | os.PathLike[str] | Remote) -> Remote | None:
    """Return the place on S3, or None if the path is local.

    Raises
    ------
    OutputError
        If it is an address of another kind, or names no object.
    """
    if isinstance(path, Remote):
        return path
    text = str(path)
    if "://" not in text:
        return None
    bucket, _, key = text.removeprefix(SCHEME).partition("/")
    if not text.startswith(SCHEME):
        raise OutputError(f"{text.partition('?')[0]} cannot be written: give a path, or s3://bucket/key.")
    if not bucket or not key.strip("/"):
        raise OutputError(f"{text} names no object: give s3://bucket/key.")
    return Remote(bucket, key.strip("/"))
