"""What the environment says of object stores, in the words of obstore.

GDAL's variables are read, so that both loaders are led by the same ones. Where the environment says
more than is understood here (profiles, identities of machines), the file is left to GDAL.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from .directories import Foreign

AZURE = ("az", "abfs", "abfss")
"""Schemes of Azure's Blob Storage."""

_IDENTITY = {"AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID"}


def s3_options() -> dict[str, Any]:
    """Return obstore's configuration of S3, if the environment says all that is needed.

    Raises
    ------
    Foreign
        Without a region, or without keys where requests are to be signed: GDAL knows more ways.
    """
    env = os.environ
    anonymous = _yes("AWS_NO_SIGN_REQUEST", "NO")
    region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
    if region is None or not (anonymous or {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= env.keys()):
        raise Foreign("no region or keys in the environment")
    config: dict[str, Any] = {"region": region, "skip_signature": anonymous}
    if not anonymous:
        config["access_key_id"] = env["AWS_ACCESS_KEY_ID"]
        config["secret_access_key"] = env["AWS_SECRET_ACCESS_KEY"]
        if token := env.get("AWS_SESSION_TOKEN"):
            config["session_token"] = token
    if env.get("AWS_REQUEST_PAYER") == "requester":
        config["request_payer"] = True
    if host := env.get("AWS_S3_ENDPOINT"):
        scheme = "https" if _yes("AWS_HTTPS", "YES") else "http"
        config["endpoint"] = host if "://" in host else f"{scheme}://{host}"
    return config


def azure_options(where: str, token: str) -> dict[str, Any]:
    """Return obstore's configuration of a container on Azure.

    Parameters
    ----------
    where : str
        ``container`` or ``container@account.dfs.core.windows.net``, as an href says it.
    token : str
        A shared access signature, the href's query. Empty: what the environment says; nothing is
        signed where it says nothing.

    Raises
    ------
    Foreign
        If no account is named, or the environment is for GDAL alone.
    """
    env, said = os.environ, _connection()
    container, account = _named(where)
    if not account:
        raise Foreign("no account on Azure is named")
    if not token and (_IDENTITY & env.keys() or (said and said.get("AccountName") != account)):
        raise Foreign("GDAL's settings")
    config: dict[str, Any] = {"account_name": account, "container_name": container}
    if said.get("AccountName") == account and (endpoint := said.get("BlobEndpoint")):
        config["endpoint"] = endpoint.rstrip("/")
    signature = token or said.get("SharedAccessSignature") or env.get("AZURE_STORAGE_SAS_TOKEN")
    key = said.get("AccountKey") or env.get("AZURE_STORAGE_ACCESS_KEY")
    if token or (signature and not key):
        return config | {"sas_key": str(signature).lstrip("?")}
    if key and not _yes("AZURE_NO_SIGN_REQUEST", "NO"):
        return config | {"account_key": key}
    return config | {"skip_signature": True}


def named_for_gdal(href: str) -> str:
    """Return an href that GDAL opens: it does not know ``abfs``, nor tokens after ``az``.

    Examples
    --------
    >>> named_for_gdal("abfs://s2@account.dfs.core.windows.net/33/B04.tif?sig=x")
    'https://account.blob.core.windows.net/s2/33/B04.tif?sig=x'
    >>> named_for_gdal("https://example.org/B04.tif")
    'https://example.org/B04.tif'
    """
    scheme = href.partition("://")[0]
    if scheme not in AZURE:
        return href
    parts, said = urlsplit(href), _connection()
    container, account = _named(parts.netloc)
    own = account in (said.get("AccountName"), os.environ.get("AZURE_STORAGE_ACCOUNT"))
    if not account or (own and not parts.query):
        return f"az://{container}{parts.path}"
    endpoint = (own and said.get("BlobEndpoint")) or f"https://{account}.blob.core.windows.net"
    return f"{endpoint.rstrip('/')}/{container}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def _named(where: str) -> tuple[str, str]:
    """Return container and account; the environment's account where the href names none."""
    container, _, host = where.rpartition("@")
    if container:
        return container, host.split(".")[0]
    return where, _connection().get("AccountName") or os.environ.get("AZURE_STORAGE_ACCOUNT", "")


def _connection() -> dict[str, str]:
    """Return the parts of Azure's connection string."""
    text = os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
    return {name: value for name, _, value in (part.partition("=") for part in text.split(";")) if value}


def _yes(name: str, default: str) -> bool:
    return os.environ.get(name, default).upper() in ("YES", "TRUE", "ON", "1")
