"""Infer task ``pairs``: which images of the datastore may be fused with one another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore

from medfuse.label_app.datastores import facts_of
from medfuse.label_app.images import checked_id
from medfuse.label_app.pairs import ProposedPair, propose, why_none
from medfuse.label_app.served_task import ServedTask


class PairsTask(ServedTask):
    """Propose pairs: images of one patient and two modalities.

    Args:
        datastore: where the images are.
    """

    def __init__(self, datastore: Datastore) -> None:
        super().__init__(datastore, "Propose images of the same patient and another modality")

    def __call__(self, request: Mapping[str, Any]) -> tuple[None, dict[str, Any]]:
        """List pairs.

        Args:
            request: ``image`` is an id; with ``all`` set, the pairs of the whole datastore are listed.

        Returns:
            No file; ``pairs``, and ``reason`` if there are none.

        Raises:
            MedfuseError: if there is no such image.
        """
        image_id = checked_id(request.get("image"), "wanted")
        image = facts_of(self._datastore, image_id)
        pairs = pairs_of(self._datastore)
        if request.get("all") is not True:
            pairs = [pair for pair in pairs if image_id in (pair.fixed.id, pair.moving.id)]
        told: dict[str, Any] = {"pairs": [pair.as_json() for pair in pairs]}
        return None, told if pairs else told | {"reason": why_none(image)}


def pairs_of(datastore: Datastore) -> list[ProposedPair]:
    """Return all pairs that a datastore has."""
    return propose(facts_of(datastore, image_id) for image_id in datastore.list_images())
