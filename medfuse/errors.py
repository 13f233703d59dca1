"""Every error that medfuse raises on purpose.

The tree::

    MedfuseError
    ├── InputError               a file or volume that cannot be used
    │   ├── UnreadableFileError  missing, truncated, or not what its name says
    │   ├── GeometryError        an affine or grid that means nothing
    │   ├── IntensityError       NaN, infinite, constant or otherwise empty values
    │   └── OverlapError         the two volumes do not meet in space
    ├── OptionError              an option outside what is allowed
    ├── OutputError              the result cannot be written
    ├── NetworkError             an archive that is out of reach, refuses, or sends less than it has
    ├── WeightsError             a weights file that does not fit the network
    ├── DeviceError              an unknown device, or one out of memory
    ├── RegistrationError        no usable alignment was found
    └── MissingExtraError        an optional dependency that is not installed

Each message is one line: what is wrong, where, and what to do about it.
"""


class MedfuseError(Exception):
    """Root of every error that medfuse raises on purpose."""


class InputError(MedfuseError):
    """A file or volume that cannot be used."""


class UnreadableFileError(InputError):
    """A file that is missing, truncated, or not what its name says."""


class GeometryError(InputError):
    """An affine or a grid that means nothing."""


class IntensityError(InputError):
    """Values that are not finite, or carry no picture."""


class OverlapError(InputError):
    """Two volumes that do not meet in space."""


class OptionError(MedfuseError):
    """An option outside what is allowed."""


class OutputError(MedfuseError):
    """A result that cannot be written."""


class NetworkError(MedfuseError):
    """An archive that is out of reach, refuses, or sends less than it has."""


class WeightsError(MedfuseError):
    """A weights file that does not fit the network."""


class DeviceError(MedfuseError):
    """A device that is unknown, absent or out of memory."""


class RegistrationError(MedfuseError):
    """No usable alignment was found."""


class MissingExtraError(MedfuseError):
    """An optional dependency that is not installed."""
