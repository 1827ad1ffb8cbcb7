"""What instructions are trained on: which references go together, and how it is said."""

from collections.abc import Sequence

import torch
from torch import Generator

from medgen.errors import UsageError
from medgen.instruct.instruction import Instruction, Reference, Role
from medgen.instruct.wording import PHRASES

COMBINATIONS = {
    "anatomy": (Role.ANATOMY,),
    "look": (Role.LOOK,),
    "subject": (Role.SUBJECT,),
    "region": (Role.SUBJECT, Role.REGION),
    "anatomy+look": (Role.ANATOMY, Role.LOOK),
    "subject+look": (Role.SUBJECT, Role.LOOK),
    "region+look": (Role.SUBJECT, Role.REGION, Role.LOOK),
}
"""Roles that come together, by the name of the task.

A text alone is no task of its own: without references, the flow answers as it always has.
"""


def check_tasks(names: Sequence[str], held_out: Sequence[str]) -> None:
    """Raises UsageError for a task that is unknown, or if none is left."""
    if odd := sorted({*names, *held_out} - COMBINATIONS.keys()):
        raise UsageError(f"task '{odd[0]}': is none of {', '.join(COMBINATIONS)}")
    if not set(names) - set(held_out):
        raise UsageError("every task is held out; there is nothing to learn")


def phrased(text: str, roles: Sequence[Role], files: Sequence[str], draw: Generator) -> Instruction:
    """An instruction with a reference of each role, in words that are drawn.

    Args:
        text: What is to be shown; may be empty.
        roles: Of the references.
        files: Theirs.
        draw: Decides the words, the order, and the numbers of the marks.

    Example:
        >>> draw = torch.Generator().manual_seed(0)
        >>> phrased("Left effusion.", [Role.LOOK], ["a.png"], draw).text
        'With the contrast of [ref#1]. Left effusion.'
    """
    numbers = (1 + torch.randperm(len(roles), generator=draw)).tolist()
    order = torch.randperm(len(roles), generator=draw).tolist()
    phrases = []
    for at in order:
        ways = PHRASES[roles[at]]
        way = ways[int(torch.randint(len(ways), (), generator=draw))]
        phrases.append(way.format(f"[ref#{numbers[at]}]"))
    joined = ", ".join(phrases)
    request = f"{joined[0].upper()}{joined[1:]}." if not joined.startswith("[") else f"{joined}."
    parts = [text, request] if torch.rand((), generator=draw) < 0.5 else [request, text]
    references = [Reference(n, file) for n, file in zip(numbers, files, strict=True)]
    return Instruction(" ".join(filter(None, parts)), tuple(references))
