"""Infer task ``fusion``: two stored images in, the fused volume and what is known about it out."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore

from medfuse.errors import OptionError
from medfuse.label_app.answers import answer
from medfuse.label_app.datastores import facts_of, source_of
from medfuse.label_app.images import checked_id
from medfuse.label_app.parameters import FusionRequest, fusion_request
from medfuse.label_app.refusals import for_clients
from medfuse.label_app.served_task import ServedTask
from medfuse.label_app.stored_forms import write_form
from medfuse.options import FusionOptions
from medfuse.pipeline import fuse_volumes


class FusionTask(ServedTask):
    """Fuse the image of a request with the one that its parameter ``moving`` names.

    Args:
        datastore: where both come from.
        app_folder: the folder that is served.
        results: folder for the files that answers carry.
    """

    def __init__(self, datastore: Datastore, app_folder: Path, results: Path) -> None:
        super().__init__(datastore, "Fuse an image with another one of the same patient; not a medical device")
        self._app_folder = app_folder
        self._results = results

    def __call__(self, request: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Fuse two images.

        Args:
            request: ``image`` and ``moving`` are ids; for the rest see ``parameters``.

        Returns:
            The path of the fused volume, and what ``answers`` says about it.

        Raises:
            MedfuseError: for whatever cannot be done.
        """
        ids = (checked_id(request.get("image"), "fixed"), checked_id(request.get("moving"), "moving"))
        if ids[0] == ids[1]:
            msg = "the fixed and the moving image are the same; give two"
            raise OptionError(msg)
        return self._fused(ids, fusion_request(request, self._app_folder))

    def _fused(self, ids: tuple[str, str], asked: FusionRequest) -> tuple[str, dict[str, Any]]:
        options = self._with_modalities(ids, asked.options)
        fixed, moving = (source_of(self._datastore, image_id) for image_id in ids)
        with for_clients(dict(zip((fixed, moving), ids, strict=True))):
            result = fuse_volumes(fixed, moving, options)
        path = self._results / f"fused-{secrets.token_hex(8)}.nii.gz"
        stored = write_form(result, asked.form, path)
        return str(path), answer(result, ids, stored, asked.metrics)

    def _with_modalities(self, ids: tuple[str, str], options: FusionOptions) -> FusionOptions:
        """Add what the datastore says about the modalities, where the client says nothing."""
        fixed, moving = (facts_of(self._datastore, image_id).modality for image_id in ids)
        return replace(
            options,
            fixed_modality=options.fixed_modality or fixed,
            moving_modality=options.moving_modality or moving,
        )
