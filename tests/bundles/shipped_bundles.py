"""The bundles that are shipped, the network of each, and a port for processes that meet."""

from __future__ import annotations

import socket

from medfuse.bundles import list_bundles

NETWORKS = {entry.name: entry.network for entry in list_bundles()}
NAMES = list(NETWORKS)
WEIGHTS = {entry.name: entry.weights for entry in list_bundles()}
RESTORING = [name for name in NAMES if NETWORKS[name] == "restormer"]
FUSING = [name for name in NAMES if name not in RESTORING]
CHANNELS = {name: 1 if name in RESTORING else 2 for name in NAMES}


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port
