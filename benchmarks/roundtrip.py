"""What the codec costs: the error of HU that were encoded and decoded, with no network between."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import torch

from benchmarks.cases import rendered
from benchmarks.heldout import HEADS
from benchmarks.machine import commit, today
from benchmarks.rows import Row, Store
from medgen.data.intensity import HOUNSFIELD
from medgen.io import files
from medgen.latents.haar import HaarCodec


def codec_error(hu: np.ndarray, codec: HaarCodec) -> dict[str, float]:
    """Largest and mean error of a CT, HU; odd sizes lose their last plane."""
    even = hu[tuple(slice(size // 2 * 2) for size in hu.shape)].astype(np.float32)
    image = torch.from_numpy(HOUNSFIELD.normalise(even))[None, None]
    with torch.inference_mode():
        back = codec.decode(codec.encode(image))[0, 0].numpy()
    error = np.abs(HOUNSFIELD.denormalise(back) - even.clip(HOUNSFIELD.low, HOUNSFIELD.high))
    return {"largest_hu": float(error.max()), "mean_hu": float(error.mean())}


def roundtrips(data: Path, codec: HaarCodec, store: Store) -> Iterator[Row]:
    """Yield the row of every held-out head."""
    for name in HEADS:
        key = f"{codec.offset:g}-{codec.latent_scale:g}"
        path = store.path("codec", "haar", key, name)
        if row := store.row(path, partial(_measured, data, name, codec, store.folder)):
            yield row


def _measured(data: Path, name: str, codec: HaarCodec, cache: Path) -> Row:
    hu = files.read(rendered(data, cache) / name / "ct.nii.gz").voxels
    return Row("codec", name, "ct", "ct", "haar", codec_error(hu, codec), 0.0, commit(), today())
