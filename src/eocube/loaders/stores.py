"""What the environment says of object stores, in the words of obstore.

GDAL's variables are read, so that both loaders are led by the same ones. Where the environment says
more than is understood here (profiles, identities of machines), the file is left to GDAL.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from .directories import Foreign

AZURE = ("az", "abfs", "abfss")
"""Schemes of Azure's Blob Storage."""

_IDENTITY = {"AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_TENANT_ID"}


def s3_config(said: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return obstore's configuration of S3, if the environment says all that is needed.

    Parameters
    ----------
    said : mapping, optional
        What is said beside the environment, and goes before it: ``region``, ``endpoint``,
        ``anonymous``, ``requester-pays``.

    Raises
    ------
    Foreign
        Without a region, or without keys where requests are to be signed: GDAL knows more ways.
    """
    env, said = os.environ, said or {}
    anonymous = "anonymous" in said or _yes("AWS_NO_SIGN_REQUEST", "NO")
    region = said.get("region") or env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
    if region is None or not (anonymous or {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= env.keys()):
        raise Foreign("no region or keys in the environment")
    config: dict[str, Any] = {"region": region, "skip_signature": anonymous}
    if not anonymous:
        config["access_key_id"] = env["AWS_ACCESS_KEY_ID"]
        config["secret_access_key"] = env["AWS_SECRET_ACCESS_KEY"]
        if token := env.get("AWS_SESSION_TOKEN"):
            config["session_token"] = token
    if "requester-pays" in said or env.get("AWS_REQUEST_PAYER") == "requester":
        config["request_payer"] = True
    if host := said.get("endpoint") or env.get("AWS_S3_ENDPOINT"):
        scheme = "https" if _yes("AWS_HTTPS", "YES") else "http"
        config["endpoint"] = host if "://" in host else f"{scheme}://{host}"
    return config


def azure_config(container: str) -> dict[str, Any]:
    """Return obstore's configuration of a container of one's own account on Azure.

    Raises
    ------
    Foreign
        If no account is named, or the environment is for GDAL alone.
    """
    env, said, account = os.environ, _connection(), _own_account()
    if not account or _IDENTITY & env.keys():
        raise Foreign("GDAL's settings")
    config: dict[str, Any] = {"account_name": account, "container_name": container}
    if endpoint := said.get("BlobEndpoint"):
        config["endpoint"] = endpoint.rstrip("/")
    if key := said.get("AccountKey") or ("" if said else env.get("AZURE_STORAGE_ACCESS_KEY")):
        return config | {"account_key": key}
    if "AZURE_STORAGE_ACCESS_KEY" in env:
        raise Foreign("GDAL's settings")  # obstore would take it
    if signature := said.get("SharedAccessSignature") or env.get("AZURE_STORAGE_SAS_TOKEN"):
        return config | {"sas_key": signature.lstrip("?")}
    return config | {"skip_signature": True}


def plain(href: str) -> str:
    """Return the href by which a file on Azure is opened; others are left as they are.

    It stays ``az://`` where one's own account is meant and the environment says how to sign. Else it
    becomes ``https://``: with the token it carries, or with none. So no key or token of one's own
    goes to an account that an Item names.

    Examples
    --------
    >>> plain("abfs://s2@account.dfs.core.windows.net/33/B04.tif?sig=x")
    'https://account.blob.core.windows.net/s2/33/B04.tif?sig=x'
    >>> plain("https://example.org/B04.tif")
    'https://example.org/B04.tif'
    """
    if href.partition("://")[0] not in AZURE:
        return href
    parts = urlsplit(href)
    container, _, host = parts.netloc.rpartition("@")
    own = _own_account()
    account = host.split(".")[0] if container else own
    container = container or host
    signed = account == own and not parts.query and not _yes("AZURE_NO_SIGN_REQUEST", "NO")
    if not account or signed:
        return f"az://{container}{parts.path}"
    endpoint = _connection().get("BlobEndpoint") if account == own else None
    base = (endpoint or f"https://{account}.blob.core.windows.net").rstrip("/")
    return f"{base}/{container}{parts.path}" + (f"?{parts.query}" if parts.query else "")


def _own_account() -> str:
    return _connection().get("AccountName") or os.environ.get("AZURE_STORAGE_ACCOUNT", "")


def _connection() -> dict[str, str]:
    """Return the parts of Azure's connection string."""
    text = os.environ.get("AZURE_STORAGE_CONNECTION_STRING", "")
    return {name: value for name, _, value in (part.partition("=") for part in text.split(";")) if value}


def _yes(name: str, default: str) -> bool:
    return os.environ.get(name, default).upper() in ("YES", "TRUE", "ON", "1")
