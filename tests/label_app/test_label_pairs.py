"""Whose image it is and what it shows, and which images belong together."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from medfuse.errors import OptionError
from medfuse.label_app.images import StoredImage, checked_id, described
from medfuse.label_app.pairs import propose, why_none
from medfuse.label_app.ranking import ranked


@pytest.mark.parametrize(
    ("image_id", "info", "modality", "patient"),
    [
        ("sub-01_T1w", {}, "MR", "sub-01"),
        ("sub-01_ses-2_ct", {}, "CT", "sub-01"),
        ("sub-01_scan", {}, None, "sub-01"),
        ("lee_t1", {}, "MR", "lee"),
        ("lee.pet", {}, "PT", "lee"),
        ("ct", {}, "CT", None),
        ("scan7", {}, None, None),
        ("scan7", {"Modality": "PET", "PatientID": "lee"}, "PT", "lee"),
        ("sub-01_T1w", {"Modality": "CT", "PatientID": "lee"}, "CT", "lee"),
        ("sub-01_T1w", {"Modality": "UNK", "PatientID": "UNK"}, "MR", "sub-01"),
        ("2.25.17", {"Modality": "NM", "PatientID": ""}, "NM", None),
        ("2.25.17", {"Modality": "SR", "PatientID": "lee"}, None, "lee"),
    ],
)
def test_the_datastore_goes_before_the_name(
    image_id: str, info: dict[str, str], modality: str | None, patient: str | None
) -> None:
    assert described(image_id, info) == StoredImage(image_id, modality, patient)


def test_a_sidecar_tells_the_modality(tmp_path: Path) -> None:
    (tmp_path / "sub-04_a.json").write_text(json.dumps({"Modality": "MR"}), encoding="utf-8")
    assert described("sub-04_a", {}, tmp_path / "sub-04_a.nii.gz") == StoredImage("sub-04_a", "MR", "sub-04")


def test_pairs_are_of_one_patient_and_two_modalities_with_mr_fixed() -> None:
    images = [
        StoredImage("d", "CT", "ann"),
        StoredImage("a", "PT", "ann"),
        StoredImage("c", "MR", "ann"),
        StoredImage("b", "MR", "bob"),
        StoredImage("e", "CT", None),
        StoredImage("f", None, "bob"),
    ]
    found = [(pair.fixed.id, pair.moving.id) for pair in propose(images)]
    assert found == [("c", "a"), ("c", "d"), ("d", "a")]
    assert propose(images)[0].as_json() == {
        "fixed": "c",
        "fixed_modality": "MR",
        "moving": "a",
        "moving_modality": "PT",
    }


def test_why_an_image_has_no_pair_is_said() -> None:
    assert "modality of the image is not known" in why_none(StoredImage("a", None, "ann"))
    assert "whose image it is" in why_none(StoredImage("a", "MR", None))
    assert "no image of the same patient" in why_none(StoredImage("a", "MR", "ann"))


@pytest.mark.parametrize("value", [None, "", 3, ["a"], "/a", "..", "a/../b", "a\\b", "a\0", "a/b"])
def test_what_cannot_be_an_id_is_refused(value: object) -> None:
    with pytest.raises(OptionError, match="give the id of an image of the datastore"):
        checked_id(value, "moving")


def test_an_id_is_returned_as_it_is() -> None:
    assert checked_id("sub-01_ct.1", "moving") == "sub-01_ct.1"


def test_what_most_needs_a_look_comes_first() -> None:
    def row(name: str, grade: str | None, error: float = 0.0) -> dict[str, object]:
        verdict = None if grade is None else {"grade": grade, "estimated_error_mm": error}
        return {"fixed": name, "moving": name, "verdict": verdict}

    rows = [row("a", "pass", 1.0), row("b", "fail", 4.0), row("c", None), row("d", "warn", 9.0), row("e", "fail", 7.0)]
    assert [one["fixed"] for one in ranked(rows)] == ["c", "e", "b", "d", "a"]
