"""Evaluation: the forms of the network whose speed is compared, each in a process of its own."""

from __future__ import annotations

import importlib.util
import multiprocessing
import tempfile
import time
from collections.abc import Callable
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn

from medfuse.errors import DeviceError, OptionError
from medfuse.extras import required
from medfuse.inferers.allocator import keep_freed_memory
from medfuse.memory import highest_mib
from medfuse.networks import build
from medfuse.networks.native import instruction_set, without_kernels

Fuse = Callable[[Tensor], Tensor]

PLAIN = "plain"
PLAIN_KEPT = "plain, memory kept"
PYTORCH = "PyTorch"
COMPILED = "torch.compile"
ONNX = "ONNX Runtime"
KERNELS = "kernels"
FAST = "cddfuse-fast"
FORMS = (PLAIN, PLAIN_KEPT, PYTORCH, COMPILED, ONNX, KERNELS, FAST)
_OF_A_FILE = (PLAIN, PLAIN_KEPT)
_MB_IN_A_MIB = 1.048576


class Measured(NamedTuple):
    """One call of a form.

    Attributes:
        seconds: on the wall's clock.
        cpu_seconds: of all its threads.
        peak_mb: the most memory that its process has had so far.
        fused: (N, 1, H, W).
    """

    seconds: float
    cpu_seconds: float
    peak_mb: float
    fused: Tensor


class Form:
    """A form of the network that waits in its own process to be timed.

    Args:
        name: one of ``FORMS``.
        threads: of the processor.
        plain: Python file with ``plain_form(network)``, for the plain forms.
    """

    def __init__(self, name: str, threads: int, plain: Path | None) -> None:
        self.name = name
        self._connection, other = multiprocessing.Pipe()
        arguments = (other, name, threads, plain)
        self._process = multiprocessing.get_context("spawn").Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        other.close()

    def measure(self, image: Tensor) -> Measured:
        """Time one call.

        Args:
            image: (N, 2, H, W).

        Raises:
            DeviceError: if the process ended, for lack of memory perhaps.
            MedfuseError: what it raised.
        """
        try:
            self._connection.send(image.numpy())
            answer = self._connection.recv()
        except (EOFError, OSError):
            msg = f"the process that times {self.name!r} ended, perhaps for lack of memory; try a smaller size"
            raise DeviceError(msg) from None
        if isinstance(answer, Exception):
            raise answer
        seconds, cpu_seconds, peak_mb, fused = answer
        return Measured(seconds, cpu_seconds, peak_mb, torch.from_numpy(fused))

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


def _serve(connection: Connection, name: str, threads: int, plain: Path | None) -> None:
    torch.set_num_threads(threads)
    try:
        fuse = _ready(name, threads, plain)
        while True:
            image = torch.from_numpy(connection.recv())
            wall, cpu = time.perf_counter(), time.process_time()
            with torch.inference_mode(), nullcontext() if name == KERNELS else without_kernels():
                fused = fuse(image)
            spent = time.perf_counter() - wall, time.process_time() - cpu
            connection.send((*spent, highest_mib() * _MB_IN_A_MIB, fused.numpy()))
    except EOFError:  # the other side is done
        pass
    except Exception as error:  # noqa: BLE001  # told to the process that asked
        connection.send(error)


def _ready(name: str, threads: int, plain: Path | None) -> Fuse:
    """Return a form, ready to be called."""
    if name != PLAIN:
        keep_freed_memory()
    network = build("cddfuse-fast" if name == FAST else "cddfuse", "default")
    if name in _OF_A_FILE:
        return _from_file(plain, network)
    network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if name == KERNELS and instruction_set() is None:
        msg = "the kernels were not built here; leave out the form 'kernels', or install medfuse with a C++ compiler"
        raise OptionError(msg)
    if name == COMPILED:
        return torch.compile(network)
    return _on_onnx(network, threads) if name == ONNX else network


def _from_file(path: Path | None, network: nn.Module) -> Fuse:
    """Load ``plain_form`` from a Python file that the user names."""
    spec = None if path is None else importlib.util.spec_from_file_location("plain_form_of_cddfuse", path)
    if path is None or not path.is_file() or spec is None or spec.loader is None:
        msg = "the plain forms need a Python file with plain_form(network); give --plain, or leave these forms out"
        raise OptionError(msg)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    made: Fuse = module.plain_form(network)
    return made


def _on_onnx(network: nn.Module, threads: int) -> Fuse:
    """Return the network as ONNX Runtime computes it; a session for each shape."""
    runtime = required("onnxruntime", "onnxruntime", "onnx")
    required("onnxscript", "onnxscript", "onnx")
    sessions: dict[tuple[int, ...], object] = {}

    def fuse(image: Tensor) -> Tensor:
        shape = tuple(image.shape)
        if shape not in sessions:
            options = runtime.SessionOptions()
            options.intra_op_num_threads = threads
            with tempfile.TemporaryDirectory() as folder:
                path = f"{folder}/network.onnx"
                torch.onnx.export(network, (image.clone(),), path, dynamo=True, verbose=False)
                sessions[shape] = runtime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        session = sessions[shape]
        names = [given.name for given in session.get_inputs()]  # type: ignore[attr-defined]
        (found,) = session.run(None, {names[0]: image.numpy()})  # type: ignore[attr-defined]
        return torch.from_numpy(found)

    return fuse
