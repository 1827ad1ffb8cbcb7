"""Studies that cannot be read are left out and told, as long as they are few."""

import logging
from dataclasses import dataclass

from medgen.errors import InputError, MedgenError, OutputError

LOG = logging.getLogger(__name__)


@dataclass
class Unreadable:
    """Counts what is left out.

    Attributes:
        studies: How many there are.
        max_bad: Share of them that may be left out.
        bad: How many have been.
    """

    studies: int
    max_bad: float
    bad: int = 0

    def leave_out(self, name: str, number: int, error: MedgenError) -> None:
        """Tell that a study is left out.

        Args:
            name: Of the study.
            number: How many have been tried, this one included.
            error: Why.

        Raises:
            InputError: If that is one too many.
            OutputError: If it was not for the study, but for a cache that cannot be written.
        """
        if isinstance(error, OutputError):
            raise error
        self.bad += 1
        LOG.warning("%s: left out: %s", name, error)
        if self.bad > self.max_bad * self.studies:
            raise InputError(
                f"{self.bad} of the first {number} studies cannot be read, more than "
                f"{self.max_bad:.0%} of all; the last: {error}"
            ) from error
