"""Where findings lie in a latent's cells."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from medgen.tasks.codec_images import FrameConfig
from medgen.tasks.flow_latents import cells_found


def test_a_mask_marks_the_cells_that_it_touches(tmp_path: Path) -> None:
    grey = np.random.default_rng(3).integers(0, 255, (48, 64), np.uint8)
    Image.fromarray(grey).save(tmp_path / "xray.png")
    masks = tmp_path / "masks"
    masks.mkdir()
    for name, box in {"mass": np.s_[4:8, 4:8], "nodule": np.s_[40:48, 48:64]}.items():
        drawn = np.zeros((48, 64), np.uint8)
        drawn[box] = 1
        Image.fromarray(drawn).save(masks / f"{name}.png")
    found = cells_found(tmp_path / "xray.png", masks, (8, 8), FrameConfig(side=64))
    wanted = torch.zeros(8, 8)
    wanted[1, 0] = 1  # eight rows of black lie above the picture: it is no square
    wanted[6, 6:] = 1
    assert torch.equal(found.float(), wanted)
