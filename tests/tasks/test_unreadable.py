"""What cannot be read is left out while it is rare; what cannot be written is another matter."""

import pytest

from medgen.errors import InputError, OutputError
from medgen.tasks.unreadable import Unreadable


def test_one_too_many_ends_it() -> None:
    unreadable = Unreadable(studies=20, max_bad=0.05)
    unreadable.leave_out("a", 1, InputError("a.png: is empty"))
    with pytest.raises(InputError, match=r"2 of the first 7 studies .* the last: b\.png: is empty"):
        unreadable.leave_out("b", 7, InputError("b.png: is empty"))


def test_a_full_disk_is_no_fault_of_a_study() -> None:
    unreadable = Unreadable(studies=20, max_bad=1.0)
    with pytest.raises(OutputError, match="no space"):
        unreadable.leave_out("a", 1, OutputError("views/x.npy: no space"))
    assert unreadable.bad == 0
