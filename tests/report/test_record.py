"""The record holds what JSON can hold, and hashes that are true."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from made_volumes import cloud, made

from medfuse.networks import CDDFuse, CDDFuseConfig, save_weights
from medfuse.options import FusionOptions, RegistrationOptions
from medfuse.pipeline import fuse_volumes
from medfuse.report.record import DISCLAIMER, file_hash, peak_memory_mib, write_record
from medfuse.result import FusionResult

TRUST = RegistrationOptions(method="none")


@pytest.fixture(scope="module")
def result() -> FusionResult:
    options = FusionOptions(method="average", registration=TRUST, fixed_window="full")
    return fuse_volumes(made(cloud(), "MR"), made(cloud(1), "CT", units="HU"), options)


def test_the_record_survives_json(result: FusionResult) -> None:
    assert json.loads(json.dumps(result.record, allow_nan=False)) == result.record


def test_the_record_repeats_the_run(result: FusionResult) -> None:
    options = dict(result.record["options"])
    assert options["output"] is None
    registration = RegistrationOptions(**options.pop("registration"))
    assert FusionOptions(**options, registration=registration) == FusionOptions(
        method="average", registration=TRUST, fixed_window="full"
    )


def test_a_volume_in_memory_has_no_file(result: FusionResult) -> None:
    described = result.record["inputs"]["fixed"]
    assert described["file"] is None
    assert described["sha256"] is None
    values = np.ascontiguousarray(result.fixed.numpy())
    assert described["values_sha256"] == hashlib.sha256(values.tobytes()).hexdigest()
    assert described["shape"] == [14, 12, 10]
    assert described["value_range"] == [0.0, 100.0]
    assert np.array_equal(described["affine_ras"], result.fixed.affine)


def test_versions_and_warning_are_there(result: FusionResult) -> None:
    assert result.record["versions"]["torch"] == torch.__version__
    assert result.record["disclaimer"] == DISCLAIMER
    assert "Not a medical device" in DISCLAIMER


def test_the_weights_are_named_and_hashed(tmp_path: Path) -> None:
    weights = tmp_path / "tiny.safetensors"
    save_weights(CDDFuse(CDDFuseConfig(channels=16, heads=2, blocks=1, detail_nodes=1)), weights, {})
    options = FusionOptions(registration=TRUST, weights=str(weights))
    record = fuse_volumes(made(cloud(), "MR"), made(cloud(1), "CT"), options).record
    assert record["method"] == {"name": "cddfuse", "weights": weights.name, "weights_sha256": file_hash(weights)}


def test_outputs_are_listed_without_the_record_itself(tmp_path: Path) -> None:
    (tmp_path / "b.bin").write_bytes(b"b" * 3_000_000)
    (tmp_path / "a.txt").write_text("a")
    record = {"notes": ["größer"]}
    write_record(record, tmp_path)
    written = json.loads((tmp_path / "run.json").read_text(encoding="utf-8"))
    assert written == record
    assert list(written["outputs"]) == ["a.txt", "b.bin"]
    assert written["outputs"]["b.bin"] == {"bytes": 3_000_000, "sha256": hashlib.sha256(b"b" * 3_000_000).hexdigest()}


def test_memory_is_counted_in_mib() -> None:
    before = peak_memory_mib(torch.device("cpu"))["host"]
    block = bytearray(1 << 28)
    block[::4096] = bytes([1]) * len(block[::4096])
    after = peak_memory_mib(torch.device("cpu"))["host"]
    assert 50 < before <= after < before + 300
