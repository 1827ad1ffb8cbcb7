"""Radiographs with a bright square in one corner, and reports that say which."""

import json
from pathlib import Path

import numpy as np
from PIL import Image

PLACES = {  # where the square lies, as rows and columns of an eighth
    "Mass in the left upper lobe.": (1, 5),
    "Mass in the right upper lobe.": (1, 1),
    "Mass in the left lower lobe.": (5, 5),
    "Mass in the right lower lobe.": (5, 1),
}


def write_corners(folder: Path) -> Path:
    """Write the four studies; their manifest."""
    rows = []
    for number, (text, (row, column)) in enumerate(PLACES.items()):
        grey = np.full((64, 64), 40, np.uint8)
        grey[8 * row : 8 * row + 16, 8 * column : 8 * column + 16] = 250
        Image.fromarray(grey).save(folder / f"{number}.png")
        (folder / f"{number}.txt").write_text(text)
        names = {"xray": f"{number}.png", "text": f"{number}.txt"}
        rows.append({"id": f"s{number}", "patient": f"p{number}", **names})
    path = folder / "manifest.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
