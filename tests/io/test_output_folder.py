from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from full_disk import file_size_limit
from monai.data import MetaTensor

from medfuse.errors import IntensityError, OutputError
from medfuse.io import output_folder
from medfuse.io.output_folder import check_output, check_output_file, whole_file, whole_folder
from medfuse.io.transform_files import write_transform
from medfuse.io.volume_files import WRITABLE, write_volume


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def earlier_result(path: Path) -> Path:
    path.mkdir()
    (path / "run.json").write_text("{}")
    (path / "old.txt").write_text("old")
    return path


def write_and_fail(context, error: BaseException) -> None:
    """Begin an output and then raise ``error`` inside the block."""
    with context as place:
        (place / "a.txt" if place.is_dir() else place).write_text("new")
        raise error


def test_a_folder_appears_when_it_is_complete(tmp_path):
    target = tmp_path / "out"
    with whole_folder(target) as folder:
        assert folder.parent == tmp_path
        assert folder.name.startswith(".")
        (folder / "sub").mkdir()
        (folder / "sub" / "a.txt").write_text("a")
        assert not target.exists()
    assert everything(tmp_path) == {"out", "out/sub", "out/sub/a.txt"}


@pytest.mark.parametrize("error", [IntensityError("x"), OSError("x"), KeyboardInterrupt(), SystemExit(1)])
def test_an_error_leaves_nothing(tmp_path, error):
    with pytest.raises(type(error)):
        write_and_fail(whole_folder(tmp_path / "new" / "deep" / "out"), error)
    assert everything(tmp_path) == set()


def test_an_error_leaves_parents_that_were_there_or_are_used(tmp_path):
    (tmp_path / "there").mkdir()
    context = whole_folder(tmp_path / "there" / "new" / "out")
    context.__enter__()
    (tmp_path / "there" / "new" / "other").touch()
    error = ValueError("stop")
    assert not context.__exit__(ValueError, error, None)
    assert everything(tmp_path) == {"there", "there/new", "there/new/other"}


def test_permissions_follow_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        with whole_folder(tmp_path / "out"):
            pass
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o750


def test_an_existing_folder_is_refused_before_and_after_the_work(tmp_path):
    earlier_result(tmp_path / "out")
    with pytest.raises(OutputError, match="exists"), whole_folder(tmp_path / "out"):
        pytest.fail("the block ran")
    with pytest.raises(OutputError, match="exists"), whole_folder(tmp_path / "late"):
        earlier_result(tmp_path / "late")
    assert (tmp_path / "late" / "old.txt").read_text() == "old"
    assert not any(name.startswith(".") for name in os.listdir(tmp_path))


def test_overwrite_replaces_an_earlier_result_whole(tmp_path):
    earlier_result(tmp_path / "out")
    with whole_folder(tmp_path / "out", overwrite=True) as folder:
        (folder / "new.txt").write_text("new")
        assert (tmp_path / "out" / "old.txt").exists()
    assert everything(tmp_path) == {"out", "out/new.txt"}


def test_overwrite_keeps_the_earlier_result_if_the_new_one_fails(tmp_path):
    earlier_result(tmp_path / "out")
    before = everything(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(whole_folder(tmp_path / "out", overwrite=True), KeyboardInterrupt())
    assert everything(tmp_path) == before


@pytest.mark.parametrize("error", [OSError(errno.EIO, "broken"), KeyboardInterrupt()])
def test_overwrite_puts_the_earlier_result_back_if_the_swap_fails(tmp_path, monkeypatch, error):
    earlier_result(tmp_path / "out")
    before = everything(tmp_path)
    rename = Path.rename

    def failing(self, target):
        if self.name.endswith(".partial"):
            raise error
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(type(error)), whole_folder(tmp_path / "out", overwrite=True):
        pass
    assert everything(tmp_path) == before


def test_overwrite_takes_an_empty_folder_and_other_markers(tmp_path):
    (tmp_path / "empty").mkdir()
    with whole_folder(tmp_path / "empty", overwrite=True):
        pass
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mark").touch()
    with pytest.raises(OutputError, match=r"run\.json"):
        check_output(tmp_path / "mine", overwrite=True)
    assert check_output(tmp_path / "mine", overwrite=True, markers=("mark",)) == tmp_path / "mine"


def test_overwrite_never_takes_what_is_not_a_result(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").touch()
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(earlier_result(tmp_path / "out"))
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    before = everything(tmp_path)
    for name in ("photos", "file", "link", "dangling"):
        with pytest.raises(OutputError, match=name), whole_folder(tmp_path / name, overwrite=True):
            pytest.fail("the block ran")
    home = earlier_result(tmp_path / "home")
    monkeypatch.setenv("HOME", str(home))
    for folder in (home, tmp_path, "/"):
        with pytest.raises(OutputError):
            check_output(folder, overwrite=True)
    monkeypatch.chdir(tmp_path / "out")
    for folder in (".", "", "..", tmp_path / "out"):
        with pytest.raises(OutputError):
            check_output(folder, overwrite=True)
    assert everything(tmp_path) == before | {"home", "home/run.json", "home/old.txt"}


def test_overwrite_never_takes_the_inputs_along(tmp_path):
    result = earlier_result(tmp_path / "out")
    (tmp_path / "linked.nii").symlink_to(result / "old.txt")
    for source in (result / "old.txt", tmp_path / "linked.nii"):
        with pytest.raises(OutputError, match="inside"):
            check_output(result, overwrite=True, inputs=[source])
    check_output(result, overwrite=True, inputs=[tmp_path / "other.nii"])


def test_an_impossible_destination_is_refused_early(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file" / "out", "nul\0", tmp_path / ("x" * 300), "/proc/medfuse/out"):
        with pytest.raises(OutputError) as caught, whole_folder(path):
            pytest.fail("the block ran")
        assert "\n" not in str(caught.value)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(OutputError, match="no permission"):
        check_output(tmp_path / "out")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EIO])
def test_a_failure_to_create_the_folder_is_one_line(tmp_path, monkeypatch, code):
    def mkdir(self, *_args, **_kwargs):
        raise OSError(code, os.strerror(code), str(self))

    monkeypatch.setattr(Path, "mkdir", mkdir)
    with pytest.raises(OutputError, match="was not written"), whole_folder(tmp_path / "out"):
        pytest.fail("the block ran")


def test_a_failure_to_read_an_input_is_not_called_a_failure_to_write(tmp_path):
    with pytest.raises(FileNotFoundError), whole_folder(tmp_path / "out"):
        (tmp_path / "missing.nii").read_bytes()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_one_line_with_a_hint(tmp_path, code):
    with pytest.raises(OutputError, match="free some space") as caught, whole_folder(tmp_path / "out"):
        raise OSError(code, os.strerror(code))
    assert "\n" not in str(caught.value)
    assert everything(tmp_path) == set()


def test_a_real_limit_in_the_middle_of_a_folder_leaves_nothing(tmp_path):
    def fill():
        with whole_folder(tmp_path / "out") as folder:
            (folder / "small.txt").write_text("fits")
            (folder / "large.bin").write_bytes(b"x" * 20_000)

    with file_size_limit(10_000), pytest.raises(OutputError, match="free some space"):
        fill()
    assert everything(tmp_path) == set()


@pytest.mark.parametrize("extension", WRITABLE)
def test_a_real_limit_in_the_middle_of_a_volume_leaves_the_old_one(tmp_path, extension, capfd):
    noise = torch.from_numpy(np.random.default_rng(0).random((1, 30, 30, 30), dtype=np.float32))
    path = tmp_path / f"x{extension}"
    path.write_bytes(b"old")
    with file_size_limit(20_000), pytest.raises(OutputError) as caught:
        write_volume(MetaTensor(noise), path)
    assert "space" in str(caught.value)
    assert str(path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert everything(tmp_path) == {path.name}
    assert capfd.readouterr().err == ""


def test_a_real_limit_in_a_transform_leaves_nothing(tmp_path):
    with file_size_limit(20), pytest.raises(OutputError):
        write_transform(np.eye(4), tmp_path / "t")
    assert everything(tmp_path) == set()


@pytest.fixture
def tiny_disk(tmp_path):
    """Mount a real file system of 256 KiB, where the system allows it."""
    point = tmp_path / "disk"
    point.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=256k", "medfuse-test", str(point)]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        pytest.skip("mounting a small file system is not allowed here")
    yield point
    subprocess.run(["umount", str(point)], check=True, capture_output=True, timeout=10)


def test_a_real_full_disk_leaves_nothing(tiny_disk):
    def fill():
        with whole_folder(tiny_disk / "out") as folder, (folder / "large.bin").open("wb") as file:
            for _ in range(100):
                file.write(b"x" * 10_000)

    with pytest.raises(OutputError, match="no space left"):
        fill()
    assert everything(tiny_disk) == set()


@pytest.mark.parametrize("kind", ["whole_folder", "whole_file"])
def test_a_real_ctrl_c_leaves_nothing(tmp_path, kind):
    script = f"""
        import time
        from pathlib import Path
        from medfuse.io.output_folder import {kind}
        with {kind}(Path({str(tmp_path)!r}) / "out" / "x.txt") as place:
            (place / "a" if place.is_dir() else place).write_text("half")
            print("writing", flush=True)
            time.sleep(30)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "writing\n"
    assert any("partial" in name for name in everything(tmp_path))
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    assert process.returncode == -signal.SIGINT
    assert "KeyboardInterrupt" in errors
    assert everything(tmp_path) == set()


def test_a_file_appears_when_it_is_complete(tmp_path):
    target = tmp_path / "new" / "x.nii.gz"
    with whole_file(target) as path:
        assert path.name.endswith(".nii.gz")
        path.write_text("new")
        assert not target.exists()
    assert target.read_text() == "new"
    assert everything(tmp_path) == {"new", "new/x.nii.gz"}


def test_a_file_is_replaced_only_if_asked_and_only_at_the_end(tmp_path):
    target = tmp_path / "x.txt"
    target.write_text("old")
    with pytest.raises(OutputError, match="exists"), whole_file(target):
        pytest.fail("the block ran")
    with pytest.raises(KeyboardInterrupt):
        write_and_fail(whole_file(target, overwrite=True), KeyboardInterrupt())
    assert target.read_text() == "old"
    with whole_file(target, overwrite=True) as path:
        path.write_text("new")
    assert target.read_text() == "new"
    assert everything(tmp_path) == {"x.txt"}


def test_a_file_that_was_never_written_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="was not written"), whole_file(tmp_path / "x.txt"):
        pass


def test_a_file_replaces_neither_folder_nor_link(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "real").touch()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for name in ("folder", "link"):
        with pytest.raises(OutputError, match="not a regular file"):
            check_output_file(tmp_path / name, overwrite=True)


def test_a_folder_that_cannot_be_listed_is_refused(tmp_path, monkeypatch):
    earlier_result(tmp_path / "out")

    def listdir(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(output_folder.os, "listdir", listdir)
    with pytest.raises(OutputError, match="looked into"):
        check_output(tmp_path / "out", overwrite=True)
