"""Step 7 of 8, write: single values of a DICOM header, as text that its type allows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from pydicom import config
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue
from pydicom.valuerep import format_number_as_ds, validate_value

from medfuse.io.dicom_headers import DAMAGE, value_of


def valid_text(header: Dataset, keyword: str) -> str:
    """Return a single value as text; "" if it is absent, empty, not single, or not what its type allows."""
    value = value_of(header, keyword)
    return "" if value is None or isinstance(value, (MultiValue, list)) else _valid(value, dictionary_VR(keyword))


def valid_texts(header: Dataset, keyword: str) -> list[str]:
    """Return those of one or more values that their type allows, as texts."""
    value = value_of(header, keyword)
    values = list(value) if isinstance(value, (MultiValue, list)) else [value]
    texts = [_valid(one, dictionary_VR(keyword)) for one in values if one is not None]
    return [text for text in texts if text]


def _valid(value: object, kind: str) -> str:
    text = str(value).strip(" \0")
    try:
        validate_value(kind, text, config.RAISE)
    except DAMAGE:
        return ""
    return "" if "\\" in text else text


def copy_texts(source: Dataset, target: Dataset, keywords: Iterable[str], *, keep_empty: bool = False) -> None:
    """Copy single values that their types allow; what is missing becomes empty or stays away."""
    for keyword in keywords:
        text = valid_text(source, keyword)
        if text or keep_empty:
            setattr(target, keyword, text)


def decimal(value: float) -> str:
    """Return a number as the 16 characters that a decimal string may have."""
    return str(format_number_as_ds(float(value) + 0.0))  # no negative zero


def decimals(values: Sequence[float] | npt.NDArray[np.float64]) -> list[str]:
    """Return several numbers as decimal strings."""
    return [decimal(float(value)) for value in values]


def code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return an item of a code sequence."""
    item = Dataset()
    item.CodeValue = value
    item.CodingSchemeDesignator = scheme
    item.CodeMeaning = meaning
    return item
