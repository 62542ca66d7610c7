"""The losses, formula by formula, as plain loops over NumPy arrays."""

import math
from collections.abc import Callable

import numpy as np

# Of proxy-anchor; the other losses have no parameters.
STYLES, WIDTH = 7, 6
PROXIES = np.random.default_rng(9).standard_normal((STYLES, WIDTH))


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -500 else 0.0


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def groups(labels: np.ndarray, i: int) -> tuple[list[int], list[int]]:
    """Positives and negatives of an anchor."""
    rest = [j for j in range(len(labels)) if j != i and labels[j] >= 0]
    if labels[i] < 0:
        return [], []
    positive = [j for j in rest if labels[j] == labels[i]]
    return positive, [j for j in rest if labels[j] != labels[i]]


def loop_supervised_contrastive(z: np.ndarray, labels: np.ndarray) -> float:
    terms = []
    for i in range(len(z)):
        positive, negative = groups(labels, i)
        if positive:
            below = sum(math.exp(z[i] @ z[a] / 0.1) for a in positive + negative)
            shares = [math.exp(z[i] @ z[p] / 0.1) / below for p in positive]
            terms.append(-mean([math.log(share) for share in shares]))
    return mean(terms)


def loop_multi_similarity(
    z: np.ndarray,
    labels: np.ndarray,
    alpha: float = 2.0,
    beta: float = 50.0,
    base: float = 0.5,
) -> float:
    terms = []
    for i in range(len(z)):
        positive, negative = groups(labels, i)
        if not positive or not negative:
            continue
        near, far = [z[i] @ z[p] for p in positive], [z[i] @ z[n] for n in negative]
        pulled = [s for s in near if s < max(far) + 0.1]
        pushed = [s for s in far if s > min(near) - 0.1]
        pull = math.log(1 + sum(math.exp(-alpha * (s - base)) for s in pulled))
        push = math.log(1 + sum(math.exp(beta * (s - base)) for s in pushed))
        terms.append(pull / alpha + push / beta)
    return mean(terms)


def loop_proxy_anchor(z: np.ndarray, labels: np.ndarray) -> float:
    pull, push = [], []
    for label, proxy in enumerate(PROXIES):
        s = z @ (proxy / np.linalg.norm(proxy))
        own = [math.exp(-32 * (s[i] - 0.1)) for i in np.flatnonzero(labels == label)]
        other = (labels != label) & (labels >= 0)
        far = [math.exp(32 * (s[i] + 0.1)) for i in np.flatnonzero(other)]
        pull += [math.log(1 + sum(own))] if own else []
        push.append(math.log(1 + sum(far)))
    return mean(pull) + mean(push)


def loop_rank(
    scores: np.ndarray, i: int, among: list[int], temperature: float
) -> float:
    steps = [sigmoid((scores[j] - scores[i]) / temperature) for j in among if j != i]
    return 1 + sum(steps)


def loop_smooth_ap(z: np.ndarray, labels: np.ndarray) -> float:
    terms = []
    for i in range(len(z)):
        positive, negative = groups(labels, i)
        s = z @ z[i]
        precision = [
            loop_rank(s, p, positive, 0.01) / loop_rank(s, p, positive + negative, 0.01)
            for p in positive
        ]
        terms += [1 - mean(precision)] if positive else []
    return mean(terms)


def loop_listnet(z: np.ndarray, similarity: np.ndarray, known: np.ndarray) -> float:
    terms = []
    everyone = [int(i) for i in np.flatnonzero(known)]
    for i in everyone:
        rest = [j for j in everyone if j != i]
        if len(rest) < 2:
            continue
        teacher = np.exp([similarity[i, j] / 0.7 for j in rest])
        student = np.exp([z[i] @ z[j] / 0.1 for j in rest])
        p, q = teacher / teacher.sum(), student / student.sum()
        terms.append(sum(a * math.log(a / b) for a, b in zip(p, q, strict=True)))
    return mean(terms)


def loop_approx_ndcg(z: np.ndarray, similarity: np.ndarray, known: np.ndarray) -> float:
    terms = []
    everyone = [int(i) for i in np.flatnonzero(known)]
    for i in everyone:
        rest = [j for j in everyone if j != i]
        gain = {j: max(similarity[i, j], 0.0) for j in rest}
        best = sorted(gain.values(), reverse=True)
        ideal = sum(g / math.log2(place + 2) for place, g in enumerate(best))
        if ideal == 0:
            continue
        ranks = {j: loop_rank(z @ z[i], j, rest, 0.05) for j in rest}
        terms.append(1 - sum(gain[j] / math.log2(1 + ranks[j]) for j in rest) / ideal)
    return mean(terms)


LOOPS: dict[str, Callable[..., float]] = {
    "supervised_contrastive": loop_supervised_contrastive,
    "multi_similarity": loop_multi_similarity,
    "proxy_anchor": loop_proxy_anchor,
    "smooth_ap": loop_smooth_ap,
    "listnet": loop_listnet,
    "approx_ndcg": loop_approx_ndcg,
}
