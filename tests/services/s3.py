"""moto: S3 on loopback, with buckets, users and signatures that are checked."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from pathlib import Path

import requests

from .processes import answers, folder, free_port, process, tool

SCOPE = "AWS4-HMAC-SHA256 Credential=setup/20200101/eu-central-1/{}/aws4_request, SignedHeaders=host, Signature=0"
"""Tells moto which service is meant; nobody checks it before :meth:`S3.check_signatures`."""


class S3:
    """A running moto."""

    def __init__(self, url: str) -> None:
        self.url = url

    def fill(self, bucket: str, files: dict[str, Path], *, public: bool) -> None:
        """Make a bucket of files."""
        said = {"Authorization": SCOPE.format("s3")}
        region = "<CreateBucketConfiguration><LocationConstraint>eu-central-1</LocationConstraint></CreateBucketConfiguration>"
        requests.put(f"{self.url}/{bucket}", data=region, headers=said, timeout=10).raise_for_status()
        acl = {"x-amz-acl": "public-read" if public else "private"}
        for key, path in files.items():
            done = requests.put(f"{self.url}/{bucket}/{key}", data=path.read_bytes(), headers=said | acl, timeout=10)
            done.raise_for_status()

    def user(self) -> dict[str, str]:
        """Make a user who may read all; returns the credentials."""
        self._ask("CreateUser", UserName="ann")
        policy = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        self._ask("PutUserPolicy", UserName="ann", PolicyName="all", PolicyDocument=json.dumps(policy))
        said = self._ask("CreateAccessKey", UserName="ann")
        return {
            "AWS_ACCESS_KEY_ID": re.search("<AccessKeyId>(.*)</AccessKeyId>", said)[1],
            "AWS_SECRET_ACCESS_KEY": re.search("<SecretAccessKey>(.*)</SecretAccessKey>", said)[1],
        }

    def check_signatures(self, *, on: bool = True) -> None:
        """Check them from now on, or do not."""
        calls = "0" if on else "inf"
        requests.post(f"{self.url}/moto-api/reset-auth", data=calls, timeout=10).raise_for_status()

    def _ask(self, action: str, **options: str) -> str:
        form = {"Action": action, "Version": "2010-05-08", **options}
        done = requests.post(self.url, data=form, headers={"Authorization": SCOPE.format("iam")}, timeout=10)
        done.raise_for_status()
        return done.text

    @property
    def environment(self) -> dict[str, str]:
        """Return what leads a reader here."""
        return environment(self.url)


def environment(url: str) -> dict[str, str]:
    """Return what leads a reader to an S3 at another place than Amazon's."""
    return {
        "AWS_S3_ENDPOINT": url.removeprefix("http://"), "AWS_HTTPS": "NO", "AWS_VIRTUAL_HOSTING": "FALSE",
        "AWS_REGION": "eu-central-1",
    }  # fmt: skip


@contextmanager
def serving():
    """Run moto's server."""
    with folder() as place:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [tool("moto_server"), "-H", "127.0.0.1", "-p", port]
        with process(command, place / "log", lambda: answers(f"{url}/moto-api/")):
            yield S3(url)
