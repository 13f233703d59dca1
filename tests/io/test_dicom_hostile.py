"""Files made to harm: bounded memory, one clear line, no crash."""

from __future__ import annotations

import struct
import time
import tracemalloc
import zlib
from contextlib import suppress
from pathlib import Path

import made_dicom as make
import numpy as np
import pytest
from made_dicom_frames import enhanced
from pydicom.datadict import tag_for_keyword
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from medfuse.errors import GeometryError, MedfuseError, UnreadableFileError
from medfuse.io import dicom_headers
from medfuse.io.dicom_frames import Frame
from medfuse.io.dicom_geometry import plan_grid
from medfuse.io.dicom_headers import read_header
from medfuse.io.dicom_read import read_dicom_series
from medfuse.io.dicom_series import choose_series, list_series
from medfuse.io.dicom_stacks import stacks_of

STORED = np.random.default_rng(3).integers(0, 900, (7, 6, 5)).astype(np.int16)
MEGABYTE = 2**20


def only_verdict(folder: Path) -> str:
    (only,) = list_series(folder, folder).series
    return only.verdict


@pytest.mark.parametrize("size", [{"Rows": 65535, "Columns": 65535}, {"NumberOfFrames": 2**31 - 1}, {"Rows": 60000}])
@pytest.mark.parametrize("modality", ["CT", "NM"])
def test_gigapixels_in_a_small_file_ask_for_no_memory(tmp_path, size, modality):
    make.save(make.series(STORED, modality, extra=size), tmp_path / "in")
    tracemalloc.start()
    verdict = only_verdict(tmp_path / "in")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert "declares" in verdict or "states no position" in verdict
    assert peak < 32 * MEGABYTE


def test_gigapixels_of_an_enhanced_object(tmp_path):
    many = enhanced(make.series(STORED, "MR"), Rows=65535, Columns=65535, NumberOfFrames=2**31 - 1)
    make.save([many], tmp_path / "in")
    assert "declares" in only_verdict(tmp_path / "in")


def test_compressed_gigapixels(tmp_path):
    images = make.series(STORED.astype(np.uint16), "MR")
    for index, image in enumerate(images):
        image.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1"
        image.compress(RLELossless, generate_instance_uid=False)
        image.Rows = image.Columns = 40000
        (tmp_path / "in").mkdir(exist_ok=True)
        image.save_as(tmp_path / "in" / str(index), enforce_file_format=True)
    assert "declares" in only_verdict(tmp_path / "in")


@pytest.mark.parametrize("declared", [1, 3, 6])
def test_a_number_of_frames_that_is_not_true(tmp_path, declared):
    make.save([enhanced(make.series(STORED, "MR"), NumberOfFrames=declared)], tmp_path / "in")
    catalog = list_series(tmp_path / "in", tmp_path)
    with suppress(MedfuseError):
        volume = read_dicom_series(choose_series(catalog, None, "fixed"))
        np.testing.assert_array_equal(volume[0].numpy(), STORED)


def test_a_huge_private_element_is_neither_read_nor_kept(tmp_path):
    images = make.series(STORED, "CT")
    for image in images:
        block = image.private_block(0x0099, "HUGE", create=True)
        block.add_new(0x01, "OB", bytes(30 * MEGABYTE))
    make.save(images, tmp_path / "in")
    tracemalloc.start()
    catalog = list_series(tmp_path / "in", tmp_path)
    _, listing = tracemalloc.get_traced_memory()
    volume = read_dicom_series(choose_series(catalog, None, "fixed"))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert listing < 10 * MEGABYTE
    assert kept < 20 * MEGABYTE
    assert [0x00990010 in header for header in volume.meta["dicom"].headers] == [True] * 5


def test_an_endless_header_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_headers, "MOST_HEADER_BYTES", MEGABYTE)
    image = make.series(STORED, "CT")[0]
    image.private_block(0x0099, "HUGE", create=True).add_new(0x01, "OB", bytes(2 * MEGABYTE))
    path = make.save_one(image, tmp_path / "x")
    with pytest.raises(UnreadableFileError, match="header takes more than"):
        read_header(path)


def test_a_deflated_bomb_is_not_inflated(tmp_path, monkeypatch):
    monkeypatch.setattr(dicom_headers, "MOST_INFLATED_BYTES", 4 * MEGABYTE)
    path = make.save_one(make.series(STORED, "CT")[0], tmp_path / "x", DeflatedExplicitVRLittleEndian)
    content = path.read_bytes()
    (length,) = struct.unpack_from("<L", content, 140)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(b"\x08\x00\x05\x00UN\0\0" + struct.pack("<L", 64 * MEGABYTE) + bytes(64 * MEGABYTE))
    path.write_bytes(content[: 144 + length] + body + packer.flush())
    tracemalloc.start()
    with pytest.raises(UnreadableFileError, match="inflates to more"):
        read_header(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * MEGABYTE


def test_thousands_of_orientations_and_places_are_settled_quickly():
    """What compares each slice with each takes hours and all memory where a series claims 20,000 of them."""
    turned = [make.turned(make.AXIAL, degrees) for degrees in np.linspace(0, 170, 20_000)]
    places = make.places(20_000, 0.01)
    start = time.perf_counter()
    with pytest.raises(GeometryError, match="orientations"):
        stacks_of([plane(place, orientation) for place, orientation in zip(places, turned, strict=True)])
    thin = [plane(place, make.AXIAL) for place in make.places(20_000, 0.05)]
    tracemalloc.start()
    (stack,) = stacks_of(thin)
    assert plan_grid(stack.frames, 8, 8, "x").slices == list(range(20_000))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64 * MEGABYTE
    assert time.perf_counter() - start < 60


def plane(place: np.ndarray, orientation: tuple[float, ...]) -> Frame:
    return Frame(Path("x"), 0, tuple(place.tolist()), tuple(orientation), (1.0, 1.0), 0.0, ())


def test_sequences_nested_beyond_reason(tmp_path):
    image = make.series(STORED, "CT")[0]
    path = make.save_one(image, tmp_path / "in")
    deep = b"\x99\x00\x01\x10SQ\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0\xff\xff\xff\xff"
    path.write_bytes(path.read_bytes()[:-84] + deep * 5000)
    with suppress(MedfuseError):
        list_series(path, tmp_path)


@pytest.mark.parametrize("value", ["nan", "inf", "1e400", "abc", "", "../../x", "0x10"])
@pytest.mark.parametrize(
    "keyword",
    [
        *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "RescaleSlope", "SeriesNumber"),
        *("SliceThickness", "GantryDetectorTilt", "EchoTime", "AcquisitionNumber", "InstanceNumber"),
    ],
)
def test_numbers_that_are_none(tmp_path, keyword, value):
    """Bytes are put in as they are, for no library would write them."""
    images = make.series(STORED, "CT", extra={"EchoTime": "10.00000", "GantryDetectorTilt": "0.000000"})
    make.save(images, tmp_path / "in")
    for path in (tmp_path / "in").iterdir():
        content = path.read_bytes()
        group, element = divmod(_tag(keyword), 2**16)
        at = content.find(struct.pack("<HH", group, element))
        (length,) = struct.unpack_from("<H", content, at + 6)
        text = "\\".join([value] * 6).encode()[:length].ljust(length)
        path.write_bytes(content[: at + 8] + text + content[at + 8 + length :])
    catalog = list_series(tmp_path / "in", tmp_path)
    with suppress(MedfuseError):
        volume = read_dicom_series(choose_series(catalog, None, "fixed"))
        assert np.isfinite(volume.numpy()).all()
        assert np.isfinite(volume.affine.numpy()).all()


def test_an_empty_element_of_no_known_kind_does_not_stop_the_rest(tmp_path):
    images = make.series(STORED, "CT", extra={"AccessionNumber": ""})
    make.save(images, tmp_path / "in")
    for path in (tmp_path / "in").iterdir():
        content = path.read_bytes()
        assert content.count(b"\x08\x00\x50\x00SH\x00\x00") == 1
        path.write_bytes(content.replace(b"\x08\x00\x50\x00SH\x00\x00", b"\x08\x00\x50\x00S\x00\x00\x00"))
        assert read_header(path).Modality == "CT"
    assert read_dicom_series(choose_series(list_series(tmp_path / "in", tmp_path), None, "fixed")).ndim == 4


def _tag(keyword: str) -> int:
    return int(tag_for_keyword(keyword) or 0)


@pytest.mark.parametrize(
    "text", ["../../../etc/passwd", "$(reboot)", "<script>alert(1)</script>", "a\n\x1b[2Jb", "C:\\x"]
)
def test_text_in_tags_is_never_a_path_and_always_printable(tmp_path, text, monkeypatch):
    monkeypatch.chdir(tmp_path)
    keywords = ("SeriesDescription", "Modality", "FrameOfReferenceUID", "SeriesInstanceUID", "StudyInstanceUID")
    for keyword in keywords:
        folder = tmp_path / keyword
        images = make.series(STORED, "MR")
        make.save(images, folder)
        for path in folder.iterdir():
            content = path.read_bytes()
            group, element = divmod(_tag(keyword), 2**16)
            at = content.find(struct.pack("<HH", group, element))
            (length,) = struct.unpack_from("<H", content, at + 6)
            path.write_bytes(content[: at + 8] + text.encode()[:length].ljust(length) + content[at + 8 + length :])
        (only,) = list_series(folder, tmp_path).series
        printed = f"{only.name} {only.verdict} {only.series_uid} {only.study_uid} {only.frame_of_reference_uid}"
        assert printed.isprintable()
        if not only.verdict:
            volume = read_dicom_series(only)
            assert volume.meta["filename_or_obj"].isprintable()
            assert "/" not in volume.meta["filename_or_obj"]
    assert {path.name for path in tmp_path.iterdir()} == set(keywords)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("many", [False, True])
def test_random_damage_is_read_or_refused_and_never_crashes(tmp_path, seed, many):
    rng = np.random.default_rng(seed)
    images = make.series(STORED, "PT")
    folder = make.save([enhanced(images)] if many else images, tmp_path / "in")
    intact = {path: path.read_bytes() for path in folder.iterdir()}
    for _ in range(15):
        for path, content in intact.items():
            damaged = bytearray(content)
            for at in rng.integers(0, len(content), 6):
                damaged[at] = rng.integers(0, 256)
            path.write_bytes(damaged[: rng.integers(200, len(content))] if rng.random() < 0.2 else damaged)
        with suppress(MedfuseError):
            catalog = list_series(folder, tmp_path)
            for series in catalog.series:
                with suppress(MedfuseError):
                    assert read_dicom_series(series).ndim == 4
