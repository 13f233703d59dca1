"""Found transforms are found again by content, and never believed when damaged."""

from __future__ import annotations

import json
import logging
import multiprocessing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from made_volumes import OBLIQUE, cloud, made

from medfuse.options import RegistrationOptions
from medfuse.registration.register import Registration
from medfuse.transforms import register, registration_cache
from medfuse.transforms.register import register_to_fixed
from medfuse.transforms.registration_cache import RegistrationCache, registration_key

TRUST = RegistrationOptions(method="none")
FIXED, MOVING = made(cloud()), made(cloud(1), "CT")
KEY = "k" * 64


@pytest.fixture(scope="module")
def found() -> Registration:
    registration = register_to_fixed(FIXED, MOVING, TRUST).registration
    odd = registration.fixed_to_moving_ras + np.eye(4, k=3) / 3
    return replace(registration, rigid=replace(registration.rigid, fixed_to_moving_ras=odd, similarity_end=1 / 7))


def test_every_bit_comes_back(found: Registration, tmp_path: Path) -> None:
    cache = RegistrationCache(tmp_path / "new" / "cache")
    assert cache.load(KEY) is None
    cache.store(KEY, found)
    back = cache.load(KEY)
    assert back is not None
    assert (back.method, back.affine, back.deformation, back.verdict) == ("none", None, None, None)
    for name, value in vars(found.rigid).items():
        again = getattr(back.rigid, name)
        assert type(again) is type(value), name
        assert np.array_equal(again, value), name
    assert back.fixed_to_moving_ras.tobytes() == found.fixed_to_moving_ras.tobytes()
    assert [path.name for path in cache.folder.iterdir()] == [f"{KEY}.json"]


def test_a_second_run_does_not_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = register_to_fixed(FIXED, MOVING, TRUST, cache_dir=tmp_path)
    monkeypatch.setattr(register, "register", lambda *_args, **_named: pytest.fail("it was searched"))
    again = register_to_fixed(FIXED, MOVING, TRUST, cache_dir=tmp_path)
    assert torch.equal(again.moving.as_tensor(), first.moving.as_tensor())
    assert again.registration.rigid.similarity_end == first.registration.rigid.similarity_end


def test_whatever_the_transform_depends_on_makes_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    moved = OBLIQUE.copy()
    moved[0, 3] = np.nextafter(moved[0, 3], 100)
    other = cloud(1)
    other[3, 4, 5] = np.nextafter(other[3, 4, 5], 1e9)
    keys = [
        registration_key(FIXED, MOVING, TRUST),
        registration_key(MOVING, FIXED, TRUST),
        registration_key(FIXED, made(other, "CT"), TRUST),
        registration_key(FIXED, made(cloud(1).reshape(12, 14, 10), "CT"), TRUST),
        registration_key(FIXED, made(cloud(1), "CT", moved), TRUST),
        registration_key(made(cloud(), affine=moved), MOVING, TRUST),
        registration_key(FIXED, MOVING, RegistrationOptions()),
        registration_key(FIXED, MOVING, replace(TRUST, seed=1)),
        registration_key(FIXED, MOVING, TRUST, np.eye(4)),
        registration_key(FIXED, MOVING, TRUST, np.eye(4) + np.eye(4, k=3)),
        registration_key(FIXED, MOVING, TRUST, same_frame=True),
    ]
    monkeypatch.setattr(registration_cache.metadata, "version", lambda _name: "0")
    keys.append(registration_key(FIXED, MOVING, TRUST))
    monkeypatch.setattr(registration_cache, "read_config", lambda _name: {"bins": 3})
    keys.append(registration_key(FIXED, MOVING, TRUST))
    assert len(set(keys)) == len(keys)


def test_what_has_no_effect_makes_no_other_key() -> None:
    named = made(cloud(1), "PT", filename_or_obj="jane.nii.gz")
    assert registration_key(FIXED, named, TRUST) == registration_key(FIXED, MOVING, TRUST)
    by_file = replace(TRUST, transforms=("a.tfm",))
    assert registration_key(FIXED, MOVING, by_file, np.eye(4)) == registration_key(FIXED, MOVING, TRUST, np.eye(4))


def test_a_damaged_file_is_not_believed(found: Registration, tmp_path: Path) -> None:
    cache = RegistrationCache(tmp_path)
    cache.store(KEY, found)
    path = tmp_path / f"{KEY}.json"
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 11):
        path.write_bytes(whole[:length])
        assert cache.load(KEY) is None
    for place in range(len(whole)):
        if whole[place : place + 1].isdigit():
            path.write_bytes(whole[:place] + str((whole[place] - 47) % 10).encode() + whole[place + 1 :])
            changed = cache.load(KEY)
            assert changed is None or np.array_equal(changed.fixed_to_moving_ras, found.fixed_to_moving_ras)
    path.write_bytes(whole)
    assert cache.load(KEY) is not None
    path.rename(tmp_path / f"{'l' * 64}.json")
    assert cache.load("l" * 64) is None


@pytest.mark.parametrize("content", ["[]", "null", "{}", '{"key": 1}', "[" * 100_000, "\udcff", "x" * 2**21])
def test_other_content_is_not_believed(tmp_path: Path, content: str) -> None:
    (tmp_path / f"{KEY}.json").write_bytes(content.encode(errors="surrogateescape"))
    assert RegistrationCache(tmp_path).load(KEY) is None


@pytest.mark.parametrize("change", ["missing", "kind", "singular"])
def test_a_whole_file_of_another_version_is_not_believed(found: Registration, tmp_path: Path, change: str) -> None:
    cache = RegistrationCache(tmp_path)
    cache.store(KEY, found)
    path = tmp_path / f"{KEY}.json"
    stored = json.loads(path.read_text())
    if change == "missing":
        del stored["registration"]["rigid"]["moved_mm"]
    elif change == "kind":
        stored["registration"]["rigid"]["moved_mm"] = "far"
    else:
        stored["registration"]["rigid"]["fixed_to_moving_ras"][0] = [0.0, 0.0, 0.0, 0.0]
    stored["sha256"] = registration_cache._digest(stored["registration"])
    path.write_text(json.dumps(stored))
    assert cache.load(KEY) is None


def test_a_damaged_file_is_replaced(tmp_path: Path) -> None:
    key = registration_key(FIXED, MOVING, TRUST)
    (tmp_path / f"{key}.json").write_text("{")
    register_to_fixed(FIXED, MOVING, TRUST, cache_dir=tmp_path)
    assert RegistrationCache(tmp_path).load(key) is not None


def test_a_folder_that_cannot_be_written_loses_no_result(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("x")
    with caplog.at_level(logging.WARNING, "medfuse"):
        registered = register_to_fixed(FIXED, MOVING, TRUST, cache_dir=tmp_path / "file")
    assert registered.registration.rigid.starts_tried == 1
    (record,) = caplog.records
    assert "cannot be written" in record.getMessage()
    assert str(tmp_path) not in record.getMessage()


def store_often(folder: str, found: Registration) -> None:
    cache = RegistrationCache(folder)
    for _ in range(20):
        cache.store(KEY, found)
        assert cache.load(KEY) is not None


def test_several_processes_may_write_at_once(found: Registration, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=store_often, args=(str(tmp_path), found)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert [path.name for path in tmp_path.iterdir()] == [f"{KEY}.json"]
