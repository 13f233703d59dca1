"""Bundles: inference as a Python workflow, for programs that want the fused volume and not a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from monai.bundle import PythonicWorkflow
from monai.data import MetaTensor

_FILE = "inference.json"


class FusionWorkflow(PythonicWorkflow):  # type: ignore[misc]
    """Fuse two volumes with a bundle, as its ``inference.json`` says; ``run`` returns the fused volume.

    MONAI's properties (``network_def``, ``inferer``, ``preprocessing`` ...) are those of the config.

    Args:
        bundle: the folder of a bundle, see ``write_bundle``.
        **overrides: values by the keys of the config, such as ``fixed`` and ``moving``.
    """

    def __init__(self, bundle: str | Path, **overrides: Any) -> None:
        configs = Path(bundle) / "configs"
        super().__init__(
            workflow_type="inference",
            config_file=str(configs / _FILE),
            meta_file=str(configs / "metadata.json"),
            **{"bundle_root": str(bundle), **overrides},
        )

    def initialize(self, *args: Any, **kwargs: Any) -> None:
        """Build everything and load the weights."""
        super().initialize(*args, **kwargs)
        self.parser.parse(reset=True)
        self._evaluate("initialize")

    def run(self, *args: Any, **kwargs: Any) -> MetaTensor:
        """Fuse, write what the config says, and return the fused volume (1, X, Y, Z) of the last case."""
        self._evaluate("run")
        return cast(MetaTensor, self.evaluator.state.output[-1]["pred"])

    def finalize(self, *args: Any, **kwargs: Any) -> None:
        """Nothing is left to do."""

    def get_bundle_root(self) -> Any:
        """Return the folder of the bundle."""
        return self._parsed("bundle_root")

    def get_device(self) -> Any:
        """Return where the network runs."""
        return self._parsed("device")

    def get_dataset_dir(self) -> Any:
        """Return where the volumes lie, unless they are named one by one."""
        return self._parsed("dataset_dir")

    def get_dataset(self) -> Any:
        """Return the dataset of the pairs."""
        return self._parsed("dataset")

    def get_evaluator(self) -> Any:
        """Return the engine."""
        return self._parsed("evaluator")

    def get_network_def(self) -> Any:
        """Return the network."""
        return self._parsed("network_def")

    def get_inferer(self) -> Any:
        """Return what takes the network over a volume."""
        return self._parsed("inferer")

    def get_preprocessing(self) -> Any:
        """Return what is done before the network."""
        return self._parsed("preprocessing")

    def get_postprocessing(self) -> Any:
        """Return what is done after it."""
        return self._parsed("postprocessing")

    def _parsed(self, name: str) -> Any:
        return self.parser.get_parsed_content(name)

    def _evaluate(self, name: str) -> None:
        for index in range(len(self.parser[name])):
            self.parser.get_parsed_content(f"{name}::{index}")
            self.parser.ref_resolver.remove_resolved_content(f"{name}::{index}")
