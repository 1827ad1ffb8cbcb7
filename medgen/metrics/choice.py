"""Of two texts, one true and one false: how often does an image lie closer to the true one?"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from medgen.errors import InputError

Z = 1.96  # two-sided 95 % of a normal distribution


@dataclass(frozen=True)
class Choice:
    """How often the right one of two is chosen; chance is 0.5.

    Attributes:
        right: Share of the choices; a tie is half right.
        low: Lower end of its 95 % interval.
        high: Upper end.
        count: Choices.
    """

    right: float
    low: float
    high: float
    count: int


def choice(margins: Sequence[float]) -> Choice:
    """Count the choices, with Wilson's interval.

    Source: Wilson 1927 (10.1080/01621459.1927.10502953).

    Args:
        margins: Similarity to the true text minus that to the false one, of each choice.

    Raises:
        InputError: If there are none, or one is not a number.

    Example:
        >>> choice([0.2, 0.1, -0.3, 0.0]).right
        0.625
    """
    count = len(margins)
    if not count or not all(map(math.isfinite, margins)):
        raise InputError("there is nothing to choose between, or an embedding is not finite")
    right = sum((margin > 0) + 0.5 * (margin == 0) for margin in margins) / count
    middle = (right + Z**2 / (2 * count)) / (1 + Z**2 / count)
    spread = math.sqrt(right * (1 - right) / count + (Z / (2 * count)) ** 2)
    half = Z * spread / (1 + Z**2 / count)
    return Choice(right, max(0.0, middle - half), min(1.0, middle + half), count)
