"""Filters, folding and ranking of a search against what plain Python finds."""

from pathlib import Path

import numpy as np
import pytest

from lorajax.adapters.fingerprint import Fingerprint
from lorajax.errors import LibraryError
from lorajax.library import Facts, FileStamp, Library, Place, Told, base_space
from lorajax.library.labels import (
    Label,
    change_labels,
    effective,
    read_labels,
    write_labels,
)
from lorajax.library.searching import (
    Filters,
    direction,
    rank_by_likeness,
    rank_by_words,
)
from lorajax.library.searching.candidates import allowed_ids, listed
from lorajax.library.searching.folding import Candidate, fold

STAMP = FileStamp(1, 2, 3)
SPACE = base_space("sdxl")


def put(library: Library, name: str, told: Told | None = None, **facts: object) -> str:
    """Stores a LoRA whose key is its name, with a vector that depends on the name."""
    place = Place(Path(f"/loras/{name}.safetensors"), STAMP, "", told or Told())
    known = {"base_model": "sdxl", **facts}
    rng = np.random.default_rng(sum(name.encode()))
    row = rng.normal(size=6).astype("f4")
    space = base_space(str(known["base_model"]))
    library.upsert(name, Facts(name, **known), place, {space: row})  # pyright: ignore
    return name


@pytest.fixture
def full(library: Library) -> Library:
    put(library, "ink wash", rank_max=16, norm=2.0, tags=("ink", "pale"))
    put(library, "ink pen", rank_max=32, norm=3.0, tags=("Ink",), family="lora+loha")
    put(library, "oil", rank_max=64, norm=4.0, told=Told(title="Öl auf Leinwand"))
    put(library, "50%_off", rank_max=128, tier="operator", norm=None, family="oft")
    put(library, "墨絵", base_model="sd1", rank_max=8, norm=1.0, tags=("水墨",))
    library.execute(
        "INSERT INTO labels VALUES ('oil', 'style', 'Painterly', 'person', NULL)"
    )
    library.execute("INSERT INTO labels VALUES ('oil', 'tag', 'ink', 'sidecar', NULL)")
    library.mark_missing(["/loras/ink pen.safetensors"])
    return library


@pytest.mark.parametrize(
    ("where", "found"),
    [
        ("base=sd1", {"墨絵"}),
        ("base=SDXL rank<=32", {"ink wash", "ink pen"}),
        ("rank>16 rank<128", {"ink pen", "oil"}),
        ("rank=8,64", {"墨絵", "oil"}),
        ("norm>=3", {"ink pen", "oil"}),
        ("tag=ink", {"ink wash", "ink pen", "oil"}),
        ("tag=水墨,pale", {"墨絵", "ink wash"}),
        ("tag!=ink base=sdxl", {"50%_off"}),
        ("tag~水", {"墨絵"}),
        ("family=loha", {"ink pen"}),
        ("family=lora tier=exact rank<=32", {"ink wash", "ink pen", "墨絵"}),
        ("tier!=exact", {"50%_off"}),
        ("missing=yes", {"ink pen"}),
        ("missing=no base=sd1", {"墨絵"}),
        ("missing!=no", {"ink pen"}),
        ("name='ink wash'", {"ink wash"}),
        ('name~"k w"', {"ink wash"}),
        ("name~%_", {"50%_off"}),
        ("path~pen.safe", {"ink pen"}),
        ("text=leinwand", {"oil"}),
        ("style=painterly", {"oil"}),
        ("label.style~paint", {"oil"}),
        ("label.other=1", set()),
        ("base=flux", set()),
        ("  ", {"ink wash", "ink pen", "oil", "50%_off", "墨絵"}),
    ],
)
def test_conditions_find_what_they_say(
    full: Library, where: str, found: set[str]
) -> None:
    assert set(listed(full, Filters(where=where))) == found


SAID = [
    ("ink wash", "style", "ink", "sidecar"),
    ("ink wash", "style", "", "person"),  # silenced
    ("ink pen", "style", "ink", "folder"),  # the sidecar is trusted more
    ("ink pen", "style", "pen", "sidecar"),
    ("oil", "style", "ink", "classified"),
    ("墨絵", "style", "ink", "person"),
    ("墨絵", "style", "wash", "person"),
    ("oil", "tag", "soft", "classified"),  # guessed tags do not hold
    ("ink pen", "tag", "soft", "folder"),
    ("墨絵", "tag", "soft", "sidecar"),
    ("墨絵", "tag", "", "person"),
]


@pytest.mark.parametrize("word", ["style=ink", "style=pen", "style=wash", "tag=soft"])
def test_conditions_on_labels_ask_what_holds(library: Library, word: str) -> None:
    for name in ("ink wash", "ink pen", "oil", "墨絵"):
        put(library, name)
    write_labels(library, [Label(*row) for row in SAID])
    field, value = word.split("=")
    held = effective(read_labels(library, field))
    expected = {k for (k, _), ls in held.items() if value in [one.value for one in ls]}
    assert set(listed(library, Filters(where=word))) == expected
    others = {"ink wash", "ink pen", "oil", "墨絵"} - expected
    assert set(listed(library, Filters(where=word.replace("=", "!=")))) == others


def test_a_silenced_label_is_not_found(library: Library) -> None:
    put(library, "ink wash")
    write_labels(library, [Label("ink wash", "style", "ink", "sidecar")])
    assert listed(library, Filters(where="style=ink")) == ["ink wash"]
    change_labels(library, ["ink wash"], [("style", "")])
    assert listed(library, Filters(where="style=ink")) == []


@pytest.mark.parametrize(
    ("where", "message", "hint"),
    [
        ("bse=sdxl", "a key to search by, found 'bse'", "did you mean base?"),
        ("stile=x", "found 'stile'", "did you mean style?"),
        ("base=sdlx", "has base=sdlx", "did you mean sdxl? there are: sd1, sdxl"),
        ("family=lokr", "has family=lokr", "there are: loha, lora, oft"),
        ("rank=many", "a number after =, found 'many'", ""),
        ("rank<nan", "a number after <, found 'nan'", ""),
        ("rank~3", "rank: expected one of = != < <= > >=, found ~", ""),
        ("tag<3", "tag: expected one of = != ~, found <", ""),
        ("missing=perhaps", "expected yes or no, found 'perhaps'", ""),
        ("base=sdxl ink", "found 'ink'", "--text"),
        ("tag='ink", 'found "tag=\'ink"', "keys: base"),
        ("name=a\0b", "expected a condition", ""),
        ("label.x'--=1", "expected a condition", ""),
        ("text=''", "expected words to look for, found ''", ""),
    ],
)
def test_what_cannot_be_meant_is_refused_with_the_choices(
    full: Library, where: str, message: str, hint: str
) -> None:
    with pytest.raises(LibraryError) as caught:
        listed(full, Filters(where=where))
    assert message in caught.value.message and hint in caught.value.hint


@pytest.mark.parametrize(
    "hostile",
    [
        "name=x');DROP_TABLE_loras;--",
        "name=\"x' OR '1'='1\"",
        'tag="\' OR 1 --"',
        "label.style)OR(1--=x",
        "text='\" OR name:\"'",
        'path="x\' UNION SELECT key FROM loras --"',
    ],
)
def test_no_value_becomes_sql(full: Library, hostile: str) -> None:
    assert listed(full, Filters(where=hostile)) == []
    assert len(full.entries()) == 5


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("ink", ["ink pen", "ink wash"]),
        ("INK wash", ["ink wash"]),
        ('"ink wash"', ["ink wash"]),
        ('"wash ink"', []),
        ("墨絵", ["墨絵"]),  # two characters: fewer than the index knows
        ("水", ["墨絵"]),
        ("0%", ["50%_off"]),
        ("Öl", ["oil"]),
        ("auf leinwand", ["oil"]),
        ('"ink', ["ink pen", "ink wash"]),
        ("name : NEAR(", []),
        ("in* AND wash", []),
    ],
)
def test_words_are_found_as_they_stand(
    full: Library, text: str, found: list[str]
) -> None:
    assert sorted(listed(full, Filters(text=text))) == found


def test_accents_are_found_however_a_disk_writes_them(library: Library) -> None:
    composed, apart = "caf\u00e9", "cafe\u0301"
    put(library, composed + " one")
    put(library, apart + " two")
    for text in (composed, apart):
        assert len(listed(library, Filters(text=text))) == 2


def test_a_word_in_the_name_ranks_before_one_in_a_path(library: Library) -> None:
    put(library, "a", told=Told(description="charcoal " + "and more words " * 9))
    put(library, "z charcoal")
    ranking = rank_by_words(library, 9, Filters(text="charcoal"))
    assert [group.best.key for group in ranking.groups] == ["z charcoal", "a"]
    assert ranking.groups[0].best.similarity is None


def test_halves_of_characters_are_refused(library: Library) -> None:
    with pytest.raises(LibraryError, match="expected words"):
        listed(library, Filters(text="a\udcffb"))


def test_filters_and_likeness_together_equal_an_oracle(library: Library) -> None:
    names = [
        put(library, f"n{i}", rank_max=i, tags=("even",) * (i % 2 == 0))
        for i in range(40)
    ]
    keys, rows = library.vectors(SPACE)
    filters = Filters(where="rank<30", tags=("even",))
    query = rows[keys.index("n4")]
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    cosines = dict(zip(keys, unit @ (query / np.linalg.norm(query)), strict=True))
    allowed = [n for i, n in enumerate(names) if i < 30 and i % 2 == 0 and n != "n4"]
    expected = sorted(allowed, key=lambda name: -cosines[name])[:5]
    ranking = rank_by_likeness(library, SPACE, query, 5, filters, {"n4"})
    found = [(group.best.key, group.best.similarity) for group in ranking.groups]
    assert [key for key, _ in found] == expected
    similarity = [cosines[name] for name in expected]
    ours = np.array([value for _, value in found], float)
    np.testing.assert_allclose(ours, similarity, atol=1e-6)
    assert ranking.searched == 14
    assert len(allowed_ids(library, SPACE, filters)) == 15


def test_a_space_without_vectors_says_what_there_is(full: Library) -> None:
    with pytest.raises(LibraryError, match=r"it has sd1 \(1\), sdxl \(4\)") as caught:
        rank_by_likeness(full, base_space("flux"), np.ones(6, "f4"), 3, Filters())
    assert "within their base model" in caught.value.hint


def mark(*numbers: int, strength: int = 30000) -> str:
    return str(Fingerprint((*numbers, *(0,) * (16 - len(numbers))), strength))


def test_copies_of_an_update_share_a_place() -> None:
    marks = [
        ("a", mark(900)),
        ("b", mark(905, strength=30003)),  # rounding
        ("c", mark(300)),  # another direction
        ("d", mark(900, strength=30256)),  # twice as strong
        ("e", ""),
        ("f", ""),
        ("g", mark(901, strength=29998)),
    ]
    candidates = [Candidate(key, "sdxl", text, 0.5) for key, text in marks]
    groups = fold(candidates, 9)
    assert [group.best.key for group in groups] == ["a", "c", "d", "e", "f"]
    assert [other.key for other in groups[0].same] == ["b", "g"]
    first = fold(candidates, 1)
    assert [other.key for other in first[0].same] == ["b", "g"]


def test_a_chain_of_copies_is_no_copy_of_its_beginning() -> None:
    step = 2  # codes: one step is within the tolerance, two are not
    marks = [mark(*[900 + i * step] * 16) for i in range(6)]
    candidates = [
        Candidate(key, "x", m) for key, m in zip("abcdef", marks, strict=True)
    ]
    groups = fold(candidates, 9)
    assert [group.best.key for group in groups] == ["a", "c", "e"]


def test_many_copies_do_not_hide_the_next_update(library: Library) -> None:
    row = np.ones(4, "f4") / 2
    for i in range(150):
        facts = Facts(f"copy {i}", "sdxl", fingerprint=mark(900))
        place = Place(Path(f"/copy/{i}"), STAMP)
        library.upsert(f"c{i:03}", facts, place, {SPACE: row})
    other = Facts("other", "sdxl", fingerprint=mark(-900))
    vector = np.array([1, 1, 1, 0], "f4")
    library.upsert("other", other, Place(Path("/other"), STAMP), {SPACE: vector})
    ranking = rank_by_likeness(library, SPACE, row, 2, Filters())
    assert [group.best.key for group in ranking.groups] == ["c000", "other"]
    assert len(ranking.groups[0].same) == 149
    single = rank_by_likeness(library, SPACE, row, 2, Filters(), group=False)
    assert [group.best.key for group in single.groups] == ["c000", "c001"]


def test_like_and_unlike_make_the_documented_direction() -> None:
    rng = np.random.default_rng(1)
    a, b, c = (v / np.linalg.norm(v) for v in rng.normal(size=(3, 9)))
    near = (a + 2 * c) / np.linalg.norm(a + 2 * c)
    middle = (a + b) / np.linalg.norm(a + b)
    np.testing.assert_allclose(direction([3 * a, b]), middle, atol=1e-12)
    for away in (b, near):
        found = direction([a], [away])
        expected = a - max(a @ away, 0.25) * away
        np.testing.assert_allclose(found, expected / np.linalg.norm(expected))
    assert a @ near > 0.25
    np.testing.assert_allclose(direction([a], [near]) @ near, 0, atol=1e-12)


def test_what_cancels_out_is_refused() -> None:
    a = np.ones(3)
    for like, unlike in (([a, -a], []), ([a], [a])):
        with pytest.raises(LibraryError, match="none left"):
            direction(like, unlike)
