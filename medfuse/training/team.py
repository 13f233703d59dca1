"""Training: many processes as one, each running the network on its share of every batch.

What leaves the network is gathered, so that each process sees the loss of the whole batch: correlations, goals and
means over a batch do not come apart into those of its shares. The gradients of the shares then add up to the
gradient that one process would have had.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, distributed, nn

from medfuse.errors import OptionError
from medfuse.inferers.device import resolve_device

_Network = TypeVar("_Network", bound=nn.Module)


@dataclass(frozen=True)
class Team:
    """The processes of a run, as one of them sees it.

    Attributes:
        device: where this process computes.
        rank: its number, from 0; the first leads: it alone judges, writes and tells.
        size: how many there are.
    """

    device: torch.device
    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def check_batch(self, batch_size: int) -> None:
        """Refuse a batch that cannot be shared out evenly.

        Raises:
            OptionError: if it cannot.
        """
        if batch_size % self.size != 0:
            msg = f"batch_size is {batch_size}; give a multiple of the number of processes, {self.size}"
            raise OptionError(msg)

    def shared(self, network: _Network) -> _Network:
        """Return a network that is used as the given one, and computes only this process's share."""
        return network if self.size == 1 else cast(_Network, _SharedNetwork(network, self))

    def add_up(self, tensors: list[Tensor]) -> None:
        """Replace tensors by their sums over the processes."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.flatten() for tensor in tensors])
        distributed.all_reduce(flat)
        totals = torch.split(flat, [tensor.numel() for tensor in tensors])
        for tensor, total in zip(tensors, totals, strict=True):
            tensor.copy_(total.view_as(tensor))


@contextmanager
def joined_team(device: str) -> Iterator[Team]:
    """Join the other processes that ``torchrun`` started, for the time of a ``with`` block; alone without it.

    Args:
        device: ``"auto"``, or a name that torch knows; ``"cuda"`` is one GPU for each process of a computer.
    """
    chosen, size = resolve_device(device), int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield Team(chosen)
        return
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
        torch.cuda.set_device(chosen)
    team = Team(chosen, int(os.environ["RANK"]), size)
    if distributed.is_initialized():  # by who called; then it is theirs to end
        yield team
        return
    distributed.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
    try:
        yield team
        distributed.barrier()  # nobody leaves while another still needs it
    finally:
        distributed.destroy_process_group()


class _SharedNetwork:
    """Runs a network on one share of a batch, and gathers what comes out of all shares."""

    def __init__(self, network: nn.Module, team: Team) -> None:
        self._network, self._team = network, team

    def __call__(self, image: Tensor) -> Any:
        return self._gathered(self._network)(image)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._network, name)
        return self._gathered(found) if callable(found) and not isinstance(found, nn.Module) else found

    def _gathered(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def on_share(image: Tensor, *arguments: Any) -> Any:
            share = image.chunk(self._team.size)[self._team.rank]
            return _gather(function(share, *arguments), self._team.rank)

        return on_share


def _gather(value: Any, rank: int) -> Any:
    """Gather a tensor along its batch, or each member of a tuple."""
    if isinstance(value, Tensor):
        return _Gather.apply(value, rank)  # type: ignore[no-untyped-call]
    members = [_gather(member, rank) for member in value]
    return type(value)(*members) if hasattr(value, "_fields") else tuple(members)


class _Gather(torch.autograd.Function):
    """The whole batch from its shares; the gradient of the own share is the part of the whole that belongs to it."""

    @staticmethod
    def forward(context: Any, share: Tensor, rank: int) -> Tensor:
        context.rank, context.length = rank, len(share)
        shares = [
            torch.empty_like(share, memory_format=torch.contiguous_format) for _ in range(distributed.get_world_size())
        ]
        distributed.all_gather(shares, share.contiguous())
        return torch.cat(shares)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        first = context.rank * context.length
        return gradient[first : first + context.length], None
