"""Bundles: which there are, read from their sources without any tensor library."""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from medfuse.options import check_choice

SOURCES = Path(str(resources.files("medfuse"))) / "bundles" / "sources"
COMMON = SOURCES / "common"
_DESCRIPTION = "bundle.json"


@dataclass(frozen=True)
class BundleEntry:
    """One bundle that is shipped.

    Attributes:
        name: of the bundle and of its folder.
        version: of the bundle.
        network: name of its network, see ``medfuse.networks.build``.
        title: what it is for, in one line.
        weights: those that it is shipped with, see ``medfuse.networks.weights_path``.
        shares: folder of the sources whose files go before those that all share; None for none.
        configs: keys of the configs that are its own.
        metadata: keys of ``metadata.json`` that are its own; ``::`` leads into a group.
    """

    name: str
    version: str
    network: str
    title: str
    weights: str
    shares: str | None
    configs: dict[str, Any]
    metadata: dict[str, Any]

    @property
    def folder(self) -> Path:
        """Where its sources lie."""
        return SOURCES / self.name

    def source(self, file: str) -> Path:
        """Return where a file comes from that the bundle shares with others, such as ``"configs/train.json"``."""
        nearer = COMMON if self.shares is None else SOURCES / self.shares
        return nearer / file if (nearer / file).is_file() else COMMON / file


def list_bundles() -> list[BundleEntry]:
    """Return all bundles that are shipped, by name."""
    return [_entry(path.parent.name) for path in sorted(SOURCES.glob(f"*/{_DESCRIPTION}"))]


def find_bundle(name: str) -> BundleEntry:
    """Return a bundle that is shipped.

    Raises:
        OptionError: if there is none of that name.
    """
    check_choice("bundle", name, tuple(entry.name for entry in list_bundles()))
    return _entry(name)


def read_json(path: Path) -> dict[str, Any]:
    """Return the content of a JSON file of the sources."""
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return content


def _entry(name: str) -> BundleEntry:
    own = read_json(SOURCES / name / _DESCRIPTION)
    version = read_json(COMMON / "configs" / "metadata.json")["version"]
    metadata = own["metadata"]
    weights, shares = own.get("weights", "default"), own.get("shares")
    return BundleEntry(name, version, own["network"], metadata["task"], weights, shares, own["configs"], metadata)
