"""What the infer tasks of this app have in common."""

from __future__ import annotations

from monailabel.interfaces.datastore import Datastore
from monailabel.interfaces.tasks.infer_v2 import InferTask, InferType


class ServedTask(InferTask):  # type: ignore[misc]
    """An infer task on stored volumes that gives no labels.

    Args:
        datastore: where the images are.
        description: what clients are told of it.
    """

    def __init__(self, datastore: Datastore, description: str) -> None:
        super().__init__(type=InferType.OTHERS, labels=None, dimension=3, description=description)
        self._datastore = datastore

    def is_valid(self) -> bool:
        """Tell that the task can be used: what it needs comes with medfuse."""
        return True
