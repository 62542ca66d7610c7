"""What screens share that have a line which filters what they show."""

from __future__ import annotations

from textual import on, work
from textual.containers import Horizontal
from textual.widget import Widget
from textual.widgets import Input, Static

from lorajax.errors import LorajaxError
from lorajax.service.likeness.filter_line import fitting, parse_line
from lorajax_tui.messages import ConditionsFitted
from lorajax_tui.screens.browse import Browse


class Filtered(Browse):
    """A screen with a line that filters; subclasses bind keys to its actions.

    Attributes:
      filtering: the conditions of the line and the LoRAs that fit them.
    """

    filtering = ConditionsFitted("")

    def filter_line(self, beside: str) -> Widget:
        """The line, and words beside it in a widget of this id."""
        line = Input(placeholder="Filter: /", id="filter", compact=True)
        return Horizontal(line, Static(id=beside), id="filter-line")

    def filtered(self) -> Widget:
        """What the line filters, and what gets the focus when it is left."""
        raise NotImplementedError

    def focus_filtered(self) -> None:
        """Takes the focus to what is shown anew, but not from a line or details."""
        # Where it was hidden, textual gave its focus to whatever comes next.
        if not isinstance(self.focused, Input) and not self.has_class("-details"):
            self.filtered().focus()

    def refilter(self) -> None:
        """Shows what fits the line now."""
        raise NotImplementedError

    def on_mount(self) -> None:
        super().on_mount()
        # Not by a message, which comes after the letter has been drawn: the rows would
        # then wait for the next drawing but one, some 30 ms.
        self.watch(self.query_one("#filter", Input), "value", self.refilter, init=False)
        self.watch(self.app, "words_said", self.labels_changed, init=False)

    @property
    def line(self) -> str:
        return self.query_one("#filter", Input).value

    def action_filter(self) -> None:
        self.query_one("#filter", Input).focus()

    def action_clear_filter(self) -> None:
        self.query_one("#filter", Input).value = ""
        self.filtered().focus()

    @on(Input.Submitted, "#filter")
    def _filter_submitted(self) -> None:
        self.filtered().focus()

    def labels_changed(self) -> None:
        """Asks anew what fits, since conditions may be on labels."""
        self.filtering = ConditionsFitted("")
        if parse_line(self.line).where:
            self.refilter()

    def fits(self, where: str) -> ConditionsFitted | None:
        """Which LoRAs fit conditions; None where that is being asked.

        It is filtered anew once that is known.
        """
        if not where:
            return ConditionsFitted("")
        if where == self.filtering.where:
            return self.filtering
        self._fit(where)
        return None

    @work(thread=True, exclusive=True, group="conditions", exit_on_error=False)
    def _fit(self, where: str) -> None:
        """Asks the library for the LoRAs that fit; plain words need no asking."""
        try:
            keys = fitting(self.lorajax.library, where)
            self.post_message(ConditionsFitted(where, keys))
        except LorajaxError as error:
            self.post_message(ConditionsFitted(where, frozenset(), error))

    @on(ConditionsFitted)
    def _conditions_fitted(self, message: ConditionsFitted) -> None:
        if message.where == parse_line(self.line).where:
            self.filtering = message
            self.refilter()
