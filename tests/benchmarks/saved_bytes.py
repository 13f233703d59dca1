"""What autograd keeps for the way back."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def saved_bytes(network: nn.Module, x: Tensor) -> int:
    """Return the bytes that autograd keeps for the way back, without parameters, each storage once."""
    own = {parameter.untyped_storage().data_ptr() for parameter in network.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        output = network(x.clone().requires_grad_())
    del output
    return sum(kept.values())
