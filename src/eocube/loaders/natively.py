"""Files whose place only GDAL knows: how it is told of credentials, and tried again.

GDAL remembers failures for the life of the process, so each further try goes around its memory. No
token stands in a path, as GDAL logs paths.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from ..retries import Attempts, Clock, Fault
from ..signing import headers_for, renew, s3_options, sign, unsigned
from .stores import plain

T = TypeVar("T")

_ANEW = {"CPL_VSIL_CURL_NON_CACHED": "/vsicurl/:/vsis3/:/vsiaz/:/vsigs/"}
_STATUS = re.compile(r"(?:HTTP|response_code|error|code)[ =:a-z_]*\b([45]\d\d)\b", re.IGNORECASE)
_HOPELESS = ("not recognized as", "not exist", "No such file", "driver")


def remote(href: str) -> bool:
    """Whether GDAL would fetch a file from a server."""
    return ("://" in href and not href.startswith("file:")) or href.startswith(
        ("/vsicurl", "/vsis3", "/vsiaz")
    )


def access(href: str, signer: str) -> tuple[str, dict[str, str]]:
    """Return the name by which GDAL opens a file, and its settings for that.

    Raises
    ------
    Unsigned
        If credentials were asked for and are not there.
    """
    href = plain(href)
    if signer.startswith("s3"):
        said = s3_options(signer)
        names = {"region": "AWS_REGION", "endpoint": "AWS_S3_ENDPOINT"}
        options = {names[key]: value for key, value in said.items() if key in names}
        if "anonymous" in said:
            options["AWS_NO_SIGN_REQUEST"] = "YES"
        if "requester-pays" in said:
            options["AWS_REQUEST_PAYER"] = "requester"
        return href, options
    if headers := headers_for(href, signer):
        return href, {"GDAL_HTTP_HEADERS": "\r\n".join(f"{name}: {value}" for name, value in headers.items())}
    signed = sign(href, signer)
    if signed in (href, unsigned(href)):
        return signed, {}
    parts, bare = urlsplit(signed), urlsplit(unsigned(href))
    account = parts.netloc.split(".")[0]
    return f"/vsiaz{bare.path}", {"AZURE_STORAGE_ACCOUNT": account, "AZURE_STORAGE_SAS_TOKEN": parts.query}


def persistently(
    read: Callable[[str, dict[str, str]], T], href: str, signer: str, errors: tuple[type[Exception], ...]
) -> T:
    """Read with GDAL until it works, or patience ends.

    Parameters
    ----------
    read : callable
        Is given the name and GDAL's settings.
    href, signer : str
    errors : tuple of exceptions
        What may be over in a moment.

    Raises
    ------
    Exception
        The last one of ``errors``.
    """
    with Attempts(Clock()) as attempts:
        while True:
            name, options = access(href, signer)
            try:
                return read(name, options | (_ANEW if attempts.count else {}))
            except errors as error:
                failure = error
                text = str(getattr(error, "__cause__", None) or error)
            found = _STATUS.search(text)
            fault = Fault(text, int(found[1]) if found else 0, wrong=any(word in text for word in _HOPELESS))
            if fault.status in (401, 403):
                renew(href, signer, sign(href, signer))
            if not remote(href) or attempts.failed(fault):
                raise failure
