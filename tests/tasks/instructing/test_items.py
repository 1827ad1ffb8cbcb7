"""An item shows what its task says: the look of another patient, the patient in another look."""

import torch

from medgen.instruct.instruction import Role
from medgen.tasks.instructing.items import InstructItem, InstructItems
from medgen.tasks.instructing.studies import Edit, InstructStudy

LOOKS = ("plain", "dark")
EDGES, REGION, WITHOUT = 70.0, 80.0, 90.0


def latent(value: float) -> torch.Tensor:
    return torch.full((1, 2, 2), float(value))


def study(at: int, *, is_drawn: bool = True) -> InstructStudy:
    """Its latents say whose they are, 10 a patient, and 1 more for the dark look."""
    looks = {look: latent(10 * at + place) for place, look in enumerate(LOOKS)}
    edits = (Edit(latent(WITHOUT), latent(REGION)),) if is_drawn else ()
    return InstructStudy(f"s{at}", f"p{at}", (f"Report {at}.",), looks, (latent(EDGES),), edits)


STUDIES = [study(at) for at in range(4)]


def items_of(*tasks: str, count: int = 60, **more: float) -> list[InstructItem]:
    settings = {"drop": 0.0, "drop_references": 0.0, **more}
    make = InstructItems(STUDIES, tasks, seed=1, **settings)
    return [make(number) for number in range(count)]


def value(one: torch.Tensor) -> float:
    return float(one.mean())


def test_a_number_is_an_item_whatever_was_asked_before() -> None:
    make = InstructItems(STUDIES, ["look", "region"], 0.2, 0.1, seed=1)
    first = make(7)
    make(3)
    again = make(7)
    assert torch.equal(first.item.noise, again.item.noise)
    assert first.item.text == again.item.text
    assert [one.role for one in first.shown] == [one.role for one in again.shown]


def test_a_look_is_another_patients_and_the_answers_own() -> None:
    for one in items_of("look"):
        (shown,) = one.shown
        assert shown.role is Role.LOOK
        made, seen = value(one.item.clean), value(shown.latent)
        assert made // 10 != seen // 10
        assert made % 10 == seen % 10
        assert one.item.text == f"Report {int(made // 10)}."


def test_a_subject_is_the_same_patient_in_another_look() -> None:
    for one in items_of("subject+look"):
        shown = {each.role: value(each.latent) for each in one.shown}
        made = value(one.item.clean)
        assert shown[Role.SUBJECT] // 10 == made // 10
        assert shown[Role.SUBJECT] % 10 != made % 10
        assert shown[Role.LOOK] % 10 == made % 10


def test_a_region_is_shown_with_the_image_without_it() -> None:
    for one in items_of("region"):
        shown = {each.role: value(each.latent) for each in one.shown}
        assert shown == {Role.SUBJECT: WITHOUT, Role.REGION: REGION}


def test_a_study_without_drawings_serves_other_tasks() -> None:
    make = InstructItems([study(0, is_drawn=False), STUDIES[1]], ["region", "anatomy"], 0, 0, 0)
    for number in range(60):
        item = make(number)
        assert item.task == "anatomy" or value(item.item.clean) >= 10


def test_text_and_references_are_dropped_apart_and_one_reference_stays() -> None:
    found = items_of("subject+look", count=400, drop=0.3, drop_references=0.5)
    untold = sum(one.item.text == "" for one in found) / 400
    alone = sum(len(one.shown) == 1 for one in found) / 400
    assert 0.22 < untold < 0.38
    assert 0.65 < alone < 0.85  # one of two is dropped in a half, both, of which one stays, in 1/4
    assert all(one.shown for one in found)
