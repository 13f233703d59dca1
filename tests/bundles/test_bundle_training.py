"""A bundle trains, and judges, by the losses and measures of medfuse."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from medfuse.bundles import ClippedAdam, PatchSampler, TwoStageObjective, run_bundle, stage_rates, worst_fidelity
from medfuse.metrics import sound_suite
from medfuse.networks import CDDFuse, CDDFuseConfig, build
from medfuse.training import TrainingOptions, training_options
from medfuse.training.optimization import PartwiseAdam
from medfuse.training.paired_data import read_training_pairs
from medfuse.training.stages import stage_one_terms, stage_two_terms

PATCH = 41


@pytest.fixture
def network() -> CDDFuse:
    torch.manual_seed(0)
    return CDDFuse(CDDFuseConfig(channels=8, heads=2, blocks=1, detail_nodes=1))


@pytest.fixture
def recipe() -> TrainingOptions:
    return training_options("published")


def table(path: Path) -> dict[str, float]:
    with path.open(encoding="utf-8") as file:
        return {name: float(value) for name, value in csv.reader(file)}


@pytest.mark.parametrize("name", ["cddfuse_fast", "cddfuse_mr_ct"])
def test_two_epochs_make_other_weights_and_tables(
    tiny: dict[str, Path], pairs: Path, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    bundle = Path(shutil.copytree(tiny[name], tmp_path / name))
    given = {"dataset_dir": str(pairs), "device": "cpu", "patch_size": PATCH, "batch_size": 2}
    given |= {"output_dir": str(tmp_path / "out")}
    run_bundle(bundle, "train", {**given, "epochs": 2, "steps_per_epoch": 2})
    losses = [message for message in caplog.messages if "train_loss" in message]
    assert [loss[:19] for loss in losses] == [f"Epoch: {epoch}/2, Iter: {step}" for epoch in (1, 2) for step in (1, 2)]
    files = [bundle / "models" / file for file in ("model.pt", "model_trained.pt")]
    before, after = (torch.load(file, weights_only=True) for file in files)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    assert all(torch.isfinite(after[key]).all() for key in after)

    run_bundle(bundle, "evaluate", {**given, "ckpt_path": str(bundle / "models" / "model_trained.pt")})
    found = table(tmp_path / "out" / "metrics.csv")
    run_bundle(bundle, "evaluate", {**given, "output_dir": str(tmp_path / "untrained")})
    assert table(tmp_path / "untrained" / "metrics.csv") != found
    assert found["val_VIF_worst"] == pytest.approx(found["VIF_worst"], rel=1e-4)
    cases = (tmp_path / "out" / "val_VIF_worst_raw.csv").read_text(encoding="utf-8").splitlines()
    assert len(cases) == 1 + len(read_training_pairs(pairs, PATCH).validation)
    assert "patient" in cases[1]


def test_tables_hold_the_sound_suite(shipped: dict[str, Path], pairs: Path, tmp_path: Path) -> None:
    given = {"dataset_dir": str(pairs), "device": "cpu", "patch_size": PATCH, "output_dir": str(tmp_path)}
    run_bundle(shipped["cddfuse_fast"], "evaluate", given)
    images = [pair.image[None] for pair in read_training_pairs(pairs, PATCH).validation]
    fuse = build("cddfuse-fast", "default")
    with torch.no_grad():
        scores = [sound_suite(*(255.0 * each for each in (*image.chunk(2, 1), fuse(image)))) for image in images]
    found = table(tmp_path / "metrics.csv")
    for name in ("VIF_worst", "Qabf_worst", "lost_worst", "invented"):
        expected = torch.stack([score[name] for score in scores]).nanmean().item()
        assert found[name] == pytest.approx(expected, rel=1e-3), name


def test_training_can_begin_at_the_beginning(tiny: dict[str, Path], pairs: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(tiny["cddfuse_mr_pet"], tmp_path / "bundle"))
    (bundle / "models" / "model.pt").unlink()
    given = {"dataset_dir": str(pairs), "device": "cpu", "patch_size": PATCH, "batch_size": 2}
    given |= {"stage_one_epochs": 1, "ckpt_path": "", "output_dir": str(tmp_path)}
    run_bundle(bundle, "train", {**given, "epochs": 2, "steps_per_epoch": 1})
    assert (bundle / "models" / "model_trained.pt").is_file()


def test_the_objective_has_the_terms_of_both_stages(network: CDDFuse, recipe: TrainingOptions) -> None:
    image = torch.rand(2, 2, 48, 48)
    objective = TwoStageObjective(network, recipe, stage_one_steps=1)
    one, two = objective.train()(image), objective(image)
    first, second = (
        torch.stack(list(terms.values()))
        for terms in (
            stage_one_terms(network, image, recipe.stage_one),
            stage_two_terms(network, image, recipe.stage_two),
        )
    )
    assert torch.equal(one, first)
    assert torch.equal(two, second)
    assert torch.equal(objective.eval()(image), network.eval()(image))


def test_the_optimizer_takes_the_steps_of_medfuses_own(network: CDDFuse) -> None:
    twin = CDDFuse(network.config)
    twin.load_state_dict(network.state_dict())
    own = PartwiseAdam(twin, 1e-2, 0.01, steps=4)
    theirs = ClippedAdam(network, lr=1e-2, clip_norm=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(theirs, stage_rates(0, 4))
    for number in range(4):
        image = torch.rand(1, 2, 16, 16, generator=torch.Generator().manual_seed(number))
        own.step(loss_of(twin, image))
        theirs.zero_grad()
        loss_of(network, image).backward()
        theirs.step()
        schedule.step()
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), twin.parameters(), strict=True))


def loss_of(network: nn.Module, image: Tensor) -> Tensor:
    return 100.0 * (network(image) - image.amax(dim=1, keepdim=True)).square().mean()


def test_a_gradient_that_is_not_finite_changes_nothing(network: CDDFuse) -> None:
    before = [weight.clone() for weight in network.parameters()]
    optimizer = ClippedAdam(network, lr=1.0, clip_norm=1.0)
    (network(torch.rand(1, 2, 8, 8)).sum() * float("nan")).backward()
    optimizer.step()
    assert all(torch.equal(a, b) for a, b in zip(network.parameters(), before, strict=True))


def test_each_stage_has_a_schedule_of_its_own() -> None:
    share = stage_rates(30, 50)
    assert share(0) == share(30)
    assert share(29) < share(19)
    assert share(79) < share(49)


def test_processes_share_out_the_patches_of_one() -> None:
    alone, members = PatchSampler(3, 4), [PatchSampler(3, 4, rank, 2) for rank in range(2)]
    for epoch in range(2):
        numbers = list(alone)
        assert numbers == list(range(12 * epoch, 12 * (epoch + 1)))
        assert sorted(number for member in members for number in member) == numbers
    assert [len(each) for each in (alone, *members)] == [12, 6, 6]


def test_what_validation_keeps_weights_by_is_a_value_of_the_sound_suite() -> None:
    torch.manual_seed(0)
    first, second = torch.rand(2, 2, 1, 64, 64)
    first[..., :24], second[..., :24] = 0.001 * first[..., :24], 0.001 * second[..., :24]  # background, with noise
    fused = (first + second) / 2
    expected = sound_suite(first, second, fused, data_range=1.0)["VIF_worst"]
    torch.testing.assert_close(worst_fidelity(first, second, fused).double(), expected, rtol=1e-4, atol=0.0)
