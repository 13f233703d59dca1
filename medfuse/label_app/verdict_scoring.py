"""Scoring method ``verdict``: register every pair, and put first what most needs a look."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.exception import ImageNotFoundException
from monailabel.interfaces.tasks.scoring import ScoringMethod

from medfuse.errors import MedfuseError
from medfuse.label_app.answers import verdict_as_json
from medfuse.label_app.pairs import ProposedPair
from medfuse.label_app.pairs_task import pairs_of
from medfuse.label_app.ranking import ranked
from medfuse.label_app.registered_pair import register_stored
from medfuse.options import RegistrationOptions, check_choice

KEY = "medfuse"  # in the datastore's information about the fixed image
METHODS = ("rigid", "affine", "deformable", "verify")

_log = logging.getLogger(__name__)


class VerdictScoring(ScoringMethod):  # type: ignore[misc]
    """Judge the registration of each pair, and rank them, the worst first."""

    def __init__(self) -> None:
        super().__init__("Rank pairs by the verdict on their registration, the worst first")

    def __call__(self, request: Mapping[str, Any], datastore: Datastore) -> dict[str, Any]:
        """Rank the pairs of a datastore.

        Verdicts are kept in the information about the fixed image, under ``medfuse``, and not made again unless an
        image has been replaced, the method is another one, or ``again`` is set.

        Args:
            request: ``registration``, one of ``METHODS``, and ``again``; both may be missing.
            datastore: where the images are.

        Returns:
            ``ranking``: a row for each pair, with its verdict, or the reason why it cannot be registered.

        Raises:
            MedfuseError: if the method is unknown, or the datastore does not answer.
        """
        method = str(request.get("registration") or METHODS[0])
        check_choice("registration", method, METHODS)
        again = request.get("again") is True
        rows = [pair.as_json() | _score(pair, datastore, method, again) for pair in pairs_of(datastore)]
        return {"ranking": ranked(rows)}


def _score(pair: ProposedPair, datastore: Datastore, method: str, again: bool) -> dict[str, Any]:
    ids = (pair.fixed.id, pair.moving.id)
    known = datastore.get_image_info(ids[0]).get(KEY, {}).get(ids[1], {})
    if not again and known.get("basis") == _basis(datastore, ids, method):
        return {"verdict": known["verdict"]}
    try:
        verdict = _verdict(pair, datastore, method)
    except MedfuseError as error:
        return {"verdict": None, "reason": type(error).__name__}
    _keep(datastore, ids, verdict, method)
    return {"verdict": verdict}


def _verdict(pair: ProposedPair, datastore: Datastore, method: str) -> dict[str, Any] | None:
    result = register_stored(pair, datastore, RegistrationOptions(method=method, accept=True))
    return verdict_as_json(result.registration.verdict)


def _keep(datastore: Datastore, ids: tuple[str, str], verdict: dict[str, Any] | None, method: str) -> None:
    kept = datastore.get_image_info(ids[0]).get(KEY, {})
    row = {"verdict": verdict, "basis": _basis(datastore, ids, method)}
    try:
        datastore.update_image_info(ids[0], {KEY: {**kept, ids[1]: row}})
    except ImageNotFoundException:  # of an archive MONAI Label keeps only what a viewer has opened
        _log.info("the verdict on a pair is not kept: its fixed image is not in the cache")


def _basis(datastore: Datastore, ids: tuple[str, str], method: str) -> list[Any]:
    """Return what a verdict rests on: the method, and when each image came."""
    return [method, *(datastore.get_image_info(image_id).get("ts") for image_id in ids)]
