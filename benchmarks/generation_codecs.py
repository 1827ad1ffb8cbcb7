"""What codecs leave of radiographs, volumes and reports that none of them has seen."""

import re
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

from benchmarks import words
from benchmarks.cases import rendered
from benchmarks.heldout import HEADS
from benchmarks.radiograph_sets import Pictures
from medgen.checkpoint import model_folder, read_card
from medgen.data.intensity import HOUNSFIELD
from medgen.data.manifest import read_manifest
from medgen.latents.codec import pad_to
from medgen.modality import Modality
from medgen.tasks.codecs.images import framed
from medgen.tasks.codecs.model import LoadedCodec, codec_part, load_codec
from medgen.tasks.codecs.report import REPORT_PART, LoadedReportCodec, load_report_codec
from medgen.tasks.phantom import study_name

UNSEEN, REPORTS = 4242, 200  # seed and number of the reports for the codec
RUN = 3  # words that follow each other
CPU = torch.device("cpu")
BODY = -500.0  # HU: half way between air and water


def radiograph_scores(model: str, pictures: Pictures) -> dict[str, float]:
    """PSNR of radiographs that were encoded and decoded."""
    errors = ((coded(model, pictures) - pictures) / 2) ** 2
    psnr = -10 * np.log10(errors.mean((1, 2)))
    return {"psnr": float(psnr.mean()), "psnr sd": float(psnr.std()), "n": float(len(psnr))}


@torch.no_grad()
def coded(model: str, pictures: Pictures) -> Pictures:
    """Radiographs that were encoded and decoded."""
    codec = load_codec(model, Modality.XRAY, CPU).codec
    images = torch.from_numpy(pictures)[:, None].split(1)
    made = [codec.decode(codec.encode(image)).clamp(-1, 1)[:, 0] for image in images]
    return torch.cat(made).numpy()


@torch.no_grad()
def volume_scores(model: str, data: Path, cache: Path) -> dict[str, float]:
    """The mean error of the held-out heads on the codec's grid, HU, and the PSNR of their MRIs."""
    parts = read_card(model_folder(model)).parts
    found: dict[str, float] = {}
    if not {codec_part(Modality.CT), codec_part(Modality.MRI)} & parts.keys():
        return found
    folders = [rendered(data, cache) / name for name in HEADS]
    if codec_part(Modality.CT) in parts:
        codec = load_codec(model, Modality.CT, CPU)
        errors = [_ct_errors(folder / "ct.nii.gz", codec) for folder in folders]
        found |= {name: float(np.mean([each[name] for each in errors])) for name in errors[0]}
    if codec_part(Modality.MRI) in parts:
        codec = load_codec(model, Modality.MRI, CPU)
        paths = [path for folder in folders for path in sorted(folder.glob("*.nii.gz"))]
        mri = [path for path in paths if path.name != "ct.nii.gz"]
        found["mri psnr"] = float(np.mean([_psnr(*_again(path, codec)) for path in mri]))
        found["mris"] = float(len(mri))
    return found


def _ct_errors(path: Path, codec: LoadedCodec) -> dict[str, float]:
    truth, made = (HOUNSFIELD.denormalise(each) for each in _again(path, codec, Modality.CT))
    error = np.abs(made - truth)
    return {"ct mae": float(error.mean()), "ct mae, tissue": float(error[truth > BODY].mean())}


def _again(
    path: Path, codec: LoadedCodec, modality: Modality = Modality.MRI
) -> tuple[np.ndarray, np.ndarray]:
    """A volume as the codec takes it, and what comes back."""
    volume = framed(path, modality, codec.frame).float()[None]
    size = tuple(slice(length) for length in volume.shape[2:])
    latent = codec.codec.encode(pad_to(volume, codec.codec.stride))
    made = codec.codec.decode(latent).clamp(-1, 1)[(slice(None), slice(None), *size)]
    return volume[0, 0].numpy(), made[0, 0].numpy()


def _psnr(truth: np.ndarray, made: np.ndarray) -> float:
    return float(-10 * np.log10((((made - truth) / 2) ** 2).mean()))


@torch.no_grad()
def report_scores(model: str, studies: Path) -> dict[str, float]:
    """How much of reports comes back, and how much what lies between two reads like one."""
    if REPORT_PART not in read_card(model_folder(model)).parts:
        return {}
    loaded = load_report_codec(model, CPU)
    with tempfile.TemporaryDirectory() as folder:
        unseen = _texts(
            words.write_study(Path(folder) / study_name(index), UNSEEN, index).text
            for index in range(REPORTS)
        )
    heldout = read_manifest(studies / "heldout" / "heldout.jsonl")
    found = _written_again(loaded, unseen, "")
    found |= _written_again(loaded, _texts(study.text for study in heldout), ", held-out words")
    known = read_manifest(studies / "words" / "manifest.jsonl")
    seen = {run for text in _texts(study.text for study in known) for run in runs(text)}
    between = midpoints(loaded, unseen)
    return found | {
        "known runs": _share(unseen, seen),
        "known runs, midpoints": _share(between, seen),
    }


def _texts(paths: Iterable[Path | None]) -> list[str]:
    return [path.read_text(encoding="utf-8").strip() for path in paths if path]


def _written_again(loaded: LoadedReportCodec, texts: Sequence[str], of: str) -> dict[str, float]:
    """Which share of the tokens comes back, each at its place."""
    ids = loaded.tokenizer.encode(texts, max_tokens=loaded.codec.config.max_tokens).ids
    written = loaded.codec.decode(loaded.codec.encode(ids))
    width = max(ids.shape[1], written.shape[1])
    ids, written = (F.pad(each, (0, width - each.shape[1])) for each in (ids, written))
    return {
        f"tokens right{of}": float((written == ids)[ids != 0].float().mean()),
        f"reports right{of}": float((written == ids).all(1).float().mean()),
        f"reports{of}": float(len(texts)),
    }


@torch.no_grad()
def midpoints(loaded: LoadedReportCodec, texts: Sequence[str]) -> list[str]:
    """What lies half way between the latents of each report and the next, written out.

    The sum of two is brought back to the length that latents have: a plain mean would be shorter.
    """
    ids = loaded.tokenizer.encode(texts, max_tokens=loaded.codec.config.max_tokens).ids
    latent = loaded.codec.encode(ids)
    written = loaded.codec.decode((latent[:-1] + latent[1:]) / 2**0.5)
    return [loaded.tokenizer.decode(row) for row in written]


def runs(text: str) -> list[tuple[str, ...]]:
    """Every run of three words.

    Example:
        >>> runs("No effusion. Heart normal.")
        [('no', 'effusion', 'heart'), ('effusion', 'heart', 'normal')]
    """
    said = re.findall(r"[a-z0-9]+", text.lower())
    return [tuple(said[at : at + RUN]) for at in range(len(said) - RUN + 1)]


def _share(texts: Sequence[str], seen: set[tuple[str, ...]]) -> float:
    """Of the runs of words of texts, how many are in `seen`."""
    every = [run in seen for text in texts for run in runs(text)]
    return float(np.mean(every)) if every else float("nan")
