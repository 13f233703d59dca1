"""The bundles of restorers: they give what the transform gives, train by the recipe, and judge by PSNR and SSIM."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from monai.data import MetaTensor
from shipped_bundles import RESTORING, WEIGHTS, free_port
from test_bundle_torchrun import MEMBER

from medfuse.bundles import GrowingPatchSampler, RestorationObjective, RestoringInferer, run_bundle
from medfuse.errors import InputError
from medfuse.io.volume_files import write_volume
from medfuse.networks import build, weights_path
from medfuse.phantom import Phantom
from medfuse.training import training_options
from medfuse.training.judges import restoration_judge
from medfuse.training.options import PatchSize
from medfuse.training.paired_data import read_training_pairs
from medfuse.training.restoration import restoration_terms
from medfuse.transforms import LoadVolumed, Restored

PATCH = 48
VOLUMES = {"restormer_denoise": "mr", "restormer_denoise_ct": "ct", "restormer_denoise_counts": "pet"}


@pytest.fixture(scope="module")
def scans(phantom_small: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with some slices of an MR, a CT and a PET scan."""
    folder = tmp_path_factory.mktemp("scans")
    for modality, name in (("MR_T1", "mr"), ("CT", "ct"), ("PT", "pet")):
        whole = phantom_small.volumes[modality]
        write_volume(MetaTensor(whole.as_tensor()[..., 15:20].clone(), affine=whole.affine), folder / f"{name}.nii.gz")
    return folder


def settings(pairs: Path, output: Path) -> dict[str, object]:
    given = {"dataset_dir": str(pairs), "device": "cpu", "patch_size": PATCH, "output_dir": str(output)}
    return {**given, "modalities": ["MR", "CT"], "validation_pairs": 1}


def table(path: Path) -> dict[str, float]:
    with path.open(encoding="utf-8") as file:
        return {name: float(value) for name, value in csv.reader(file)}


@pytest.mark.parametrize("name", RESTORING)
def test_a_bundle_gives_what_the_transform_gives(
    shipped: dict[str, Path], scans: Path, tmp_path: Path, name: str
) -> None:
    file = scans / f"{VOLUMES[name]}.nii.gz"
    run_bundle(shipped[name], overrides={"image": str(file), "output_dir": str(tmp_path), "device": "cpu"})
    data = LoadVolumed("image")({"image": file})
    restored = Restored("image", weights_path("restormer", WEIGHTS[name]))(data)["image"]
    del restored.meta["description"]
    write_volume(restored, tmp_path / "expected.nii.gz")
    assert (tmp_path / "restored.nii.gz").read_bytes() == (tmp_path / "expected.nii.gz").read_bytes()
    assert not torch.equal(restored.as_tensor(), data["image"].as_tensor())


def test_a_volume_of_another_kind_is_refused(shipped: dict[str, Path], scans: Path, tmp_path: Path) -> None:
    given = {"image": str(scans / "pet.nii.gz"), "output_dir": str(tmp_path / "out"), "device": "cpu"}
    with pytest.raises(InputError, match="the volume is PT, this bundle restores MR;"):
        run_bundle(shipped["restormer_denoise"], overrides=given)
    assert not (tmp_path / "out").exists()


def test_the_inferer_needs_to_know_what_it_sees() -> None:
    with pytest.raises(InputError, match="give a MetaTensor of volumes"):
        RestoringInferer()(torch.rand(1, 1, 4, 4, 4), torch.nn.Identity())


def test_two_epochs_make_other_weights_and_tables(shipped: dict[str, Path], pairs: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(shipped["restormer_denoise"], tmp_path / "bundle"))
    given = settings(pairs, tmp_path / "out")
    run_bundle(bundle, "train", {**given, "epochs": 2, "steps_per_epoch": 2})
    files = [bundle / "models" / file for file in ("model.pt", "model_trained.pt")]
    before, after = (torch.load(file, weights_only=True) for file in files)
    assert before.keys() == after.keys()
    assert any(not torch.equal(before[key], after[key]) for key in before)
    assert all(torch.isfinite(after[key]).all() for key in after)

    run_bundle(bundle, "evaluate", given)
    found = table(tmp_path / "out" / "metrics.csv")
    judged = restoration_judge(read_training_pairs(pairs, PATCH).validation, ("MR", "CT"), 1)
    scores = judged.look(build("restormer", "default"), torch.device("cpu"))["validation"].values()
    assert found["val_PSNR"] == pytest.approx(sum(each["psnr_db"] for each in scores) / len(scores), rel=1e-4)
    assert 0.0 < found["SSIM"] <= 1.0
    rows = (tmp_path / "out" / "val_PSNR_raw.csv").read_text(encoding="utf-8").splitlines()
    assert len(rows) == 1 + len(judged.noisy)
    assert any("MR 6 %" in row for row in rows)


@pytest.mark.skipif(torch.cuda.is_available(), reason="is for processes on a CPU")
def test_two_processes_train_and_judge(shipped: dict[str, Path], pairs: Path, tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(shipped["restormer_denoise"], tmp_path / "bundle"))
    member = tmp_path / "member.py"
    extra = 'given.update(modalities=["MR", "CT"], validation_pairs=1)\n'
    member.write_text(MEMBER.replace('given["batch_size"] = 2\n', extra), encoding="utf-8")
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = [*launcher, *map(str, (member, bundle, pairs, tmp_path / "together", PATCH, free_port()))]
    ended = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    trained = bundle / "models" / "model_trained.pt"
    run_bundle(bundle, "evaluate", {**settings(pairs, tmp_path / "alone"), "ckpt_path": str(trained)})
    together, alone = (table(tmp_path / folder / "metrics.csv") for folder in ("together", "alone"))
    assert together == pytest.approx(alone, rel=1e-5)


def test_processes_share_out_batches_that_grow() -> None:
    sizes = (PatchSize(0.5, 64, 4), PatchSize(1.0, 96, 2))
    alone, members = GrowingPatchSampler(sizes, 2, 3, 80), [GrowingPatchSampler(sizes, 2, 3, 80, r, 2) for r in (0, 1)]
    epochs = [list(alone) for _ in range(2)]
    assert [[len(batch) for batch in epoch] for epoch in epochs] == [[4, 4, 4], [2, 2, 2]]
    assert [number for epoch in epochs for batch in epoch for number, _ in batch] == list(range(18))
    assert {side for batch in epochs[1] for _, side in batch} == {80}  # no patch exceeds the largest
    shares = [[list(member) for member in members] for _ in range(2)]
    for whole, (first, second) in zip(epochs, shares, strict=True):
        for batch, one, two in zip(whole, first, second, strict=True):
            assert sorted([*one, *two]) == batch
    assert len(alone) == 3


def test_the_objective_is_that_of_the_trainer() -> None:
    recipe, network = training_options("restormer_structure_cpu"), build("restormer", "default")
    objective = RestorationObjective(network, recipe)  # type: ignore[arg-type]
    image = torch.rand(2, 2, 16, 16)
    with torch.no_grad():
        expected = restoration_terms(network, image, recipe.restoration.softness)
        assert torch.equal(objective.train()(image), torch.stack(list(expected.values())))
        assert torch.equal(objective.eval()(image[:, :1]), network(image[:, :1]))


@pytest.mark.parametrize("name", RESTORING)
def test_figures_are_those_of_the_page_on_restoring(shipped: dict[str, Path], name: str) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "concepts" / "restoration.md").read_text(encoding="utf-8")
    readme = (shipped[name] / "docs" / "README.md").read_text(encoding="utf-8")
    rows = [line for line in readme.splitlines() if line.startswith("| ")]
    assert any("`restormer`" in row for row in rows)
    assert [row for row in rows if row not in page] == []
    metadata = json.loads((shipped[name] / "configs" / "metadata.json").read_text(encoding="utf-8"))
    cells = [cell.strip() for row in rows for cell in row.split("|")]
    modalities = metadata["network_data_format"]["inputs"]["image"]["modality"].split(", ")
    assert len(metadata["eval_metrics"]) == 6 * len(modalities)
    assert all(f"{figure:.2f}" in cells or f"{figure:.3f}" in cells for figure in metadata["eval_metrics"].values())
