"""The text header of MetaImage and NRRD, read on its own before the voxels are.

The sizes that a header declares are compared with the bytes that exist, so that no small file makes the
reader allocate a large volume, and a MetaImage may only point to a data file in its own folder.
"""

from __future__ import annotations

import logging
import math
import zlib
from dataclasses import dataclass, field
from pathlib import Path

from medfuse.errors import InputError, UnreadableFileError
from medfuse.io.checks import check_is_file, shown

log = logging.getLogger(__name__)

_LONGEST_HEADER = 2**16
_ANATOMICAL_SPACES = ("RAS", "LAS", "LPS")
_META_BYTES = {
    **{"MET_CHAR": 1, "MET_UCHAR": 1, "MET_SHORT": 2, "MET_USHORT": 2, "MET_INT": 4, "MET_UINT": 4},
    **{"MET_LONG": 4, "MET_ULONG": 4, "MET_FLOAT": 4, "MET_LONG_LONG": 8, "MET_ULONG_LONG": 8},
    "MET_DOUBLE": 8,
}
_META_TRUE = ("true", "t", "1")
_META_MODALITY = {"MET_MOD_CT": "CT", "MET_MOD_MR": "MR", "MET_MOD_NM": "NM"}
_NRRD_BYTES = {
    **dict.fromkeys(("signed char", "int8", "int8_t", "uchar", "unsigned char", "uint8", "uint8_t"), 1),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), 2),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), 2),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t", "uint", "unsigned int"), 4),
    **dict.fromkeys(("uint32", "uint32_t", "float"), 4),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long"), 8),
    **dict.fromkeys(("signed long long int", "unsigned long long int", "double"), 8),
    **dict.fromkeys(("int64", "int64_t", "ulonglong", "unsigned long long", "uint64", "uint64_t"), 8),
}
_DEFLATE_RATIO = 1032
_CHUNK = 2**20
_NRRD_SCALAR_KINDS = ("domain", "space", "time", "scalar", "none", "???")


@dataclass(frozen=True)
class TextHeader:
    """What a text header declares, as far as it is needed before the voxels are read.

    Attributes:
        shape: elements along each axis, fastest first.
        bytes_per_value: size of one stored value.
        most_bytes: the most bytes of voxels that the existing data could give.
        packed: the file that holds the voxels and where they start in it, if they are compressed.
        meta: metadata worth keeping (``modality``).
    """

    shape: tuple[int, ...]
    bytes_per_value: int
    most_bytes: int
    packed: tuple[Path, int] | None = None
    meta: dict[str, object] = field(default_factory=dict)

    @property
    def declared_bytes(self) -> int:
        """Return how many bytes the voxels take when unpacked."""
        return math.prod(self.shape) * self.bytes_per_value

    def check_size(self, name: str) -> None:
        """Refuse a header that declares more voxels than its data can hold.

        Raises:
            UnreadableFileError: if it does.
        """
        if self.declared_bytes > self.most_bytes:
            msg = (
                f"{name} is truncated: the header declares {self.declared_bytes} bytes of voxels, more than "
                "the file can hold; copy or download it again"
            )
            raise UnreadableFileError(msg)


def read_text_header(path: Path, file_size: int) -> TextHeader:
    """Read the header of an ``.mha``, ``.mhd`` or ``.nrrd`` file.

    Raises:
        UnreadableFileError: if it is not what its name says, or not understood.
        InputError: if it declares vectors or colors.
    """
    with path.open("rb") as file:
        start = file.read(_LONGEST_HEADER)
    try:
        parse = _nrrd if path.suffix.lower() == ".nrrd" else _meta_image
        return parse(path, start, file_size)
    except (KeyError, IndexError, ValueError) as error:
        msg = f"{shown(path)}: the header is damaged (at {_plain(str(error))}); convert the file again"
        raise UnreadableFileError(msg) from error


def check_packed(header: TextHeader, name: str) -> None:
    """Refuse compressed voxels that are damaged: ITK's readers do not look at the checksum.

    Raises:
        UnreadableFileError: if the stream ends early, is too short, or its checksum does not agree.
    """
    if header.packed is None:
        return
    path, start = header.packed
    unpacker, unpacked = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32), 0
    try:
        with path.open("rb") as file:
            file.seek(start)
            while not unpacker.eof and (chunk := unpacker.unconsumed_tail or file.read(_CHUNK)):
                unpacked += len(unpacker.decompress(chunk, _CHUNK))
        unpacked += len(unpacker.flush())
    except zlib.error as error:
        msg = f"{name} is damaged ({error}); copy or download it again"
        raise UnreadableFileError(msg) from error
    if not unpacker.eof or unpacked < header.declared_bytes:
        msg = f"{name} is truncated: its compressed voxels end early; copy or download it again"
        raise UnreadableFileError(msg)


def _meta_image(path: Path, start: bytes, file_size: int) -> TextHeader:
    name = shown(path)
    fields, length = _meta_fields(start, name)
    if "ndims" not in fields or "elementdatafile" not in fields:
        msg = f"{name} is not a MetaImage, as its name says; check the file"
        raise UnreadableFileError(msg)
    if fields.get("binarydata", "true").lower() not in _META_TRUE:
        msg = f"{name} keeps its voxels as text; save it in binary form"
        raise UnreadableFileError(msg)
    kind = fields["elementtype"].upper()
    if int(fields.get("elementnumberofchannels", "1")) != 1 or "ARRAY" in kind:
        raise _vectors(name)
    if not fields.keys() & {"transformmatrix", "rotation", "orientation", "offset", "position", "origin"}:
        _warn_unoriented(path)
    data_file = fields["elementdatafile"]
    data_size = _data_size(path, data_file, file_size)
    each, ratio, packed = _META_BYTES[kind], 1, None
    if fields.get("compresseddata", "false").lower() in _META_TRUE:
        ratio = _DEFLATE_RATIO
        if int(fields.get("headersize", "0")) == 0:
            packed = (path, length) if data_file.upper() == "LOCAL" else (path.parent / data_file, 0)
    shape = tuple(int(n) for n in fields["dimsize"].split())[: int(fields["ndims"])]
    modality = _META_MODALITY.get(fields.get("modality", ""))
    return TextHeader(shape, each, data_size * ratio, packed, {"modality": modality} if modality else {})


def _meta_fields(start: bytes, name: str) -> tuple[dict[str, str], int]:
    """Return the fields of a MetaImage header, keys in small letters, and the header's length in bytes."""
    fields: dict[str, str] = {}
    length = 0
    for line in start.split(b"\n"):
        length += len(line) + 1
        key, equals, value = line.decode("latin-1").partition("=")
        if not equals or not key.strip().isalnum():
            break
        _put(fields, key, value, name)
        if key.strip().lower() == "elementdatafile":
            break
    return fields, length


def _data_size(path: Path, data_file: str, file_size: int) -> int:
    """Return the size of the voxels' file, which must be the header's own or a neighbor of it."""
    if data_file.upper() == "LOCAL":
        return file_size
    if data_file.upper().startswith("LIST") or "%" in data_file:
        msg = f"{shown(path)} lists several data files; save it as one .mha file"
        raise UnreadableFileError(msg)
    strange = not data_file.isprintable() or any(c in data_file for c in "/\\:")
    if strange or data_file in ("", ".", ".."):
        msg = f"{shown(path)} points to a data file outside its folder; save it as one .mha file"
        raise UnreadableFileError(msg)
    return check_is_file(path.parent / data_file)


def _nrrd(path: Path, start: bytes, file_size: int) -> TextHeader:
    name = shown(path)
    if not start.startswith(b"NRRD000"):
        msg = f"{name} is not NRRD, as its name says; check the file"
        raise UnreadableFileError(msg)
    fields, length = _nrrd_fields(start, name)
    if "data file" in fields or "datafile" in fields:
        msg = f"{name} keeps its voxels in another file; save it as one .nrrd file"
        raise UnreadableFileError(msg)
    if any(kind.lower() not in _NRRD_SCALAR_KINDS for kind in fields.get("kinds", "").split()):
        raise _vectors(name)
    space = fields.get("space", "").lower()
    if space.upper() not in _ANATOMICAL_SPACES and not space.endswith("-superior"):
        _warn_unoriented(path)
    each, encoding = _NRRD_BYTES[fields["type"].lower()], fields["encoding"].lower()
    ratios = {"raw": 1, "hex": 1, "gzip": _DEFLATE_RATIO, "gz": _DEFLATE_RATIO}
    ratios.update(dict.fromkeys(("ascii", "text", "txt"), each))
    plain = encoding not in ("gzip", "gz") or "byte skip" in fields or "line skip" in fields
    shape = tuple(int(n) for n in fields["sizes"].split())
    return TextHeader(shape, each, file_size * ratios[encoding], None if plain else (path, length))


def _nrrd_fields(start: bytes, name: str) -> tuple[dict[str, str], int]:
    """Return the fields of an NRRD header, keys in small letters, and the header's length in bytes."""
    fields: dict[str, str] = {}
    lines = start.split(b"\n")
    length = len(lines[0]) + 1
    for line in lines[1:]:
        length += len(line) + 1
        text = line.decode("latin-1").strip()
        if not text:
            break
        key, colon, value = text.partition(":")
        if colon and not text.startswith("#") and not value.startswith("="):
            _put(fields, key, value, name)
    return fields, length


def _put(fields: dict[str, str], key: str, value: str, name: str) -> None:
    """Note a field; readers disagree on which of two equal keys counts, so there may be only one."""
    key = key.strip().lower()
    if key in fields:
        msg = f"{name}: the header states {_plain(key)!r} twice; convert the file again"
        raise UnreadableFileError(msg)
    fields[key] = value.strip()


def _vectors(name: str) -> InputError:
    return InputError(f"{name} holds vectors or colors; give a volume of plain numbers")


def _warn_unoriented(path: Path) -> None:
    log.warning("%s has no orientation in its header: left and right are a guess", shown(path.name))


def _plain(text: str) -> str:
    """Shorten and clean text from a file before it is shown."""
    return "".join(c for c in text if c.isprintable())[:60]
