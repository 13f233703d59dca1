"""Bundles: restorers as MONAI's engines run and train them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, decollate_batch
from monai.transforms import MapTransform
from torch import Tensor, nn

from medfuse.bundles.planewise import VolumesInferer, check_volumes
from medfuse.errors import InputError
from medfuse.networks import Restormer
from medfuse.options import MODALITIES, check_choice
from medfuse.training.options import TrainingOptions
from medfuse.training.restoration import restoration_terms
from medfuse.transforms.restored import without_noise


class CheckRestorabled(MapTransform):  # type: ignore[misc]
    """Check that volumes are of a modality that a restorer has learned.

    Args:
        keys: keys of the volumes, which know their modality.
        expected: the modalities, such as ``("MR", "CT")``.
    """

    def __init__(self, keys: KeysCollection, expected: Sequence[str] = MODALITIES) -> None:
        super().__init__(keys)
        for modality in expected:
            check_choice("modality", modality, MODALITIES)
        self.expected = tuple(expected)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Return the dictionary as it was.

        Raises:
            InputError: naming what came and what was expected.
        """
        for key in self.key_iterator(dict(data)):
            found = str(data[key].meta["modality"])
            if found not in self.expected:
                known = " and ".join(self.expected)
                msg = (
                    f"the volume is {found}, this bundle restores {known}; take another, or say what it is by modality"
                )
                raise InputError(msg)
        return dict(data)


class RestoringInferer(VolumesInferer):
    """Let a network of single-channel images restore volumes in their own units; see ``without_noise``."""

    def __call__(self, inputs: Tensor, network: Callable[..., Tensor], *_args: Any, **_kwargs: Any) -> Tensor:
        """Map volumes (B, 1, X, Y, Z), as a MetaTensor that knows affines and modalities, to the same shape.

        Raises:
            InputError: if the volumes do not say what they are.
        """
        inputs = check_volumes(inputs)
        volumes = decollate_batch(inputs)
        restored = [
            without_noise(volume, network, inputs.device, self.plane, self.slices_per_batch) for volume in volumes
        ]
        joined: Tensor = MetaTensor(torch.stack([each.as_tensor() for each in restored])).copy_meta_from(inputs)
        return joined


class RestorationObjective(nn.Module):
    """While training, maps clean and degraded images to the terms of the loss; in evaluation mode it is the network.

    Args:
        network: the network to train.
        recipe: gives the softness of the loss, see ``medfuse.training.training_options``.
    """

    def __init__(self, network: Restormer, recipe: TrainingOptions) -> None:
        super().__init__()
        self.network = network
        self.softness = recipe.restoration.softness

    def forward(self, image: Tensor) -> Tensor:
        """Map (N, 2, H, W), clean and degraded, to terms (1,) while training, else (N, 1, H, W) to the same shape."""
        if not self.training:
            restored: Tensor = self.network(image)
            return restored
        return torch.stack(list(restoration_terms(self.network, image, self.softness).values()))
