"""A result as one JSON document that every parser takes."""

import json
import math
from typing import Any

from medgen.config import to_mapping


def to_document(result: Any, *, indent: int | None = 2) -> str:
    """A frozen dataclass as JSON; NaN and infinity, which JSON does not have, become null.

    Example:
        >>> from dataclasses import dataclass
        >>> @dataclass(frozen=True)
        ... class Score:
        ...     psnr: float
        >>> to_document(Score(math.inf), indent=None)
        '{"psnr": null}'
    """
    return json.dumps(_finite(to_mapping(result)), indent=indent, ensure_ascii=False)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
