"""Questions whose processes answer at once with what a test lays down."""

import json
import sys
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from lorajax.service.asking import Question

_CODE = """
import json, sys, time
told = json.loads(sys.argv[1])
for line in told["lines"]:
    print(line, file=sys.stderr, flush=True)
time.sleep(told["seconds"])
if told["error"]:
    sys.exit(told["error"])
print(json.dumps(told["answer"]))
"""


class Told:
    """A question that a function answers, in the thread that asks."""

    def __init__(self, answer: Callable[[], Any]) -> None:
        self.answer = answer

    def halt(self) -> None:
        pass


def telling(answer: Callable[[Sequence[str]], Any]) -> Callable[[Sequence[str]], Told]:
    """Stands in for `Question` where a function knows all answers."""
    return lambda words: Told(partial(answer, words))


class Answering:
    """Stands in for `Question`, and remembers what was asked.

    Args:
      answers: one for each question; the last one again for all that follow.
      lines: what is said on the way, as progress lines.
      seconds: how long each answer takes.
      error: what the process ends with instead of an answer.
    """

    def __init__(
        self,
        *answers: Any,
        lines: Sequence[str] = (),
        seconds: Sequence[float] = (0.0,),
        error: str = "",
    ) -> None:
        self.asked: list[list[str]] = []
        self.answers, self.lines = answers or (None,), lines
        self.seconds, self.error = seconds, error

    def __call__(self, words: Sequence[str]) -> Question:
        answer, seconds = (
            of[min(len(self.asked), len(of) - 1)] for of in (self.answers, self.seconds)
        )
        self.asked.append(list(words))
        told = {
            **{"lines": list(self.lines), "seconds": seconds},
            **{"error": self.error, "answer": answer},
        }
        return Question(words, [sys.executable, "-ISc", _CODE, json.dumps(told)])
