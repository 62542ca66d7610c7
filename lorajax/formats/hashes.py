"""Hashes that others wrote down, held against those of the file.

Trainers write SHA-256 of the tensors' bytes into the metadata when they save; sites
list SHA-256 of whole files, and shorten the two to AutoV3 and AutoV2.
"""

from lorajax.formats.about import About

# SHA-256 of no bytes: what a hash of a file without tensors shows, and says nothing.
_OF_NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
# The older hash of web UIs is of a part of the file alone.
_OF_TENSORS = ("sshs_model_hash", "modelspec.hash_sha256")
_DIGITS = frozenset("0123456789abcdef")


def hash_warnings(
    about: About, file_sha256: str, weights_sha256: str
) -> tuple[str, ...]:
    """One line for each hash that the file or a neighbour tells otherwise."""
    inside = {
        said.source: _hash(said.value)
        for said in about.hashes
        if said.source in _OF_TENSORS and _hash(said.value) != weights_sha256
    }
    warnings = [
        f"the tensors changed since they were hashed: {source} is {told[:12]}…, "
        f"theirs is {weights_sha256[:12]}…"
        for source, told in inside.items()
        if told
    ]
    beside: dict[str, set[str]] = {}
    for said in about.sha256:
        if told := _hash(said.value):
            beside.setdefault(said.source, set()).add(told)
    warnings += [
        f"{source} lists hashes of other files, and not of this one"
        for source, told in beside.items()
        if file_sha256 not in told
    ]
    return tuple(warnings)


def _hash(text: str) -> str:
    """A whole SHA-256 in small letters; nothing for any other text or a placeholder."""
    digits = text.strip().lower().removeprefix("0x")
    whole = len(digits) == 64 and _DIGITS.issuperset(digits)
    placeholder = digits.startswith(_OF_NOTHING[:12])
    return digits if whole and not placeholder else ""
