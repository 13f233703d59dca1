"""A real MONAI Label server on a folder of volumes: what it fuses, proposes, ranks, learns and refuses."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
from made_label_server import LabelServer, run_there, running_label_server
from MedfuseFusionLib.client import ServerError
from MedfuseFusionLib.logic import FusionLogic, in_words

from medfuse.io.volume_files import write_volume
from medfuse.phantom import PhantomOptions, make_phantom

STILL = {"registration": "none", "metrics": False}  # nothing to search, nothing to measure
NAMES = {"MR_T1": "T1w", "CT": "ct", "PT": "pet"}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with MR, CT and PET of one patient, MR and CT of another, and a damaged file."""
    folder = tmp_path_factory.mktemp("studies")
    for seed, volumes in ((0, ("MR_T1", "CT", "PT")), (1, ("MR_T1", "CT"))):
        options = PhantomOptions(profile="small", seed=seed, volumes=volumes, scale=1.3)
        for volume, values in make_phantom(options).volumes.items():
            write_volume(values, folder / f"sub-0{seed + 1}_{NAMES[volume]}.nii.gz")
    (folder / "sub-03_T1w.nii.gz").write_bytes((folder / "sub-01_T1w.nii.gz").read_bytes()[:2000])
    return folder


@pytest.fixture(scope="module")
def server(studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabelServer]:
    with running_label_server(tmp_path_factory.mktemp("label"), str(studies)) as running:
        yield running


def loaded(path: Path) -> tuple[np.ndarray, np.ndarray, np.dtype[Any]]:
    """Return the stored values, the affine and the type that they are stored as."""
    image = nib.load(path)
    return np.asarray(image.dataobj), image.affine, image.get_data_dtype()


def same(one: Path, other: Path) -> bool:
    """Tell whether two volumes are equal, bit for bit."""
    first, second = loaded(one), loaded(other)
    return all(np.array_equal(first[i], second[i]) for i in (0, 1)) and first[2] == second[2]


def test_a_fusion_is_the_one_of_the_main_job(server: LabelServer, studies: Path, tmp_path: Path) -> None:
    told = server.client.fuse("sub-01_T1w", "sub-01_ct", tmp_path / "answer.nii.gz", {"registration": "none"})
    volumes = (studies / "sub-01_T1w.nii.gz", studies / "sub-01_ct.nii.gz")
    run_there("fuse", *volumes, "-o", tmp_path / "expected", "--registration", "none")
    assert same(tmp_path / "answer.nii.gz", tmp_path / "expected" / "fused.nii.gz")
    values, affine, dtype = loaded(tmp_path / "answer.nii.gz")
    assert dtype == np.float32
    assert 0.0 <= values.min() < values.max() <= 1.0
    np.testing.assert_array_equal(affine, nib.load(volumes[0]).affine)
    assert (told["fixed"]["modality"], told["moving"]["modality"]) == ("MR", "CT")
    assert told["record"]["method"]["name"] == "cddfuse-fast"
    assert told["verdict"] is None
    assert 0.0 < told["metrics"]["SSIM_worst"] <= min(told["metrics"]["SSIM_first"], told["metrics"]["SSIM_second"])


def test_a_registration_comes_with_its_verdict(server: LabelServer) -> None:
    asked = {"moving": "sub-01_ct", "method": "max", "accept_registration": True, "metrics": False, "plane": "coronal"}
    told = server.infer("fusion", "sub-01_T1w", asked)
    assert told["verdict"]["grade"] in ("pass", "warn", "fail")
    assert 0.0 < told["verdict"]["estimated_error_mm"] < 5.0
    assert told["verdict"]["reasons"]
    assert told["record"]["registration"]["method"] == "rigid"
    assert told["slice_axis"] == 1


def test_a_failed_registration_is_refused_with_the_reason(server: LabelServer) -> None:
    asked = {"moving": "sub-01_ct", "method": "max", "registration": "verify", "metrics": False}
    status, reason = server.refusal("sub-01_T1w", asked)
    assert status == 422
    assert reason.startswith("registration FAIL")
    assert "--" not in reason
    assert "accept_registration" in reason
    told = server.infer("fusion", "sub-01_T1w", {**asked, "accept_registration": True})
    assert told["verdict"]["grade"] == "fail"
    assert told["verdict"]["estimated_error_mm"] > 5.0


@pytest.mark.parametrize(
    ("image", "params", "status", "reason"),
    [
        ("sub-01_T1w", {}, 400, "the moving image is missing"),
        ("sub-01_T1w", {"moving": ""}, 400, "the moving image is missing"),
        ("sub-01_T1w", {"moving": 7}, 400, "the moving image is no text"),
        ("sub-01_T1w", {"moving": "sub-09_ct"}, 404, "has no image 'sub-09_ct'"),
        ("sub-09_T1w", {"moving": "sub-01_ct"}, 404, "has no image 'sub-09_T1w'"),
        ("sub-01_T1w", {"moving": "sub-01_T1w"}, 400, "the same"),
        ("sub-01_T1w", {"moving": "{studies}/sub-01_ct.nii.gz"}, 400, "is a path"),
        ("{studies}/sub-01_T1w.nii.gz", {"moving": "sub-01_ct"}, 400, "is a path"),
        ("sub-01_T1w", {"moving": "sub-01_ct", "image": "{studies}/sub-01_T1w.nii.gz"}, 400, "is a path"),
        ("sub-01_T1w", {"moving": "../studies/sub-01_ct"}, 400, "is a path"),
        ("sub-01_T1w", {"moving": "sub-01_ct", "method": "best"}, 400, "method is 'best'; choose one of"),
        ("sub-01_T1w", {"moving": "sub-01_ct", "plane": 3}, 400, "plane is 3; give text"),
        ("sub-01_T1w", {"moving": "sub-01_ct", "metrics": "no"}, 400, "metrics is 'no'; give true or false"),
        ("sub-01_T1w", {"moving": "sub-01_ct", "form": "int8"}, 400, "form is 'int8'; choose one of"),
        ("sub-01_T1w", {"moving": "sub-01_ct", "weights": "{studies}"}, 400, "weights is"),
        ("sub-01_T1w", {"moving": "sub-01_ct", "windw": "brain"}, 400, "there is no parameter 'windw'"),
        ("sub-01_T1w", {"moving": "sub-01_ct", "save_label": True}, 400, "a fused volume is no label"),
        ("sub-01_T1w", {"moving": "sub-01_ct", "fixed_window": "5,1", **STILL}, 400, "5,1"),
        ("sub-01_T1w", {"moving": "sub-01_ct", "device": "warp"}, 400, "warp"),
        ("sub-03_T1w", {"moving": "sub-01_ct", **STILL}, 422, "sub-03_T1w"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    server: LabelServer, studies: Path, image: str, params: dict[str, Any], status: int, reason: str
) -> None:
    def real(value: Any) -> Any:
        return value.replace("{studies}", str(studies)) if isinstance(value, str) else value

    found = server.refusal(real(image), {name: real(value) for name, value in params.items()})
    assert found[0] == status
    assert reason in found[1]
    if "{studies}" not in f"{image}{params}":
        assert str(studies) not in found[1]
    assert server.ask("GET", "/info/")["name"] == "medfuse"


def test_an_unknown_task_is_refused(server: LabelServer) -> None:
    assert server.refusal("sub-01_T1w", {}, task="segmentation") == (
        404,
        "there is no such infer task; choose one of fusion, pairs",
    )


@pytest.mark.parametrize("path", ["/infer/wsi/fusion?image=sub-01_T1w", "/batch/infer/fusion?run_sync=true"])
def test_what_has_no_meaning_for_a_fusion_is_refused(server: LabelServer, path: str) -> None:
    with pytest.raises(ServerError) as refused:
        server.post(path, {})
    assert refused.value.status == 404
    assert "fus" in refused.value.reason


def test_two_clients_at_once_get_each_their_own(server: LabelServer, tmp_path: Path) -> None:
    asked = {"sub-01_ct": tmp_path / "ct.nii.gz", "sub-01_pet": tmp_path / "pet.nii.gz"}

    def fuse(moving: str) -> str:
        told = server.client.fuse("sub-01_T1w", moving, asked[moving], {**STILL, "method": "max"})
        return str(told["moving"]["id"])

    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(fuse, asked)) == list(asked)
    for moving, path in asked.items():
        server.client.fuse("sub-01_T1w", moving, tmp_path / "alone.nii.gz", {**STILL, "method": "max"})
        assert same(path, tmp_path / "alone.nii.gz")
    assert not same(*asked.values())


def test_viewers_that_want_whole_numbers_or_colors_get_them(server: LabelServer, tmp_path: Path) -> None:
    paths = {form: tmp_path / f"{form}.nii.gz" for form in ("float32", "int16", "rgb")}
    told = {
        form: server.client.fuse("sub-01_T1w", "sub-01_pet", path, {**STILL, "method": "max", "form": form})
        for form, path in paths.items()
    }
    exact, affine, _ = loaded(paths["float32"])
    whole, whole_affine, whole_type = loaded(paths["int16"])
    assert whole_type == np.int16
    assert told["int16"]["stored"]["per_unit"] == 32767
    np.testing.assert_allclose(whole / 32767, exact, atol=0.51 / 32767)
    color, color_affine, color_type = loaded(paths["rgb"])
    assert color_type.names == ("R", "G", "B")
    assert np.any(color["R"] != color["B"])  # PET lies over it in color
    np.testing.assert_array_equal(affine, whole_affine)
    np.testing.assert_array_equal(affine, color_affine)


def test_pairs_of_one_patient_are_proposed(server: LabelServer) -> None:
    found = [(pair["fixed"], pair["moving"]) for pair in server.client.pairs("sub-01_pet")]
    assert found == [("sub-01_T1w", "sub-01_pet"), ("sub-01_ct", "sub-01_pet")]
    everything = server.infer("pairs", "sub-01_T1w", {"all": True})["pairs"]
    assert ("sub-02_T1w", "sub-02_ct") in [(pair["fixed"], pair["moving"]) for pair in everything]
    assert all(pair["fixed"][:6] == pair["moving"][:6] for pair in everything)
    alone = server.infer("pairs", "sub-03_T1w")
    assert alone["pairs"] == []
    assert "no image of the same patient" in alone["reason"]


def test_cases_are_ranked_by_verdict(server: LabelServer) -> None:
    ranking = server.post("/scoring/verdict?run_sync=true", {"registration": "verify"})["ranking"]
    assert len(ranking) == 4
    errors = [row["verdict"]["estimated_error_mm"] for row in ranking if row["verdict"]["grade"] == "fail"]
    assert errors == sorted(errors, reverse=True)
    assert len(errors) >= 2
    grades = [row["verdict"]["grade"] for row in ranking]
    assert grades == sorted(grades, key=("fail", "warn", "pass").index)
    kept = server.ask("GET", "/datastore/image/info?image=sub-02_T1w")["medfuse"]["sub-02_ct"]
    assert kept["verdict"] in [row["verdict"] for row in ranking]
    assert server.post("/scoring/verdict?run_sync=true", {"registration": "verify"})["ranking"] == ranking


def test_weights_are_trained_on_the_pairs_and_used(server: LabelServer, tmp_path: Path) -> None:
    asked = {"moving": "sub-01_ct", **STILL, "weights": "trained"}
    assert server.refusal("sub-01_T1w", asked) == (
        404,
        "nothing has been trained here yet; run the train task first, or leave weights at default",
    )
    with pytest.raises(ServerError, match="there is no option 'steps' of training here") as refused:
        server.post("/train/fusion?run_sync=true", {"steps": 2})
    assert refused.value.status == 400
    options = {"registration": "none", "stage_two_steps": 2, "batch_size": 2, "patch_size": 41, "validation_pairs": 2}
    done = server.post("/train/fusion?run_sync=true", options)
    assert done["pairs"] == 4
    assert done["left_out"] == []
    assert done["validation"]
    paths = [tmp_path / "default.nii.gz", tmp_path / "trained.nii.gz"]
    for path, weights in zip(paths, ("default", "trained"), strict=True):
        told = server.client.fuse("sub-01_T1w", "sub-01_ct", path, {**asked, "weights": weights})
    assert told["record"]["method"]["weights"] == "trained.safetensors"
    difference = np.abs(loaded(paths[0])[0] - loaded(paths[1])[0]).max()
    assert 0.0 < difference < 0.5


class Files:
    """Stands for the scene of a viewer: its volumes are files."""

    def __init__(self) -> None:
        self.loaded: list[tuple[str, np.ndarray]] = []

    def name(self, volume: Path) -> str:
        return volume.name.partition(".")[0]

    def series_uid(self, volume: Path) -> None:
        return None

    def modality(self, volume: Path) -> str:
        return {"T1w": "MR", "ct": "CT", "pet": "PT"}[self.name(volume).partition("_")[2]]

    def save(self, volume: Path, path: Path) -> None:
        path.write_bytes(volume.read_bytes())

    def load(self, path: Path, name: str) -> str:
        self.loaded.append((name, loaded(path)[0]))
        return name


def test_the_client_for_slicer_fuses_volumes_of_its_scene(server: LabelServer, studies: Path, tmp_path: Path) -> None:
    scene = Files()
    volumes = (studies / "sub-02_T1w.nii.gz", studies / "sub-02_ct.nii.gz")
    before = server.client.images()
    node, told = FusionLogic(server.client, scene).fuse(*volumes, {**STILL, "method": "max"})
    server.client.fuse("sub-02_T1w", "sub-02_ct", tmp_path / "stored.nii.gz", {**STILL, "method": "max"})
    assert node == "sub-02_T1w + sub-02_ct"
    np.testing.assert_array_equal(scene.loaded[0][1], loaded(tmp_path / "stored.nii.gz")[0])
    assert told["moving"]["modality"] == "CT"
    assert in_words(told).startswith("The registration was not judged.")
    left = {path.name.partition(".")[0] for path in studies.glob("*.nii.gz")}
    assert left == set(before)


@pytest.mark.parametrize("image_id", ["../outside", "/outside", "in/side"])
def test_an_image_cannot_be_put_elsewhere(server: LabelServer, studies: Path, image_id: str) -> None:
    with pytest.raises(ServerError, match=r"the new image .* is a path") as refused:
        server.client.upload(studies / "sub-01_ct.nii.gz", image_id)
    assert refused.value.status == 400
    assert not list(studies.parent.glob("outside*"))


def test_nothing_went_wrong_behind_the_answers(server: LabelServer) -> None:
    assert "Traceback" not in server.said()
