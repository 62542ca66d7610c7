"""What is said of LoRAs: who is believed, what is derived, what is undone."""

from pathlib import Path

import pytest

from lorajax.errors import LibraryError
from lorajax.library import FileStamp, Library, Place, Told
from lorajax.library.labels import (
    CLASSIFIED,
    Label,
    change_each,
    change_labels,
    derive_labels,
    effective,
    read_labels,
    undo,
    values_of,
    write_labels,
)
from lorajax.library.labels.label import FOLDER, SIDECAR
from lorajax.library.labels.vocabulary import category_of, variant_of
from tests.library.labelled import add


def holds(library: Library, key: str, field: str) -> list[str]:
    found = effective(read_labels(library)).get((key, field), ())
    return [label.value for label in found]


def test_a_persons_word_wins_and_can_be_taken_back(library: Library) -> None:
    add(library, "ink", [1.0, 0.0])
    write_labels(
        library,
        [
            Label("ink", "category", "concept", SIDECAR),
            Label("ink", "category", "tool", FOLDER),
            Label("ink", "category", "action", CLASSIFIED, 0.9),
        ],
    )
    assert holds(library, "ink", "category") == ["concept"]
    change_labels(library, ["ink"], [("category", "style")])
    change_labels(library, ["ink"], [("category", "character")])
    assert holds(library, "ink", "category") == ["character"]
    undo(library)
    assert holds(library, "ink", "category") == ["style"]
    change_labels(library, ["ink"], [("category", "")])
    assert holds(library, "ink", "category") == []
    change_labels(library, ["ink"], unsay=[("category", None)])
    assert holds(library, "ink", "category") == ["concept"]
    assert [undo(library) is not None for _ in range(4)] == [True, True, True, False]
    assert holds(library, "ink", "category") == ["concept"]


def test_tags_of_all_who_know_count_but_guesses_do_not(library: Library) -> None:
    add(library, "ink", [1.0, 0.0])
    write_labels(
        library,
        [
            Label("ink", "tag", "wash", SIDECAR),
            Label("ink", "tag", "guess", CLASSIFIED, 0.5),
        ],
    )
    change_labels(library, ["ink"], [("tag", "Black"), ("tag", "wash")])
    change_labels(library, ["ink"], [("tag", "brush")])
    assert sorted(holds(library, "ink", "tag")) == ["black", "brush", "wash"]
    change_labels(library, ["ink"], unsay=[("tag", "black")])
    assert sorted(holds(library, "ink", "tag")) == ["brush", "wash"]


def test_a_tag_stands_in_place_of_no_tags_and_the_other_way_round(
    library: Library,
) -> None:
    add(library, "ink", [1.0, 0.0])
    write_labels(library, [Label("ink", "tag", "wash", SIDECAR)])
    change_labels(library, ["ink"], [("tag", "")])
    assert holds(library, "ink", "tag") == []
    change_labels(library, ["ink"], [("tag", "Ink")])
    assert sorted(holds(library, "ink", "tag")) == ["ink", "wash"]
    change_labels(library, ["ink"], [("tag", "")])
    assert [label.value for label in read_labels(library, "tag")] == ["", "wash"]
    undo(library)
    assert sorted(holds(library, "ink", "tag")) == ["ink", "wash"]


def test_a_word_is_taken_back_however_it_is_spelled(library: Library) -> None:
    add(library, "ink", [1.0, 0.0])
    change_labels(library, ["ink"], [("tag", "Ink"), ("style", "two  words")])
    gone = [("tag", "INK"), ("style", "two  words")]
    assert len(change_labels(library, ["ink"], unsay=gone).removed) == 2
    assert read_labels(library) == []


def test_one_undo_takes_back_a_whole_table(library: Library) -> None:
    for name in ("a", "b"):
        add(library, name, [1.0, 0.0])
    change_labels(library, ["a"], [("style", "old")])
    change_each(library, {"a": [("style", "new")], "b": [("style", "other")]})
    assert values_of(library, "style") == {"a": "new", "b": "other"}
    undo(library)
    assert values_of(library, "style") == {"a": "old"}


def test_the_last_fifty_changes_can_be_taken_back_one_by_one(library: Library) -> None:
    add(library, "ink", [1.0, 0.0])
    for number in range(53):
        change_labels(library, ["ink"], [("style", f"style {number}")])
    held = []
    while undo(library) is not None:
        held += holds(library, "ink", "style")
    assert held == [f"style {number}" for number in reversed(range(2, 52))]
    change_labels(library, ["ink"], [("style", "later")])
    undo(library)
    assert holds(library, "ink", "style") == ["style 2"]


def test_two_words_of_one_source_are_no_single_value(library: Library) -> None:
    add(library, "ink", [1.0, 0.0])
    change_labels(library, ["ink"], [("style", "wash"), ("style", "line")])
    assert values_of(library, "style") == {}


@pytest.mark.parametrize("field", ["", "Style", "two words", "cluster", "x" * 33])
def test_fields_that_cannot_be_are_refused(library: Library, field: str) -> None:
    add(library, "ink", [1.0, 0.0])
    with pytest.raises(LibraryError, match="expected the name of a field"):
        change_labels(library, ["ink"], [(field, "value")])


def test_values_are_made_safe_to_show(library: Library) -> None:
    add(library, "ink", [1.0, 0.0])
    change_labels(library, ["ink"], [("style", "\x1b[31mred\nink[/]")])
    assert values_of(library, "style") == {"ink": "red ink"}


def test_labels_are_there_on_the_first_day(library: Library) -> None:
    add(library, "a", [1.0, 0.0], ["Characters", "blue"], told=Told(base_model="Pony"))
    for name in "bcd":
        add(library, name, [1.0, 0.0], folder="/loras/styles")
    for name in "efg":
        add(library, name, [1.0, 0.0], folder="/loras/Illustrious")
    assert derive_labels(library) == 2 + 2 + 6 + 6
    assert values_of(library, "category") == {
        "a": "character",
        **dict.fromkeys("bcd", "style"),
    }
    assert values_of(library, "base_variant") == {
        "a": "Pony",
        **dict.fromkeys("efg", "Illustrious"),
    }
    assert values_of(library, "folder")["b"] == "styles"
    assert derive_labels(library) == 0
    change_labels(library, ["a"], [("category", "concept")])
    assert derive_labels(library, again=True) == 16
    assert values_of(library, "category")["a"] == "concept"


def test_one_folder_for_all_says_nothing(library: Library) -> None:
    for name in "abcd":
        add(library, name, [1.0, 0.0])
    assert derive_labels(library) == 0


def test_what_folders_say_does_not_depend_on_the_order_of_indexing(
    library: Library,
) -> None:
    folders = {"ink": "/loras/ink", "oil": "/loras/oil"}
    for number in range(2):
        for name, folder in folders.items():
            add(library, f"{name}{number}", [1.0, 0.0], ["wet"], folder=folder)
    assert derive_labels(library) == 4
    assert values_of(library, "folder") == {}
    for name, folder in folders.items():
        add(library, f"{name}2", [1.0, 0.0], folder=folder)
    assert derive_labels(library) == 6
    everyone = {f"{name}{i}": name for name in folders for i in range(3)}
    assert values_of(library, "folder") == everyone
    library.drop_paths([str(Path("/loras/oil/oil2.safetensors"))])
    library.forget_pathless()
    assert derive_labels(library) == 0
    assert values_of(library, "folder") == {}


def test_folders_are_sorted_anew_whenever_a_path_has_changed(library: Library) -> None:
    for name in ("ink", "oil"):
        for number in range(3):
            add(library, f"{name}{number}", [1.0, 0.0], folder=f"/loras/{name}")
    copy = Place(Path("/loras/ink/copy.safetensors"), FileStamp(1, 2, 3))
    copies = [str(copy.path)]
    asked: list[str] = []
    library._connection.set_trace_callback(asked.append)

    def sorted_now() -> tuple[bool, int]:
        asked.clear()
        derive_labels(library)
        read = any("path FROM paths" in statement for statement in asked)
        return read, len(values_of(library, "folder"))

    assert [sorted_now(), sorted_now()] == [(True, 6), (False, 6)]
    library.add_place("oil0", copy)  # which is its first place by name
    assert [sorted_now(), sorted_now()] == [(True, 0), (False, 0)]
    library.mark_missing(copies)
    assert [sorted_now(), sorted_now()] == [(True, 6), (False, 6)]
    library.mark_present(copies)
    assert [sorted_now(), sorted_now()] == [(True, 0), (False, 0)]
    library.drop_paths(copies)
    assert [sorted_now(), sorted_now()] == [(True, 6), (False, 6)]
    for change in (library.drop_paths, library.mark_present, library.mark_missing):
        change([])
    assert sorted_now() == (False, 6)
    assert derive_labels(library, again=True) == 6


def test_notes_of_a_sidecar_keep_no_tags_from_being_derived(library: Library) -> None:
    add(library, "ink", [1.0, 0.0], ["sumi-e"])
    derive_labels(library)
    write_labels(library, [Label("ink", "note", "mine", SIDECAR)])
    with library.transaction():
        library.renew("ink")
    assert derive_labels(library) == 1
    assert (holds(library, "ink", "tag"), holds(library, "ink", "note")) == (
        ["sumi-e"],
        ["mine"],
    )


def test_words_of_sites_and_trainers() -> None:
    assert category_of(["anime", "Style", "zebra"]) == "style"
    assert category_of(["pose", "zebra"]) == "poses"
    assert category_of(["characterless"]) == ""
    assert variant_of("ponyDiffusionV6XL_v6StartWithThisOne.safetensors") == "Pony"
    assert variant_of("Illustrious-XL-v0.1") == "Illustrious"
    assert variant_of("flux.1 d") == "Flux.1 D"
    # What trainers write says which structure, not which variant.
    assert variant_of("sdxl_base_v1-0") == ""


def test_labels_go_with_their_lora_and_can_be_taken_back_meanwhile(
    library: Library,
) -> None:
    add(library, "ink", [1.0, 0.0])
    change_labels(library, ["ink"], [("style", "wash")])
    change_labels(library, ["ink"], [("style", "line")])
    library.mark_missing(["/loras/ink.safetensors"])
    assert library.forget_missing() == 1
    assert read_labels(library) == []
    undone = undo(library)
    assert undone is not None
    assert [label.value for label in (*undone.removed, *undone.added)] == [
        "line",
        "wash",
    ]
    assert read_labels(library) == []
    add(library, "ink", [1.0, 0.0])
    assert holds(library, "ink", "style") == ["wash"]
