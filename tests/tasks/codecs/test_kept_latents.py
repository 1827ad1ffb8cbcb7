"""Latents that an earlier run has computed: the same ones, and never those of something else."""

from pathlib import Path
from typing import NoReturn

import pytest
import torch
from torch import Tensor

from medgen.latents.kl import KLCodec, KLCodecConfig
from medgen.tasks.codecs.kept_latents import Encoding

SMALL = KLCodecConfig(2, 2, (8, 8), norm_groups=4)
CPU = torch.device("cpu")


def codec(seed: int = 0) -> KLCodec:
    torch.manual_seed(seed)
    return KLCodec(SMALL).eval()


def images(seed: int = 1) -> list[Tensor]:
    return list(torch.rand(3, 1, 15, 15, generator=torch.Generator().manual_seed(seed)))


def unasked(self: KLCodec, image: Tensor) -> NoReturn:
    raise AssertionError("encoded again")


def test_a_kept_latent_is_the_one_that_was_computed_and_is_not_computed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh = Encoding(codec(), CPU)(images())
    first = Encoding(codec(), CPU, tmp_path)(images())
    monkeypatch.setattr(KLCodec, "encode", unasked)
    second = Encoding(codec(), CPU, tmp_path)(images())
    for each in zip(fresh, first, second, strict=True):
        assert each[0].dtype is torch.float16
        assert torch.equal(each[0], each[1])
        assert torch.equal(each[0], each[2])


@pytest.mark.parametrize("change", ["weights", "voxels"])
def test_other_weights_and_other_voxels_are_computed_anew(tmp_path: Path, change: str) -> None:
    Encoding(codec(), CPU, tmp_path)(images())
    other = (codec(5), images()) if change == "weights" else (codec(), images(5))
    kept = Encoding(other[0], CPU, tmp_path)(other[1])
    wanted = Encoding(other[0], CPU)(other[1])
    assert all(torch.equal(*pair) for pair in zip(kept, wanted, strict=True))


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    wanted = Encoding(codec(), CPU, tmp_path)(images())
    for kept in tmp_path.iterdir():
        kept.write_bytes(kept.read_bytes()[:90])
    again = Encoding(codec(), CPU, tmp_path)(images())
    assert all(torch.equal(*pair) for pair in zip(again, wanted, strict=True))


def test_latents_are_those_of_each_image_alone() -> None:
    together = Encoding(codec(), CPU)(images())
    alone = [Encoding(codec(), CPU)([image])[0] for image in images()]
    assert all(torch.equal(*pair) for pair in zip(together, alone, strict=True))
    assert not torch.equal(together[0], together[1])
