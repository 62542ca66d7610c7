"""What to call a cluster: words much commoner inside it than outside.

Receives a set of words for each LoRA, hands out a few words a cluster, or none: a
cluster in which no word stands out beyond chance is left without a name.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

MAX_WORDS = 3
# A word that names a cluster holds for at least this share of it, and one word of the
# cluster would be this unlikely to stand out by chance.
MIN_SHARE, CHANCE = 0.5, 0.01


@dataclass(frozen=True, slots=True)
class NamingWord:
    """A word that stands out: its share of a cluster and of all others."""

    word: str
    inside: float
    outside: float


def naming_words(
    words: Sequence[frozenset[str]], clusters: Sequence[int]
) -> dict[int, tuple[NamingWord, ...]]:
    """The words that stand out in each cluster, the least likely by chance first.

    The chance is that of drawing as many LoRAs with the word, or more, when the cluster
    is drawn at random (hypergeometric), times the number of words that are looked at
    in the cluster (Bonferroni): of clusters without meaning, one in a hundred is named.

    Args:
      words: of each LoRA; those without any say nothing and are not counted.
      clusters: of each LoRA, -1 for none.
    """
    said = [(own, c) for own, c in zip(words, clusters, strict=True) if own]
    everywhere = Counter(word for own, _ in said for word in own)
    members: dict[int, list[frozenset[str]]] = {}
    for own, number in said:
        if number >= 0:
            members.setdefault(number, []).append(own)
    counts = {
        number: Counter(word for own in group for word in own)
        for number, group in members.items()
    }
    return {
        number: _telling(counts[number], len(members[number]), everywhere, len(said))
        for number in members
    }


def cluster_name(words: Sequence[NamingWord]) -> str:
    """The first words as a name; "" where none stands out."""
    return ", ".join(found.word for found in words[:MAX_WORDS])


def _telling(
    inside: Counter[str], size: int, everywhere: Counter[str], total: int
) -> tuple[NamingWord, ...]:
    found: list[tuple[float, float, str]] = []
    for word, count in inside.items():
        if count < 2 or count < MIN_SHARE * size:
            continue
        chance = _log_tail(count, size, everywhere[word], total) + math.log(len(inside))
        if chance <= math.log(CHANCE):
            found.append((chance, -count, word))
    others = max(total - size, 1)
    return tuple(
        NamingWord(word, -count / size, (everywhere[word] + count) / others)
        for _, count, word in sorted(found)
    )


def _log_tail(count: int, size: int, marked: int, total: int) -> float:
    """log P(at least `count` of `size` draws are marked), without replacement."""
    most = min(size, marked)
    logs = [_log_draws(i, size, marked, total) for i in range(count, most + 1)]
    top = max(logs)
    return top + math.log(sum(math.exp(one - top) for one in logs))


def _log_draws(count: int, size: int, marked: int, total: int) -> float:
    if size - count > total - marked:
        return -math.inf
    inside = _log_choose(marked, count) + _log_choose(total - marked, size - count)
    return inside - _log_choose(total, size)


def _log_choose(n: int, k: int) -> float:
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
