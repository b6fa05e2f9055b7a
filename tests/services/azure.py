"""Azurite: Azure's Blob Storage on loopback, with tokens as Planetary Computer hands them out."""

from __future__ import annotations

import base64
import hashlib
import hmac
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

import requests

from .processes import folder, free_port, listens, process, tool

VERSION = "2018-11-09"
KEY = base64.b64encode(b"the key of the tests' account").decode()


class Azure:
    """A running Azurite with one account."""

    def __init__(self, url: str, account: str) -> None:
        self.url, self.account = url, account

    @property
    def endpoint(self) -> str:
        """Return where the account's containers are."""
        return f"{self.url}/{self.account}"

    def connection(self, secret: str) -> str:
        """Return a connection string; ``secret`` is ``AccountKey=...`` or a signature."""
        return f"DefaultEndpointsProtocol=http;AccountName={self.account};{secret};BlobEndpoint={self.endpoint};"

    def fill(self, container: str, files: dict[str, Path], *, public: bool) -> None:
        """Make a container of files."""
        access = {"x-ms-blob-public-access": "blob"} if public else {}
        self._put(f"{container}?restype=container&", b"", access)
        for name, path in files.items():
            self._put(f"{container}/{name}?", path.read_bytes(), {"x-ms-blob-type": "BlockBlob"})

    def _put(self, path: str, body: bytes, headers: dict[str, str]) -> None:
        token = self._account_token()
        requests.put(f"{self.endpoint}/{path}{token}", data=body, headers=headers, timeout=20).raise_for_status()

    def token(self, container: str, seconds: float = 3600) -> str:
        """Return a signature for reading a container, which ends after some seconds."""
        said = {"sp": "rl", "st": moment(-300), "se": moment(seconds)}
        place = f"/blob/{self.account}/{container}"
        text = [said["sp"], said["st"], said["se"], place, "", "", "", VERSION, "c", "", "", "", "", "", ""]
        return urlencode({**said, "sv": VERSION, "sr": "c", "sig": _signed("\n".join(text))})

    def _account_token(self) -> str:
        """Return a signature for everything; the one Azure has for those who own an account."""
        said = {"sp": "rwdlac", "ss": "b", "srt": "sco", "st": moment(-300), "se": moment(3600)}
        text = "\n".join([self.account, *said.values(), "", "", VERSION, ""])
        return urlencode({**said, "sv": VERSION, "sig": _signed(text)})


def moment(seconds: float) -> str:
    return f"{datetime.now(UTC) + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"


def _signed(text: str) -> str:
    return base64.b64encode(hmac.new(base64.b64decode(KEY), text.encode(), hashlib.sha256).digest()).decode()


@contextmanager
def serving(account: str):
    """Run Azurite's blob service."""
    with folder() as place:
        port = free_port()
        command = [
            tool("node"), tool("azurite-blob"), "--blobPort", port, "--location", place, "--silent",
            "--disableTelemetry", "--skipApiVersionCheck",
        ]  # fmt: skip
        env = {"AZURITE_ACCOUNTS": f"{account}:{KEY}"}
        with process(command, place / "log", lambda: listens(port), env=env):
            yield Azure(f"http://127.0.0.1:{port}", account)
