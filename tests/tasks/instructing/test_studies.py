"""Which looks a study is kept in: decided by its whole name, however names of a data set end."""

from pathlib import Path

import numpy as np
from PIL import Image

from medgen.data.study import Study
from medgen.instruct.appearance import PLAIN
from medgen.latents.kl import KLCodec, KLCodecConfig
from medgen.modality import Kind, Modality
from medgen.tasks.codecs.images import FrameConfig
from medgen.tasks.codecs.model import LoadedCodec
from medgen.tasks.flows.flow import base_flow
from medgen.tasks.instructing.studies import OTHERS, Frames, instruct_studies


def test_names_that_end_alike_have_looks_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "xray.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32), np.uint8)).save(path)
    images = {Kind(Modality.XRAY): path}
    named = [Study(f"sub-{at:03d}_ses-01", f"p{at}", images=images) for at in range(40)]
    codec = LoadedCodec(KLCodec(KLCodecConfig(2, 2, (8, 8), norm_groups=4)), FrameConfig(side=32))
    frames = Frames(Modality.XRAY, codec, base_flow(Modality.XRAY), ())
    studies = instruct_studies(named, frames)
    looks = [next(name for name in study.looks if name != PLAIN) for study in studies]
    assert set(looks) == set(OTHERS)
    again = instruct_studies(named[7:8], frames)[0]
    assert list(again.looks) == list(studies[7].looks)
