"""What a reader of references learns from: instructions drawn from studies, and their answers."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Generator, Tensor

from medgen.diffusion.loss import logit_normal_times
from medgen.diffusion.noise import generator_for
from medgen.instruct.appearance import PLAIN
from medgen.instruct.instruction import Role
from medgen.instruct.reader import Reader
from medgen.instruct.tasks import COMBINATIONS, phrased
from medgen.instruct.wording import worded
from medgen.tasks.flows.conditions import conditions_of
from medgen.tasks.flows.flow import Flow
from medgen.tasks.flows.items import FlowItem, FlowLoss, by_thirds
from medgen.tasks.instructing.read import Shown, read_shown
from medgen.tasks.instructing.studies import InstructStudy
from medgen.tasks.studies import one_of

LOGIT = 1.5  # mean of the times' logit: near noise, nothing but references says what will be there


@dataclass(frozen=True)
class InstructItem:
    """One thing to learn: what is told in words, and what is shown."""

    item: FlowItem
    shown: tuple[Shown, ...]
    task: str


@dataclass(frozen=True)
class InstructItems:
    """Item number -> item: a pure function, whatever was asked before.

    Attributes:
        studies: What instructions are drawn from; each can serve one of the tasks.
        tasks: Names of the tasks that are trained.
        drop: Share of the items whose text is not told.
        drop_references: Share of the references that are not shown, each by itself; one stays,
            for without any there is nothing to learn.
        seed: Of all draws.
    """

    studies: Sequence[InstructStudy]
    tasks: Sequence[str]
    drop: float
    drop_references: float
    seed: int
    by_look: Mapping[str, list[int]] = field(init=False)
    by_patient: Mapping[str, list[int]] = field(init=False)

    def __post_init__(self) -> None:
        by_look, by_patient = defaultdict(list), defaultdict(list)
        for at, study in enumerate(self.studies):
            by_patient[study.patient].append(at)
            for look in study.looks:
                by_look[look].append(at)
        object.__setattr__(self, "by_look", dict(by_look))
        object.__setattr__(self, "by_patient", dict(by_patient))

    def __call__(self, number: int) -> InstructItem:
        """A study in random order, with a task that it can serve."""
        generator = generator_for(self.seed, number)
        study = one_of(self.studies, generator)
        possible = [name for name in self.tasks if "region" not in name or study.edits]
        return self.of(study, one_of(possible, generator), generator)

    def of(self, study: InstructStudy, task: str, generator: Generator) -> InstructItem:
        """What is learned of one study with one task this time."""
        roles = COMBINATIONS[task]
        look = one_of(sorted(study.looks), generator) if Role.LOOK in roles else PLAIN
        shown = self._shown(study, roles, look, generator)
        text = one_of(study.texts, generator) if study.texts else ""
        instruction = phrased(text, roles, [f"{at}.nii" for at in range(len(roles))], generator)
        read = worded(instruction)
        order = [int(one.file.partition(".")[0]) for one in instruction.references]
        kept = [
            shown[at]._replace(role=role)
            for at, role in zip(order, read.roles, strict=True)
            if float(torch.rand((), generator=generator)) >= self.drop_references
        ]
        is_told = float(torch.rand((), generator=generator)) >= self.drop
        clean = study.looks[look].float()
        noise = torch.randn(clean.shape, generator=generator)
        time = float(logit_normal_times(1, generator, mean=LOGIT))
        item = FlowItem(clean, noise, time, read.said if is_told else "", [], scan=study.scan)
        return InstructItem(item, tuple(kept or shown[-1:]), task)

    def _shown(
        self, study: InstructStudy, roles: Sequence[Role], look: str, generator: Generator
    ) -> list[Shown]:
        """A reference of each role, in their order."""
        edit = one_of(study.edits, generator) if Role.REGION in roles else None
        latents: dict[Role, Tensor] = {}
        for role in roles:
            if role is Role.ANATOMY:
                latents[role] = one_of(study.anatomy, generator)
            elif role is Role.LOOK:
                latents[role] = self._with_look(study, look, generator)
            elif role is Role.SUBJECT:
                latents[role] = edit.without if edit else self._prior(study, look, generator)
            elif edit is not None:
                latents[role] = edit.region
        return [Shown(latents[role], role, scan=study.scan) for role in roles]

    def _with_look(self, study: InstructStudy, look: str, generator: Generator) -> Tensor:
        """Another patient's image with this look; of a look that nobody else has, the study's."""
        others = [at for at in self.by_look[look] if self.studies[at].patient != study.patient]
        chosen = self.studies[one_of(others, generator)] if others else study
        return chosen.looks[look]

    def _prior(self, study: InstructStudy, look: str, generator: Generator) -> Tensor:
        """Another study of the patient; without one, the same in another look."""
        others = [self.studies[at] for at in self.by_patient[study.patient]]
        others = [one for one in others if one is not study]
        if others:
            return one_of(others, generator).looks[PLAIN]
        looks = [name for name in study.looks if name != look]
        return study.looks[one_of(sorted(looks), generator) if looks else look]


@dataclass(frozen=True)
class InstructLoss:
    """Reader and items in, the squared error of its flow out; the flow stays as it is.

    Attributes:
        flow: Whose bottleneck reads.
        words: Reads texts and captions.
    """

    flow: Flow
    words: FlowLoss

    def __call__(self, reader: Reader, items: Sequence[InstructItem]) -> dict[str, Tensor]:
        """The total, and the plain error by thirds of the time; 0 where there is none."""
        plain = [one.item for one in items]
        device = reader.answer.weight.device
        clean = torch.stack([one.clean for one in plain]).to(device)
        noise = torch.stack([one.noise for one in plain]).to(device)
        time = torch.tensor([one.time for one in plain], device=device)
        noisy = self.flow.process.at(time).over(clean)(clean, noise)
        told = self.words.told(plain, device)
        captions = {shown.caption for one in items for shown in one.shown}
        said = dict(zip(captions, self.words.texts(captions), strict=True))
        shown = [one.shown for one in items]
        read = read_shown(self.flow, reader, shown, said.__getitem__)
        with torch.no_grad():
            context = self.flow.conditioner(conditions_of(told))
        with reader.attached(self.flow.unet, read):
            predicted = self.flow.predict(noisy, time, context).float()
        squares = (predicted - (clean - noise)).square() * self.flow.weight(time, clean.ndim)
        errors = squares.detach().flatten(1).mean(1)
        return {"total": squares.mean(), **by_thirds(errors, time)}
