"""Lists of real pairs: read, refused with a reason, and turned round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from medfuse.errors import InputError, OptionError, UnreadableFileError
from medfuse.evaluation.registration_options import Cell
from medfuse.evaluation.registration_pairs import FilePair, pairs_of, read_file_pairs
from medfuse.evaluation.registration_subjects import study_of
from medfuse.evaluation.registration_trials import draw_rigid
from medfuse.geometry import apply_affine
from medfuse.io.transform_files import write_transform
from medfuse.io.volume_files import write_volume
from medfuse.phantom import Phantom

HEAD = "case,fixed,moving,fixed_modality,moving_modality,fixed_to_moving\n"


@pytest.fixture
def listed(phantom_small: Phantom, tmp_path: Path) -> Path:
    """Return a folder with a phantom's MR and CT, the transform between them, and a list of the two."""
    for name in ("MR_T1", "CT"):
        write_volume(phantom_small.volumes[name], tmp_path / f"{name}.nii.gz")
    write_transform(phantom_small.fixed_to_moving_ras("MR_T1", "CT"), tmp_path / "true")
    (tmp_path / "pairs.csv").write_text(
        HEAD + "a,MR_T1.nii.gz,CT.nii.gz,MR,ct,true.tfm\nb,MR_T1.nii.gz,CT.nii.gz,MR,CT,\n"
    )
    return tmp_path


def test_a_list_is_read(listed: Path) -> None:
    pairs = read_file_pairs(listed)
    assert pairs == read_file_pairs(listed / "pairs.csv")
    assert [pair.case for pair in pairs] == ["a", "b"]
    assert pairs[0] == FilePair(
        "a", listed / "MR_T1.nii.gz", listed / "CT.nii.gz", "MR", "CT", listed / "true.tfm", swapped=False
    )
    assert pairs[1].truth is None


def test_volumes_are_read_with_their_truth(listed: Path, phantom_small: Phantom) -> None:
    told, trusted = (study_of(pair) for pair in read_file_pairs(listed))
    true = phantom_small.fixed_to_moving_ras("MR_T1", "CT")
    np.testing.assert_allclose(told.fixed_to_moving_ras, true, atol=1e-9)
    np.testing.assert_array_equal(trusted.fixed_to_moving_ras, np.eye(4))
    np.testing.assert_array_equal(told.moving, phantom_small.volumes["CT"][0])


def test_points_lie_in_the_fixed_head(listed: Path, phantom_small: Phantom) -> None:
    points = study_of(read_file_pairs(listed)[0]).points_mm
    labels = phantom_small.labels["MR_T1"]
    index = np.round(apply_affine(np.linalg.inv(labels.affine.numpy()), points)).astype(int)
    inside = ((index >= 0) & (index < np.array(labels.shape[1:]))).all(axis=1)
    within = labels[0].numpy()[tuple(index[inside].T)] > 0
    assert 500 < len(points) <= 2000
    assert within.sum() > 0.9 * len(points)
    spread = points.std(axis=0) / phantom_small.head_points_mm("MR_T1").std(axis=0)
    assert ((spread > 0.75) & (spread < 1.25)).all()


def test_roles_are_exchanged_with_the_truth(listed: Path) -> None:
    (there, _), (back, _) = (pairs_of(kind, read_file_pairs(listed)) for kind in ("MR-CT", "CT-MR"))
    assert (back.fixed, back.moving) == (there.moving, there.fixed)
    round_trip = study_of(back).fixed_to_moving_ras @ study_of(there).fixed_to_moving_ras
    np.testing.assert_allclose(round_trip, np.eye(4), atol=1e-9)


def test_a_kind_that_is_not_listed_is_refused(listed: Path) -> None:
    with pytest.raises(OptionError, match="pair is 'MR-PT', of which the list has none; choose among MR-CT"):
        pairs_of("MR-PT", read_file_pairs(listed))


def test_a_truth_that_is_not_rigid_is_refused(listed: Path) -> None:
    write_transform(np.diag([1.1, 1.0, 1.0, 1.0]), listed / "true")
    with pytest.raises(InputError, match=r"true\.tfm is not rigid"):
        study_of(read_file_pairs(listed)[0])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        (HEAD, "lists no pairs"),
        ("case,fixed\na,MR_T1.nii.gz\n", "leaves a value out"),
        (HEAD + "a,MR_T1.nii.gz,,MR,CT,\n", "leaves a value out"),
        (HEAD + "a,MR_T1.nii.gz,CT.nii.gz,MR,CT,\n" * 2, "case 'a' is listed twice"),
        (HEAD + "a,MR_T1.nii.gz,CT.nii.gz,MR,US,\n", "modality 'US' is not one of"),
        (HEAD + "a,MR_T1.nii.gz,PT.nii.gz,MR,PT,\n", r"PT\.nii\.gz does not exist"),
        (HEAD + "a,MR_T1.nii.gz,CT.nii.gz,MR,CT,none.txt\n", r"none\.txt does not exist"),
    ],
)
def test_a_list_that_cannot_be_used_is_refused(listed: Path, text: str, reason: str) -> None:
    (listed / "pairs.csv").write_text(text)
    with pytest.raises(UnreadableFileError, match=reason) as caught:
        read_file_pairs(listed)
    assert "\n" not in str(caught.value)


def test_a_folder_without_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnreadableFileError, match=r"pairs\.csv does not exist"):
        read_file_pairs(tmp_path)


@pytest.mark.parametrize(("moving", "modality"), [("scct", "CT"), ("SPECT", "NM")])
def test_real_templates_lie_on_one_another(shared: Path, tmp_path: Path, moving: str, modality: str) -> None:
    folder = shared / "data" / "volumes" / "mni"
    row = f"template,{folder / 'T1.nii'},{folder / moving}.nii,MR,{modality},\n"
    (tmp_path / "real.csv").write_text(HEAD + row)
    study = study_of(read_file_pairs(tmp_path / "real.csv")[0])
    seen = apply_affine(np.linalg.inv(study.moving_affine_ras), study.points_mm)
    index = np.clip(np.round(seen).astype(int), 0, np.array(study.moving.shape) - 1)
    head = study.moving.numpy()[tuple(index.T)]
    turned = draw_rigid(np.random.default_rng(0), Cell(60, 60), study.points_mm.mean(axis=0))
    away = apply_affine(np.linalg.inv(study.moving_affine_ras) @ turned, study.points_mm)
    elsewhere = study.moving.numpy()[tuple(np.clip(np.round(away).astype(int), 0, np.array(study.moving.shape) - 1).T)]
    assert head.mean() > elsewhere.mean()
