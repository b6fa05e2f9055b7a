"""Clusters of a dask-gateway."""

from __future__ import annotations

import logging
import socket
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as Late
from contextlib import ExitStack
from typing import Any, TypeVar
from urllib.parse import urlsplit

from ..errors import ClusterError, InputError, did_you_mean
from ..extras import needed

T = TypeVar("T")

_PROBE = 5.0
"""Seconds after which an address that does not answer is taken to be unreachable."""

_PORTS = {"http": 80, "https": 443, "gateway": 8786, "tcp": 8786, "tls": 8786}


def new_cluster(
    stack: ExitStack, gateway: Any, options: Mapping[str, Any] | None, timeout: float
) -> tuple[Any, str]:
    """Start a cluster of a gateway; return it and what to call it in messages.

    Parameters
    ----------
    stack : ExitStack
        Closes what is opened here.
    gateway : str, True or dask_gateway.Gateway
        Address, or True for the one of Dask's configuration.
    options : mapping, optional
        By the names the gateway knows.
    timeout : float
        Seconds.

    Raises
    ------
    MissingExtraError
        Without dask-gateway.
    ClusterError
        If the gateway is not reachable, refuses, or does not start the cluster in time.
    InputError
        If it does not know an option.
    """
    found, setting = _gateway(gateway)
    if found is not gateway:
        stack.callback(ended, found)
    what = f"gateway {found.address}"
    reachable(found.address, setting)
    known = _asked(lambda: found.cluster_options(), what, setting, timeout)
    for name, value in (options or {}).items():
        if name not in known:
            names = [str(each) for each in known]
            raise InputError(
                f"The {what} knows no option {name!r}.{did_you_mean(name, names)} "
                f"It knows: {', '.join(names) or 'none'}."
            )
        try:
            setattr(known, name, value)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"options={{{name!r}: {value!r}}}: the {what} does not take it ({error})."
            ) from error
    made = _asked(lambda: found.new_cluster(known, shutdown_on_close=True), what, setting, timeout)
    stack.callback(ended, made)
    return made, what


def ended(what: Any) -> None:
    """Close a Gateway or GatewayCluster, so that nothing is left to do when it is collected.

    Their ``__del__`` waits for the event loop. The garbage collector may run it anywhere, in the loop's
    own thread too, and then all clients of the process wait for ever; after a ``close`` it raises.
    """
    try:
        in_time(what.close, _PROBE * 2)
    except Exception as error:  # noqa: BLE001 - it is over in any case
        logging.getLogger("eocube").info("%r was not closed in order: %s", what, error)
    gateway = vars(what).pop("gateway", what)
    vars(gateway).pop("_loop_runner", None)


def _gateway(gateway: Any) -> tuple[Any, str]:
    dask_gateway = needed("dask_gateway", "A gateway", "gateway")
    if gateway is not True and not isinstance(gateway, str):
        return gateway, "gateway="
    address = None if gateway is True else gateway
    setting = "gateway=" if address else "gateway.address of Dask's configuration, DASK_GATEWAY__ADDRESS"
    try:
        return dask_gateway.Gateway(address), setting
    except Exception as error:
        raise ClusterError(
            f"No dask-gateway: {error} ({setting}). Give its address as gateway='https://...', or set "
            "DASK_GATEWAY__ADDRESS."
        ) from error


def reachable(address: str, setting: str) -> None:
    """Refuse an address that nobody listens on, within seconds.

    Raises
    ------
    ClusterError
        Names the address, and the setting it comes from.
    """
    parts = urlsplit(address)
    port = parts.port or _PORTS.get(parts.scheme)
    if not parts.hostname or port is None:
        return  # a kind of address that only Dask knows
    try:
        socket.create_connection((parts.hostname, port), timeout=_PROBE).close()
    except OSError as error:
        why = "no answer within 5 s" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise ClusterError(
            f"{address} cannot be reached: {why}. It was set by {setting}; is the address right, is the "
            "server up, is there a way through the network?"
        ) from None


def _asked(call: Any, what: str, setting: str, timeout: float) -> Any:
    """Ask the gateway, and wait no longer than that."""
    try:
        return in_time(call, timeout)
    except Late:
        raise ClusterError(
            f"The {what} did not answer within {timeout:g} s (set by {setting}, timeout={timeout:g}). "
            "It may be busy, or have no room for a scheduler."
        ) from None
    except Exception as error:
        said = str(error) or type(error).__name__
        raise ClusterError(f"The {what} refuses (set by {setting}): {said}") from error


def in_time(call: Callable[[], T], timeout: float) -> T:
    """Make a call that may hang, and wait no longer than that.

    Raises
    ------
    TimeoutError
        Of concurrent.futures. The thread that hangs is left to itself, and does not hold up the end.
    """
    found: Future[T] = Future()

    def run() -> None:
        try:
            found.set_result(call())
        except Exception as error:  # noqa: BLE001 - handed to who waits
            found.set_exception(error)

    threading.Thread(target=run, name="eocube-asks", daemon=True).start()
    return found.result(timeout)
