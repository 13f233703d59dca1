"""What a user can choose: frozen dataclasses shared by the library, the command line and the report."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from medfuse.errors import OptionError

MODALITIES = ("MR", "CT", "PT", "NM")
PLANES = ("auto", "axial", "coronal", "sagittal")
METHODS = ("cddfuse", "cddfuse-fast", "unfusing", "max", "average", "laplacian")
AUTO_METHOD = "auto"
UNFUSING_METHOD = "unfusing"  # the one that can be undone
NOT_RESTORED = "none"
RESTORE = (NOT_RESTORED, "fixed", "moving", "both")
NOT_JUDGED = "none"
STILL = ("verify", NOT_JUDGED)
REGISTRATIONS = ("rigid", "affine", "deformable", *STILL)


def check_choice(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a value that is not one of those allowed.

    Raises:
        OptionError: naming the option, what is allowed and what came.
    """
    if value not in allowed:
        msg = f"{name} is {value!r}; choose one of {', '.join(allowed)}"
        raise OptionError(msg)


def check_draws(draws: int) -> None:
    """Refuse a number of draws that has no spread.

    Raises:
        OptionError: if there are fewer than two.
    """
    if draws < 2:
        msg = f"draws is {draws}; give a whole number of at least 2, for a spread needs two"
        raise OptionError(msg)


@dataclass(frozen=True)
class RegistrationOptions:
    """How the moving volume is brought onto the fixed one.

    Attributes:
        method: ``"rigid"`` searches six degrees of freedom; ``"affine"`` adds scale and shear to it, ``"deformable"``
            a smooth deformation. ``"verify"`` and ``"none"`` move nothing: the affines, or the transforms
            given, are taken as they are. Only ``"none"`` is not judged.
        preset: name of a file section in ``configs/registration.json``.
        seed: seed of the sampled voxels; the same seed gives the same transform.
        transforms: files of transforms that take the place of the headers: ``.tfm``, ``.txt`` or DICOM. The first takes
            fixed points on, the next takes them from there, the last one ends at the moving volume.
        landmarks: CSV file of points seen in both volumes, in place of ``transforms``.
        accept: go on with a registration that is judged wrong.
    """

    method: str = "rigid"
    preset: str = "head"
    seed: int = 0
    transforms: tuple[str | Path, ...] = ()
    landmarks: str | Path | None = None
    accept: bool = False

    def __post_init__(self) -> None:
        check_choice("registration", self.method, REGISTRATIONS)
        one = isinstance(self.transforms, str | Path)
        object.__setattr__(self, "transforms", (self.transforms,) if one else tuple(self.transforms))
        if self.transforms and self.landmarks is not None:
            msg = "transforms and landmarks both say where to set out from; give one of the two"
            raise OptionError(msg)

    @property
    def files(self) -> tuple[Path, ...]:
        """The files that the registration sets out from."""
        return tuple(Path(path) for path in (*self.transforms, self.landmarks) if path is not None)

    def without_folders(self) -> RegistrationOptions:
        """Return the same options with files by their names, for a record that may be shown to others."""
        landmarks = None if self.landmarks is None else Path(self.landmarks).name
        return replace(self, transforms=tuple(Path(path).name for path in self.transforms), landmarks=landmarks)


@dataclass(frozen=True)
class FusionOptions:
    """Everything that one run of the main job depends on, beside its two inputs.

    Attributes:
        output: folder to write, or None to return the result only.
        overwrite: replace ``output`` if it exists.
        fixed_modality: ``"MR"``, ``"CT"``, ``"PT"``, ``"NM"``, or None to find out.
        moving_modality: the same for the moving volume.
        fixed_window: intensity window of the fixed volume: a preset's name, ``"LOW,HIGH"``, or ``"auto"``.
        moving_window: the same for the moving volume.
        registration: how to register.
        restore: which volumes a network takes the noise out of before they are fused, in their own units: ``"none"``,
            ``"fixed"``, ``"moving"`` or ``"both"``. They are registered, and written, as they are.
        plane: ``"axial"``, ``"coronal"``, ``"sagittal"``, or ``"auto"`` for the plane of finest spacing.
        method: ``"cddfuse"``, ``"cddfuse-fast"``, ``"unfusing"``, one of the trivial rules ``"max"``, ``"average"``,
            ``"laplacian"``, or ``"auto"`` for the network that suits the device.
        weights: ``"default"`` for those shipped, or the path of a weights file.
        device: ``"auto"``, or a name that torch knows, such as ``"cpu"`` or ``"cuda:0"``.
        keep_remainder: write beside the fused volume what it lacks of both sources, so that ``unfuse_folder`` gives
            them back; with ``method="unfusing"`` only.
        slices_per_batch: how many slices of up to 256 x 256 pixels go through the network at once; fewer larger ones.
        palette: name of the DICOM color palette for PET and SPECT.
        fixed_series: which DICOM series is fixed: its UID, its number in ``medfuse series``, or its modality.
        moving_series: which one is moving.
        write_dicom: write the result as DICOM too, if the fixed volume came from DICOM.
        deidentify: leave out of what is written as DICOM who the patient is.
        repeatable_uids: make UIDs from the inputs, so that equal runs write equal DICOM.
    """

    output: Path | None = None
    overwrite: bool = False
    fixed_modality: str | None = None
    moving_modality: str | None = None
    fixed_window: str = "auto"
    moving_window: str = "auto"
    registration: RegistrationOptions = field(default_factory=RegistrationOptions)
    restore: str = NOT_RESTORED
    plane: str = "auto"
    method: str = AUTO_METHOD
    weights: str = "default"
    device: str = "auto"
    keep_remainder: bool = False
    slices_per_batch: int = 4
    palette: str = "hot_iron"
    fixed_series: str | None = None
    moving_series: str | None = None
    write_dicom: bool = True
    deidentify: bool = False
    repeatable_uids: bool = False

    def __post_init__(self) -> None:
        check_choice("plane", self.plane, PLANES)
        check_choice("restore", self.restore, RESTORE)
        check_choice("method", self.method, (AUTO_METHOD, *METHODS))
        for modality in (self.fixed_modality, self.moving_modality):
            if modality is not None:
                check_choice("modality", modality, MODALITIES)
        if self.slices_per_batch < 1:
            msg = f"slices_per_batch is {self.slices_per_batch}; give a whole number of at least 1"
            raise OptionError(msg)

    @property
    def restored_roles(self) -> tuple[str, ...]:
        """Which of ``"fixed"`` and ``"moving"`` are restored."""
        return tuple(role for role in ("fixed", "moving") if self.restore in (role, "both"))


@dataclass(frozen=True)
class UnfusingOptions:
    """What the undoing of a fusion depends on beside the folder that ``medfuse fuse`` wrote.

    Attributes:
        overwrite: replace the output if it exists.
        weights: those that fused: ``"default"``, or the path of a weights file.
        device: ``"auto"``, or a name that torch knows.
        normalized: leave the sources in [0, 1], as the network saw them, and not in their own units.
        without_remainder: draw pairs of sources that the fused volume alone allows.
        draws: how many.
        seed: of what is drawn.
    """

    overwrite: bool = False
    weights: str = "default"
    device: str = "auto"
    normalized: bool = False
    without_remainder: bool = False
    draws: int = 16
    seed: int = 0

    def __post_init__(self) -> None:
        check_draws(self.draws)
