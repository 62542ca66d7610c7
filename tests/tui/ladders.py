"""Duplicates of a drawn collection, and a question that is answered with them."""

from lorajax.service.likeness.duplicates import (
    Action,
    Group,
    Kind,
    Ladder,
    Member,
    Relation,
)
from lorajax.service.likeness.ladder_documents import ladder_document
from tests.tui.questions import Answering


def member(name: str, key: str, action: Action, words: str) -> Member:
    path = f"/loras/[b]set/{name}.safetensors"
    return Member(path, key, name, 2_500_000, action, words, {"distance": 0.1}, ("/l",))


KEPT, REDUNDANT, REVIEW = Action.KEEP, Action.REDUNDANT, Action.REVIEW
SAME = (
    member("Ink wash", "k1", KEPT, "kept"),
    member("Ink 墨 copy", "k1", REDUNDANT, "the same 2,500,000 bytes"),
)
NEAR = (
    member("Oil", "k2", KEPT, "kept"),
    member("[red]Oil", "k3", REVIEW, "nearly the same update, cosine 0.97"),
)
RUN = Relation(
    *("epochs", "sd1", "session", "2 checkpoints of one run"),
    (member("ep1", "k4", KEPT, "epoch 1"), member("ep2", "k5", KEPT, "epoch 2")),
)
NOTHING = Ladder((), (), 6)
QUICK = Ladder((Group(Kind.FILE, "sd1", SAME, "the oldest is kept"),), (), 6)
WHOLE = Ladder(
    (*QUICK.groups, Group(Kind.NEAR, "sd1", NEAR, "the finest is kept", False)),
    (RUN,),
    6,
    ("/loras/changed",),
    (("/loras/x", "it is gone"),),
)


def answering(*ladders: Ladder, **more) -> Answering:
    return Answering(*(ladder_document(one, None) for one in ladders), **more)
