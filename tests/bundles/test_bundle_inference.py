"""A bundle gives, bit for bit, what the main job gives: on files and on DICOM, whole or from a zip."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cli_runs import run
from monai.data import MetaTensor
from shipped_bundles import FUSING, NETWORKS

from medfuse.bundles import CheckModalitiesd, FusionWorkflow, PlanewiseInferer, run_bundle
from medfuse.bundles.catalog import find_bundle
from medfuse.errors import InputError, OptionError, RegistrationError, UnreadableFileError
from medfuse.io.volume_files import write_volume
from medfuse.options import FusionOptions, RegistrationOptions
from medfuse.phantom import Phantom, write_phantom
from medfuse.pipeline import fuse_volumes
from medfuse.registration.register import Registration, register

OTHER = {"cddfuse_mr_ct": "CT", "cddfuse_mr_pet": "PT", "cddfuse_mr_spect": "NM", "cddfuse_fast": "CT"}
STILL = {"registration::method": "none", "device": "cpu"}


@pytest.fixture(scope="module")
def scans(phantom_small: Phantom, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a volume of each modality, each on a grid of its own, and the same as DICOM."""
    folder = tmp_path_factory.mktemp("scans") / "patient"
    write_phantom(phantom_small, folder)
    return folder


@pytest.fixture
def by_the_main_job(tmp_path: Path, tiny_weights: Path) -> Callable[..., bytes]:
    """Return a function that fuses by the main job, and gives the bytes of the fused file."""

    def fused(bundle: str, fixed: Path, moving: Path, registration: RegistrationOptions, **options: Any) -> bytes:
        weights = str(tiny_weights) if NETWORKS[bundle] == "cddfuse" else "default"
        chosen = FusionOptions(
            registration=registration, method=NETWORKS[bundle], weights=weights, device="cpu", **options
        )
        write_volume(fuse_volumes(fixed, moving, chosen).fused, tmp_path / "expected.nii.gz")
        return (tmp_path / "expected.nii.gz").read_bytes()

    return fused


@pytest.mark.parametrize("name", FUSING)
def test_two_files_on_unequal_grids(
    tiny: dict[str, Path], scans: Path, tmp_path: Path, by_the_main_job: Callable[..., bytes], name: str
) -> None:
    fixed, moving = scans / f"{OTHER[name]}.nii.gz", scans / "MR_T1.nii.gz"
    given = {"fixed": str(fixed), "moving": str(moving), "output_dir": str(tmp_path / "found"), **STILL}
    run_bundle(tiny[name], overrides=given)
    expected = by_the_main_job(name, fixed, moving, RegistrationOptions(method="none"))
    assert (tmp_path / "found" / "fused.nii.gz").read_bytes() == expected


def test_two_folders_of_dicom(
    tiny: dict[str, Path], scans: Path, tmp_path: Path, by_the_main_job: Callable[..., bytes]
) -> None:
    fixed, moving = scans / "dicom" / "MR_T1", scans / "dicom" / "CT"
    given = {"fixed": str(fixed), "moving": str(moving), "output_dir": str(tmp_path / "found"), **STILL}
    run_bundle(tiny["cddfuse_mr_ct"], overrides=given)
    expected = by_the_main_job("cddfuse_mr_ct", fixed, moving, RegistrationOptions(method="none"))
    assert (tmp_path / "found" / "fused.nii.gz").read_bytes() == expected


def test_options_reach_the_same_places(
    shipped: dict[str, Path],
    scans: Path,
    tmp_path: Path,
    by_the_main_job: Callable[..., bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The registration is asked for and noted, but not searched for, which takes long and is tested elsewhere."""
    asked: list[RegistrationOptions] = []

    def noted(*arguments: Any, **others: Any) -> Registration:
        *volumes, options, progress = arguments
        asked.append(options)
        return register(*volumes, RegistrationOptions(method="none"), progress, **others)

    monkeypatch.setattr("medfuse.transforms.register.register", noted)
    fixed, moving = scans / "MR_T1.nii.gz", scans / "CT.nii.gz"
    given = {"fixed": str(fixed), "moving": str(moving), "output_dir": str(tmp_path / "found"), "device": "cpu"}
    given |= {"plane": "sagittal", "fixed_window": "100,900", "moving_window": "brain"}
    wanted = RegistrationOptions(method="affine", seed=3, accept=True)
    given |= {f"registration::{name}": getattr(wanted, name) for name in ("method", "seed", "accept")}
    run_bundle(shipped["cddfuse_fast"], overrides=given)
    chosen = {"plane": "sagittal", "fixed_window": "100,900", "moving_window": "brain"}
    expected = by_the_main_job("cddfuse_fast", fixed, moving, wanted, **chosen)
    assert (tmp_path / "found" / "fused.nii.gz").read_bytes() == expected
    assert asked == [wanted, wanted]


def test_monais_command_on_a_bundle_from_a_zip_gives_what_medfuse_fuse_gives(
    shipped: dict[str, Path], scans: Path, tmp_path: Path
) -> None:
    archive = shutil.make_archive(str(tmp_path / "bundle"), "zip", shipped["cddfuse_fast"])
    shutil.unpack_archive(archive, tmp_path / "unpacked")
    (tmp_path / "data").mkdir()
    for name, role in (("MR_T1", "fixed"), ("PT", "moving")):
        shutil.copyfile(scans / f"{name}.nii.gz", tmp_path / "data" / f"{role}.nii.gz")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", "configs/inference.json"]
    overrides = ["--dataset_dir", "../data", "--output_dir", "../found", "--registration::method", "none"]
    overrides += ["--device", "cpu", "--fixed_modality", "MR", "--moving_modality", "PT"]
    done = subprocess.run(
        [*command, *overrides], cwd=tmp_path / "unpacked", check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    files = [tmp_path / "data" / f"{role}.nii.gz" for role in ("fixed", "moving")]
    still = ("--registration", "none", "--device", "cpu", "--modality", "MR", "PT")
    assert run("fuse", *files, "-o", tmp_path / "expected", *still).exit_code == 0
    found, expected = (tmp_path / folder / "fused.nii.gz" for folder in ("found", "expected"))
    assert found.read_bytes() == expected.read_bytes()


def test_many_cases_are_fused_in_a_row(shipped: dict[str, Path], scans: Path, tmp_path: Path) -> None:
    cases = [
        {"fixed": str(scans / "PT.nii.gz"), "moving": str(scans / f"MR_{contrast}.nii.gz")} for contrast in ("T1", "T2")
    ]
    listed = [{**case, "pred_path": str(tmp_path / f"{number}.nii.gz")} for number, case in enumerate(cases)]
    (tmp_path / "cases.json").write_text(json.dumps(listed), encoding="utf-8")
    run_bundle(shipped["cddfuse_fast"], overrides={"datalist": f"%{tmp_path / 'cases.json'}", **STILL})
    first, second = ((tmp_path / f"{number}.nii.gz").read_bytes() for number in range(2))
    assert first != second


def test_a_python_workflow_returns_the_volume(shipped: dict[str, Path], scans: Path, tmp_path: Path) -> None:
    files = {"fixed": str(scans / "CT.nii.gz"), "moving": str(scans / "MR_T1.nii.gz")}
    workflow = FusionWorkflow(shipped["cddfuse_fast"], output_dir=str(tmp_path), **files, **STILL)
    workflow.initialize()
    assert not workflow.check_properties()
    assert isinstance(workflow.inferer, PlanewiseInferer)
    assert workflow.version == find_bundle("cddfuse_fast").version
    fused = workflow.run()
    workflow.finalize()
    write_volume(fused, tmp_path / "again.nii.gz")
    assert (tmp_path / "again.nii.gz").read_bytes() == (tmp_path / "fused.nii.gz").read_bytes()


@pytest.mark.parametrize(
    ("bundle", "files", "overrides", "kind", "reason"),
    [
        ("cddfuse_mr_pet", ("MR_T1", "CT"), {}, InputError, "the volumes are MR and CT, this bundle is for MR and PT"),
        ("cddfuse_fast", ("MR_T1", "lost"), {}, UnreadableFileError, "lost.nii.gz does not exist"),
        ("cddfuse_fast", ("MR_T1", "CT"), {"plane": "oblique"}, OptionError, "plane is 'oblique'"),
    ],
    ids=["modality", "file", "option"],
)
def test_what_cannot_be_fused_is_refused_in_medfuses_words(
    tiny: dict[str, Path],
    scans: Path,
    tmp_path: Path,
    bundle: str,
    files: tuple[str, str],
    overrides: dict[str, Any],
    kind: type[Exception],
    reason: str,
) -> None:
    given = dict(zip(("fixed", "moving"), (str(scans / f"{name}.nii.gz") for name in files), strict=True))
    with pytest.raises(kind, match=reason) as refusal:
        run_bundle(tiny[bundle], overrides={**given, "output_dir": str(tmp_path / "out"), **STILL, **overrides})
    assert len(str(refusal.value).splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_a_registration_that_is_judged_wrong_stops_the_run(
    shipped: dict[str, Path], scans: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Registration, "failed", True)
    given = {
        "fixed": str(scans / "MR_T1.nii.gz"),
        "moving": str(scans / "CT.nii.gz"),
        "output_dir": str(tmp_path / "out"),
    }
    with pytest.raises(RegistrationError, match="set accept in the options"):
        run_bundle(shipped["cddfuse_fast"], overrides={**given, **STILL})
    assert not (tmp_path / "out").exists()


def test_what_else_fails_is_not_hidden(shipped: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="checkpointloader"):
        run_bundle(shipped["cddfuse_fast"], overrides={"ckpt_path": str(tmp_path / "none.pt"), **STILL})
    with pytest.raises(RuntimeError, match="Failed to evaluate"):
        run_bundle(shipped["cddfuse_fast"], overrides={"output_dir": "$1 / 0", **STILL})


def test_only_what_can_be_kept_runs_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scans: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(OptionError, match=r"write the bundle first \(medfuse bundle get cddfuse_fast\)"):
        run_bundle("cddfuse_fast", "train")
    with pytest.raises(OptionError, match="config is 'guess'; choose one of inference, "):
        run_bundle("cddfuse_fast", "guess")
    with pytest.raises(OptionError, match="bundle is 'nothing'"):
        run_bundle("nothing")
    files = {"fixed": str(scans / "CT.nii.gz"), "moving": str(scans / "MR_T1.nii.gz")}
    run_bundle("cddfuse_fast", overrides={**files, **STILL})
    assert (tmp_path / "eval" / "fused.nii.gz").is_file()


def test_the_inferer_takes_each_volume_along_its_own_axis() -> None:
    thick = [torch.diag(torch.tensor(spacing, dtype=torch.float64)) for spacing in ([1, 1, 5, 1], [5, 1, 1, 1])]
    volumes = torch.rand(2, 2, 4, 6, 8)
    seen: list[tuple[int, ...]] = []

    def network(image: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(image.shape[2:]))
        return image.amax(dim=1, keepdim=True)

    batch = MetaTensor(volumes, affine=torch.stack(thick))
    batch.is_batch = True
    fused = PlanewiseInferer(slices_per_batch=9)(batch, network)
    assert seen == [(4, 6), (6, 8)]
    assert torch.equal(fused.as_tensor(), volumes.amax(dim=1, keepdim=True))
    with pytest.raises(InputError, match="give a MetaTensor of volumes"):
        PlanewiseInferer()(volumes, network)


def test_modalities_are_checked_in_any_order() -> None:
    data = {key: MetaTensor(torch.zeros(1), meta={"modality": kind}) for key, kind in (("a", "CT"), ("b", "MR"))}
    assert CheckModalitiesd(("a", "b"), ("MR", "CT"))(data) == data
    assert CheckModalitiesd(("a", "b"))(data) == data
    with pytest.raises(OptionError, match="modality is 'PET'"):
        CheckModalitiesd(("a", "b"), ("MR", "PET"))
