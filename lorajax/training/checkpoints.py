"""Orbax checkpoints: what a run continues from after it was stopped."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orbax.checkpoint as ocp

from lorajax.errors import CheckpointError

# The next state is complete before the one before it is deleted.
KEEP = 1


class Checkpoints:
    """Numbered states of one split, the newest of them kept."""

    def __init__(self, manager: ocp.CheckpointManager, path: Path) -> None:
        self._manager, self._path = manager, path

    def save(self, step: int, state: Any) -> None:
        """Writes a state of arrays; it is on disk when this returns."""
        self._manager.save(step, args=ocp.args.StandardSave(state), force=True)
        self._manager.wait_until_finished()

    def restore(self, like: Any) -> tuple[int, Any] | None:
        """The newest state, or None where there is none.

        Args:
          like: a state of the same structure and shapes.

        Raises:
          CheckpointError: where the state on disk has another structure.
        """
        step = self._manager.latest_step()
        if step is None:
            return None
        try:
            state = self._manager.restore(step, args=ocp.args.StandardRestore(like))
        except (ValueError, KeyError, FileNotFoundError, TypeError) as error:
            raise CheckpointError(
                f"{self._path}: step {step} does not fit this configuration",
                "start a new run: give it another run.name",
            ) from error
        return step, state


@contextmanager
def open_checkpoints(path: Path) -> Iterator[Checkpoints]:
    """Opens a folder of checkpoints, made where it is missing."""
    options = ocp.CheckpointManagerOptions(
        max_to_keep=KEEP, create=True, enable_async_checkpointing=False
    )
    with ocp.CheckpointManager(path.absolute(), options=options) as manager:
        yield Checkpoints(manager, path)
