"""A pair of stored images, registered."""

from __future__ import annotations

from monailabel.interfaces.datastore import Datastore

from medfuse.label_app.datastores import source_of
from medfuse.label_app.pairs import ProposedPair
from medfuse.options import FusionOptions, RegistrationOptions
from medfuse.pipeline import fuse_volumes
from medfuse.result import FusionResult


def register_stored(pair: ProposedPair, datastore: Datastore, registration: RegistrationOptions) -> FusionResult:
    """Register a pair of a datastore; of the fusion, which is not wanted, the cheapest is done.

    Args:
        pair: which images, and their modalities as far as they are known.
        datastore: where they are.
        registration: how to register.

    Raises:
        MedfuseError: if they cannot be registered.
    """
    options = FusionOptions(
        method="max",
        registration=registration,
        fixed_modality=pair.fixed.modality,
        moving_modality=pair.moving.modality,
    )
    fixed, moving = (source_of(datastore, image.id) for image in (pair.fixed, pair.moving))
    return fuse_volumes(fixed, moving, options)
