"""What goes on with a model keeps the shape that it has."""

from typing import TypeVar

from medgen.errors import UsageError

Shape = TypeVar("Shape")


def keep_shape(wanted: Shape, own: Shape, usual: Shape) -> None:
    """Check that nobody asks for another shape than the model has that a run goes on with.

    Args:
        wanted: What was asked for.
        own: What the model has.
        usual: What is asked for if nobody says anything.

    Raises:
        UsageError: If it is neither.
    """
    if wanted not in (own, usual):
        raise UsageError(
            f"--init: has another shape ({own}); leave out --preset, --size and its settings, "
            "or start from a model that lacks this part"
        )
