"""Ledgers: what each computed window lost, brought home from threads and workers.

The attributes of a lazy cube are fixed before a pixel is read. So each window that is read with
``on_error="skip"`` says what it lost, also if that is nothing, to the ledger of its process, and in a
worker of a cluster to the scheduler as well. :func:`lost` asks both. A window that is computed again
replaces what it said before.
"""

from __future__ import annotations

import sys
import threading
import warnings
from collections import OrderedDict
from typing import Any

from .errors import LossWarning
from .losses import Loss, Losses, Window, as_message, of_message

ATTRIBUTE = "eocube_plan"
"""Attribute of a cube by which its losses are found."""

_TABLE = "eocube-plan-"
_MOST_PLANS = 64


class _Ledger:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.plans: OrderedDict[str, dict[Window, tuple[Loss, ...]]] = OrderedDict()
        self.warned: set[tuple[str, str]] = set()

    def put(self, token: str, window: Window, losses: tuple[Loss, ...]) -> list[Loss]:
        """Keep what a window says; return the losses of which nobody was warned yet."""
        with self.lock:
            self.plans.setdefault(token, {})[window] = losses
            self.plans.move_to_end(token)
            while len(self.plans) > _MOST_PLANS:
                self.plans.popitem(last=False)
            new = {loss.item: loss for loss in losses if (token, loss.item) not in self.warned}
            self.warned |= {(token, item) for item in new}
        return list(new.values())

    def get(self, token: str) -> dict[Window, tuple[Loss, ...]]:
        with self.lock:
            return dict(self.plans.get(token, {}))


_LEDGER = _Ledger()


def record(token: str, window: Window, losses: tuple[Loss, ...]) -> None:
    """Note what a window of a plan lost, and warn of it once per Item."""
    worker = this_worker()
    if worker is not None:
        worker.log_event(_TABLE + token, {"window": list(window), "losses": as_message(losses)})
    for loss in _LEDGER.put(token, window, losses):
        text = f"Item {loss.item} is left out where it cannot be read ({loss.why}); eocube.lost() lists all."
        if worker is None:
            warnings.warn(text, LossWarning, stacklevel=2)
        else:
            from distributed.worker import warn

            warn(text, LossWarning)  # also where the client is


def remember(told: dict[str, Any]) -> None:
    """Keep in this process what a window of a worker lost: a scheduler forgets the older ones."""
    if told.get("skip"):
        window: Any = tuple(told["window"])
        _LEDGER.put(told["token"], window, of_message(told["lost"]))


def lost(array: Any) -> Losses:
    """Return what was lost while a cube, or what was made of it, was computed.

    Parameters
    ----------
    array : xarray.DataArray or Dataset
        Made with ``on_error="skip"``; lazy or computed. Found by its attribute ``eocube_plan``, or
        by its graph where that was dropped.

    Returns
    -------
    Losses
        Of all windows computed so far, by this process or by workers of the cluster whose client
        is open. ``windows`` says how many those are: 0 where nothing was computed, or by a cluster
        that is gone.

    Raises
    ------
    InputError
        If the array was not made by eocube with ``on_error="skip"``.

    Examples
    --------
    >>> import eocube
    >>> world = eocube.sample.cached()
    >>> items = eocube.search(world.items_path)
    >>> cube = eocube.load(items, world.grid, bands=["red"], on_error="skip").compute()
    >>> len(eocube.lost(cube))
    0
    """
    from .errors import InputError

    tokens = tokens_of(array)
    if not tokens:
        raise InputError(
            "This array was not made with on_error='skip', or xarray dropped its attributes: an error "
            "was raised where a file could not be read. Ask with the cube or the composite."
        )
    every = [_known(token) for token in tokens]
    found = {loss for windows in every for losses in windows.values() for loss in losses}
    ordered = sorted(found, key=lambda loss: (loss.item, loss.asset, loss.window))
    return Losses(tuple(ordered), sum(len(windows) for windows in every))


def tokens_of(array: Any) -> list[str]:
    """Return by what the losses of an array are found; nothing if it cannot have any."""
    parts = [array, *getattr(array, "data_vars", {}).values()]
    said = [str(part.attrs[ATTRIBUTE]) for part in parts if ATTRIBUTE in getattr(part, "attrs", {})]
    found = {token for each in said for token in each.split()}  # of several plans, where one made it of them
    graph = getattr(array, "__dask_graph__", lambda: None)()
    names = getattr(graph, "layers", None) or {}
    for name, layer in names.items():
        if str(name).startswith(_TABLE) and _skips(layer):
            found.add(str(name).removeprefix(_TABLE))
    return sorted(found)


def _skips(layer: Any) -> bool:
    """Whether a step of a graph holds a plan that goes on without what cannot be read."""
    values = getattr(layer, "mapping", {}).values()
    plans = [getattr(getattr(value, "value", value), "plan", None) for value in values]
    return any(getattr(plan, "on_error", "raise") == "skip" for plan in plans)


def _known(token: str) -> dict[Window, tuple[Loss, ...]]:
    found = _LEDGER.get(token)
    for message in _events(_TABLE + token):  # in the order in which they came
        window: Any = tuple(message["window"])
        found[window] = of_message(message["losses"])
    return found


def this_worker() -> Any:
    """Return the worker of a cluster in which this runs, or None."""
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return None
    try:
        return distributed.get_worker()
    except ValueError:
        return None


def _events(topic: str) -> list[dict[str, Any]]:
    distributed = sys.modules.get("distributed")
    if distributed is None:
        return []
    try:
        client = distributed.get_client()
    except ValueError:
        return []
    return [message for _, message in client.get_events(topic)]
