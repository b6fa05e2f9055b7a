"""nginx, as archives are served by it: well, and in the ways that are hard on a reader."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import contextmanager
from pathlib import Path

from .processes import folder, free_port, listens, process, tool

LOG = '$status $request_method "$http_range" $uri'

FRAME = """
daemon off;
user {user};
pid {place}/pid;
error_log {place}/log info;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
  default_type application/octet-stream;
  types {{ image/tiff tif; application/json json; }}
  log_format short '{log}';
  access_log {place}/asked short;
  client_body_temp_path {place}/body;
  proxy_temp_path {place}/proxy;
  fastcgi_temp_path {place}/fastcgi;
  uwsgi_temp_path {place}/uwsgi;
  scgi_temp_path {place}/scgi;
  client_max_body_size 100m;
  {zones}
  server {{ listen 127.0.0.1:{port}{tls}; {server} }}
}}
"""


class Nginx:
    """A running nginx."""

    def __init__(self, url: str, place: Path) -> None:
        self.url, self.place = url, place

    def asked(self) -> list[tuple[int, str, str]]:
        """Return status, byte range and path of each request so far."""
        lines = (self.place / "asked").read_text().splitlines()
        found = [re.match(r'(\d+) \S+ "(.*)" (.*)', line).groups() for line in lines]
        return [(int(status), span, path) for status, span, path in found]


@contextmanager
def serving(server: str, zones: str = "", tls: str = "", name: str = "127.0.0.1"):
    """Run nginx with a server of these directives; ``{place}`` in them is a folder of its own.

    With ``tls`` (" ssl") it shows a certificate for ``name``, which ``ca.crt`` of that folder vouches for.
    """
    with folder() as place:
        port = free_port()
        user = "root" if os.geteuid() == 0 else "nobody"  # pytest's folders are root's own
        if tls:
            certificate(place, name)
            server += " ssl_certificate {place}/own.crt; ssl_certificate_key {place}/own.key;"
        config = FRAME.format(
            place=place, port=port, log=LOG, user=user, zones=zones, tls=tls, server=server.replace("{place}", str(place))
        )
        (place / "conf").write_text(config)
        command = [tool("nginx"), "-p", place, "-c", place / "conf", "-e", place / "log"]
        with process(command, place / "log", lambda: listens(port)):
            yield Nginx(f"http{'s' if tls else ''}://127.0.0.1:{port}", place)


def certificate(place: Path, name: str) -> None:
    """Make an authority nobody knows (``ca.crt``), and a certificate of it for a name."""
    kind = "IP" if name[0].isdigit() else "DNS"
    (place / "extensions").write_text(f"subjectAltName={kind}:{name}\nbasicConstraints=CA:FALSE\n")
    for arguments in (
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=eocube-tests -keyout ca.key -out ca.crt",
        "req -newkey rsa:2048 -nodes -subj /CN=own -keyout own.key -out own.csr",
        "x509 -req -in own.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out own.crt",
    ):
        subprocess.run([tool("openssl"), *arguments.split()], check=True, capture_output=True, cwd=place)


def encoded(user: str, password: str) -> str:
    """Return a line of a password file."""
    said = subprocess.run(
        [tool("openssl"), "passwd", "-apr1", password], check=True, capture_output=True, text=True
    )
    return f"{user}:{said.stdout.strip()}"
