"""A proxy that leads every host to one port of loopback."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress

from ..servers import Quiet, serving


@contextmanager
def leading_to(port: int):
    """Take tunnels to any host, and lead them to a port; yields the proxy's url and the hosts asked for."""
    asked = []

    class Handler(Quiet):
        def do_CONNECT(self):
            asked.append(self.path)
            with socket.create_connection(("127.0.0.1", port)) as there:
                self.send_response(200)
                self.end_headers()
                back = threading.Thread(target=carry, args=(there, self.connection), daemon=True)
                back.start()
                carry(self.connection, there)
                back.join()
            self.close_connection = True

    with serving(Handler) as url:
        yield url, asked


def carry(one, other) -> None:
    """Carry bytes from one connection to another until it ends."""
    with suppress(OSError):
        while data := one.recv(65536):
            other.sendall(data)
    with suppress(OSError):
        other.shutdown(socket.SHUT_WR)
