"""Each method finds a small offset, in the right direction; and every trial is judged and timed alike."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
import torch
from skipping import skip_or_fail

from medfuse.errors import MissingExtraError, RegistrationError
from medfuse.evaluation import registration_rivals, registration_textbook, registration_work
from medfuse.evaluation.registration_found import Found
from medfuse.evaluation.registration_options import REGISTRATION_METHODS, TEXTBOOK, Cell
from medfuse.evaluation.registration_rivals import RIVALS, check_installed, register_medfuse
from medfuse.evaluation.registration_subjects import PhantomHead, Study
from medfuse.evaluation.registration_trials import Trial, draw_rigid
from medfuse.evaluation.registration_work import Task, do_trial
from medfuse.metrics.alignment import target_registration_error_mm

OFFSET = Cell(15, 12)


@pytest.fixture(scope="module")
def offset() -> Study:
    """Return a lopsided object on an oblique grid, seen by another grid, and turned and shifted a little."""
    turn = draw_rigid(np.random.default_rng(8), Cell(30, 20), np.zeros(3))
    true = draw_rigid(np.random.default_rng(3), OFFSET, np.array([0.0, 10.0, 5.0]))
    fixed_affine = turn @ _grid((3.0, 3.0, 3.5), (52, 60, 44))
    moving_affine = true @ turn @ _grid((-3.4, 3.0, 3.0), (46, 60, 52))
    points = np.random.default_rng(4).normal(0.0, 35.0, (400, 3))
    return Study(
        _object(fixed_affine, np.eye(4), (52, 60, 44)),
        fixed_affine,
        _object(moving_affine, true, (46, 60, 52)),
        moving_affine,
        true,
        points,
    )


def _grid(spacing: tuple[float, float, float], shape: tuple[int, int, int]) -> np.ndarray:
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(shape) - 1) / 2)
    return affine


def _object(affine: np.ndarray, pose: np.ndarray, shape: tuple[int, int, int]) -> torch.Tensor:
    """Return an ellipsoid with four spots of its own brightness, seen on a grid."""
    index = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), axis=-1)
    to_object = np.linalg.inv(pose) @ affine
    points = index @ to_object[:3, :3].T + to_object[:3, 3]
    radius = np.linalg.norm(points / (55.0, 70.0, 60.0), axis=-1)
    values = 400.0 / (1.0 + np.exp((radius - 1.0) * 25.0))
    for center, width, height in (
        ((25, 20, 10), 14.0, 500.0),
        ((-20, -30, 15), 18.0, -300.0),
        ((5, 35, -25), 11.0, 700.0),
        ((-25, 15, 30), 9.0, 600.0),
    ):
        values += height * np.exp(-(np.linalg.norm(points - np.array(center), axis=-1) ** 2) / (2 * width**2))
    return torch.from_numpy(values.astype(np.float32))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Let ANTs, which reads this when it first works, use one thread as in the benchmark."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS", "1")
        yield


def need(method: str) -> None:
    try:
        check_installed([method])
    except MissingExtraError as error:
        skip_or_fail(str(error))


def error_mm(found: np.ndarray, study: Study) -> float:
    return target_registration_error_mm(found, study.fixed_to_moving_ras, study.points_mm).mean_mm


@pytest.mark.parametrize("method", [name for name in REGISTRATION_METHODS if name != TEXTBOOK])
def test_a_small_offset_is_found(method: str, offset: Study) -> None:
    need(method)
    assert error_mm(np.eye(4), offset) > 4.0
    assert error_mm(RIVALS[method](offset, 1, 1).fixed_to_moving_ras, offset) < 1.0


def test_the_textbook_finds_what_is_far_away(offset: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first steps are as long as its coarsest voxels, so on a small grid it cannot come nearer than these."""
    monkeypatch.setattr(registration_textbook, "_SAMPLED", 0.5)  # 1 % of so small a grid are 20 voxels
    shift = np.eye(4)
    shift[:3, 3] = 100.0, -200.0, 200.0
    away = dataclasses.replace(
        offset,
        moving_affine_ras=shift @ offset.moving_affine_ras,
        fixed_to_moving_ras=shift @ offset.fixed_to_moving_ras,
    )
    assert error_mm(np.eye(4), away) > 290.0
    assert error_mm(RIVALS[TEXTBOOK](away, 1, 1).fixed_to_moving_ras, away) < 45.0


@pytest.mark.parametrize("method", ["textbook", "elastix", "ants"])
def test_a_seed_gives_the_same_transform_again(method: str, offset: Study) -> None:
    need(method)
    first, again = (RIVALS[method](offset, 7, 1).fixed_to_moving_ras.tobytes() for _ in range(2))
    assert first == again


def test_what_medfuse_says_of_its_result_is_kept(offset: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    @dataclasses.dataclass
    class Verdict:
        grade: str = "warn"
        estimated_error_mm: float = 2.5

    @dataclasses.dataclass
    class Result:
        fixed_to_moving_ras: np.ndarray
        similarity_end: float = 0.5
        agreement_mm: float | None = None
        best_start: str = "header"
        verdict: Verdict = dataclasses.field(default_factory=Verdict)

    monkeypatch.setattr(registration_rivals, "register_rigid", lambda *_: Result(np.eye(4)))
    found = register_medfuse(offset, 1, 1)
    assert found.figures == {"similarity_end": 0.5, "verdict.estimated_error_mm": 2.5}
    assert found.verdict == "warn"


def test_a_missing_baseline_is_said_before_anything_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration_rivals, "_NEEDS", {"ants": ("ants_is_not_here", "antspyx", "baselines")})
    check_installed(["medfuse", "textbook"])
    with pytest.raises(MissingExtraError, match=r"antspyx is not installed; run: pip install 'medfuse\[baselines\]'"):
        check_installed(["ants"])


@pytest.fixture
def rivals(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return what puts other methods in place of the real ones."""
    registration_work._warm_up.cache_clear()

    def put(**methods: Callable[[Study, int, int], Found]) -> None:
        monkeypatch.setattr(registration_work, "RIVALS", methods)

    return put


def task(*methods: str, number: int = 0) -> Task:
    return Task(Trial("MR-CT", Cell(20, 20), number, 0, PhantomHead(0, "MR_T1", "CT")), methods, 1)


def test_errors_are_measured_against_what_was_planted(rivals: Callable[..., None]) -> None:
    def off(study: Study, _seed: int, _threads: int) -> Found:
        shift = np.eye(4)
        shift[:3, 3] = 3.0, 0.0, 4.0
        return Found(shift @ study.fixed_to_moving_ras, {"estimated_mm": 4.0}, "warn")

    rivals(off=off, still=lambda *_: Found(np.eye(4)))
    off_row, still_row = do_trial(task("off", "still"))
    assert off_row.error_mm == pytest.approx(5.0)
    assert off_row.scores["error_max_mm"] == pytest.approx(5.0)
    assert off_row.scores["estimated_mm"] == 4.0
    assert off_row.verdict == "warn"
    assert still_row.error_mm == still_row.scores["start_mm"] > 0.0
    assert (still_row.pair, still_row.name, still_row.trial, still_row.case) == ("MR-CT", "20,20", 0, "head 0")


@pytest.mark.parametrize("error", [RegistrationError("no pose\nwas found"), RuntimeError("no pose was found")])
def test_a_method_that_gives_up_is_infinitely_far_off(rivals: Callable[..., None], error: Exception) -> None:
    def give_up(*_: object) -> Found:
        raise error

    rivals(quitter=give_up, lost=lambda *_: Found(np.full((4, 4), np.nan)))
    quitter, lost = do_trial(task("quitter", "lost"))
    assert quitter.error_mm == lost.error_mm == np.inf
    assert quitter.failure == "no pose was found"
    assert "not finite" in lost.failure
    assert "error_mm" not in quitter.scores


def test_an_error_in_the_code_is_not_taken_for_giving_up(rivals: Callable[..., None]) -> None:
    def broken(*_: object) -> Found:
        raise KeyError

    rivals(broken=broken)
    with pytest.raises(KeyError):
        do_trial(task("broken"))


def test_methods_take_turns_in_going_first_and_see_the_same(rivals: Callable[..., None]) -> None:
    seen: list[tuple[str, int, bytes]] = []

    def method(name: str) -> Callable[[Study, int, int], Found]:
        def register(study: Study, seed: int, _threads: int) -> Found:
            seen.append((name, seed, study.moving_affine_ras.tobytes()))
            return Found(np.eye(4))

        return register

    rivals(a=method("a"), b=method("b"))
    do_trial(task("a", "b"))  # warms both up
    for number, order in ((0, "ab"), (1, "ba"), (2, "ab")):
        seen.clear()
        do_trial(task("a", "b", number=number))
        assert [name for name, _, _ in seen] == list(order)
        assert len({rest for _, *rest in map(tuple, seen) for rest in [tuple(rest)]}) == 1


def test_the_first_call_of_a_method_is_not_timed(rivals: Callable[..., None]) -> None:
    calls = itertools.count()

    def lazy(study: Study, *_: object) -> Found:
        if next(calls) == 0:
            time.sleep(0.3)
        return Found(study.fixed_to_moving_ras)

    rivals(lazy=lazy)
    (row,) = do_trial(task("lazy"))
    assert row.scores["seconds"] < 0.2


def test_processor_time_counts_work_and_not_sleep(rivals: Callable[..., None]) -> None:
    def sleep(*_: object) -> Found:
        time.sleep(0.3)
        return Found(np.eye(4))

    def work(*_: object) -> Found:
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
        return Found(np.eye(4))

    rivals(sleep=sleep, work=work)
    slept, worked = do_trial(task("sleep", "work"))
    assert slept.scores["seconds"] >= 0.3
    assert slept.scores["cpu_seconds"] < 0.15
    assert worked.scores["cpu_seconds"] > 0.25
