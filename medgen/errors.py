"""Everything a person can fix: one line of text, and the exit code the command ends with."""


class MedgenError(Exception):
    """Base of every error that medgen raises on purpose.

    The message is one line: what is wrong, with which file or option, and what to do about it.
    """

    exit_code = 1


class UsageError(MedgenError):
    """Options or a configuration that contradict each other, or that nothing can satisfy."""

    exit_code = 2


class SomeFailedError(MedgenError):
    """A batch in which some items failed and the others are done."""

    exit_code = 3


class InputError(MedgenError):
    """A file that cannot be read, is not supported, or says impossible things."""

    exit_code = 4


class GeometryError(InputError):
    """An affine, spacing or set of slices that cannot describe a volume."""


class OutOfRangeError(InputError):
    """A readable image outside what the model was trained on."""


class ModelError(MedgenError):
    """A model folder that is missing, damaged or made for something else."""

    exit_code = 5


class SafetyError(MedgenError):
    """Something medgen could do and refuses to do."""

    exit_code = 6


class OutputError(MedgenError):
    """A result that cannot be written: permission, disk full, or a file in the way."""

    exit_code = 7
