"""Which of several base models that fit equally well, and why."""

import pytest

from lorajax.errors import NamingError
from lorajax.naming.choice import choose

FLUX, CHROMA = frozenset({"flux"}), frozenset({"chroma"})


def test_the_only_one_needs_no_reason():
    assert choose({"flux": False}, CHROMA) == ("flux", ())


def test_the_files_own_word_comes_first():
    base, (why,) = choose({"flux": True, "hunyuan": True}, FLUX)
    assert (base, why) == ("flux", "the file's own word decides against hunyuan")


def test_then_where_the_blocks_end():
    base, (why,) = choose({"flux": True, "hunyuan": False}, frozenset())
    assert base == "flux"
    assert why == "its blocks end where those of flux do, unlike those of hunyuan"


def test_a_word_against_the_blocks_is_told():
    base, (why,) = choose({"flux": True, "hunyuan": False}, frozenset({"hunyuan"}))
    assert base == "hunyuan" and "although its blocks end where those of flux" in why


def test_of_several_meant_the_blocks_decide():
    fitting = {"wan-5b": False, "wan-14b": True, "other": True}
    assert choose(fitting, frozenset({"wan-5b", "wan-14b"}))[0] == "wan-14b"


@pytest.mark.parametrize(
    ("fitting", "claimed", "listed"),
    [
        ({"a": False, "b": False}, frozenset(), "a and b"),
        ({"a": True, "b": True, "c": False}, frozenset(), "a and b"),
        ({"a": False, "b": False, "c": True}, frozenset("ab"), "a and b"),
    ],
)
def test_what_nothing_decides_is_listed(
    fitting: dict[str, bool], claimed: frozenset[str], listed: str
):
    with pytest.raises(NamingError) as refusal:
        choose(fitting, claimed)
    assert refusal.value.message.endswith(f"belong to {listed}")
