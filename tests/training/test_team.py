"""Two processes that share each batch train as one does: the same gradients, the same weights."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from medfuse.errors import OptionError
from medfuse.networks import CDDFuse, build
from medfuse.training import TrainingOptions, train
from medfuse.training.logs import STEPS_NAME
from medfuse.training.stages import stage_one_terms, stage_two_terms
from medfuse.training.team import Team

# What each process runs: the gradients of both stages in double precision, then a short training.
MEMBER = """
import json, sys
from pathlib import Path
import torch
from medfuse.training import train
from medfuse.training.presets import options_from
from medfuse.training.team import joined_team
sys.path.insert(0, sys.argv[1])
from test_team import gradients

data, folder = Path(sys.argv[2]), Path(sys.argv[3])
options = options_from(json.loads(sys.argv[4]), "test")
with joined_team("cpu") as team:
    found = gradients(options, team)
    if team.leads:
        torch.save(found, folder / "gradients.pt")
    record = train(data, folder / "weights.safetensors", options, "", logs=folder / "logs")
    assert bool(record.curve) == team.leads
"""


def gradients(options: TrainingOptions, team: Team) -> dict[str, torch.Tensor]:
    """Return the gradients of the losses of both stages on one batch, each clear of the other."""
    torch.manual_seed(0)
    network = CDDFuse(options.network).double()
    image = torch.rand(4, 2, 48, 48, dtype=torch.float64)
    found = {}
    for name, terms, weights in (
        ("I", stage_one_terms, options.stage_one),
        ("II", stage_two_terms, options.stage_two),
    ):
        network.zero_grad()
        sum(terms(team.shared(network), image, weights=weights).values()).backward()
        present = {key: each.grad for key, each in network.named_parameters() if each.grad is not None}
        team.add_up(list(present.values()))
        found |= {f"{name} {key}": gradient.clone() for key, gradient in present.items()}
    return found


@pytest.fixture
def options(tiny: TrainingOptions) -> TrainingOptions:
    return replace(tiny, batch_size=4, learning_rate=2e-2, ema_decay=0.9)


def test_two_processes_train_as_one(slices: Path, tmp_path: Path, options: TrainingOptions) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    member = tmp_path / "member.py"
    member.write_text(MEMBER)
    arguments = [member, Path(__file__).parent, slices, two, json.dumps(asdict(options))]
    ended = subprocess.run([*launcher, *map(str, arguments)], check=False, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr

    expected, shared = gradients(options, Team(torch.device("cpu"))), torch.load(two / "gradients.pt")
    assert expected.keys() == shared.keys()
    for name, gradient in expected.items():
        assert torch.allclose(shared[name], gradient, rtol=1e-9, atol=1e-12), name

    train(slices, one / "weights.safetensors", options, "", logs=one / "logs")
    rows = [[json.loads(line) for line in (each / "logs" / STEPS_NAME).read_text().splitlines()] for each in (one, two)]
    for alone, together in zip(*rows, strict=True):
        assert together == pytest.approx(alone, rel=1e-4, abs=1e-5)
    torch.manual_seed(options.seed)
    start = flat(CDDFuse(options.network))
    alone, together = (flat(build("cddfuse", folder / "weights.safetensors")) for folder in (one, two))
    moved, apart = (alone - start).norm(), (alone - together).norm()
    assert apart < 1e-4 * moved


def flat(network: nn.Module) -> torch.Tensor:
    """Return all weights as one vector."""
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def test_a_batch_that_cannot_be_shared_is_refused() -> None:
    with pytest.raises(OptionError, match="batch_size is 3; give a multiple of the number of processes, 2"):
        Team(torch.device("cpu"), rank=1, size=2).check_batch(3)
