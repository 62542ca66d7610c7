"""Every message between workers and screens.

Workers call the service and post one of these; screens render what they carry.

    library   the library, one LoRA of it, indexing, and that something was refused
    likeness  what is near, the map, duplicates, what to compare
    runs      runs and what they measured
"""

from lorajax_tui.messages.library import CollectionFailed as CollectionFailed
from lorajax_tui.messages.library import CollectionLoaded as CollectionLoaded
from lorajax_tui.messages.library import ConditionsFitted as ConditionsFitted
from lorajax_tui.messages.library import CopiesFound as CopiesFound
from lorajax_tui.messages.library import EntryLoaded as EntryLoaded
from lorajax_tui.messages.library import IndexFailed as IndexFailed
from lorajax_tui.messages.library import IndexFinished as IndexFinished
from lorajax_tui.messages.library import IndexProgressed as IndexProgressed
from lorajax_tui.messages.library import PageLoaded as PageLoaded
from lorajax_tui.messages.library import PictureLoaded as PictureLoaded
from lorajax_tui.messages.library import RefusedListed as RefusedListed
from lorajax_tui.messages.library import StrengthsFailed as StrengthsFailed
from lorajax_tui.messages.library import StrengthsLoaded as StrengthsLoaded
from lorajax_tui.messages.library import TaskFailed as TaskFailed
from lorajax_tui.messages.likeness import AgreementFound as AgreementFound
from lorajax_tui.messages.likeness import AgreementNotFound as AgreementNotFound
from lorajax_tui.messages.likeness import AnswerRefused as AnswerRefused
from lorajax_tui.messages.likeness import AnswerWritten as AnswerWritten
from lorajax_tui.messages.likeness import Compared as Compared
from lorajax_tui.messages.likeness import CompareFailed as CompareFailed
from lorajax_tui.messages.likeness import Explained as Explained
from lorajax_tui.messages.likeness import ExplainFailed as ExplainFailed
from lorajax_tui.messages.likeness import LadderFailed as LadderFailed
from lorajax_tui.messages.likeness import LadderFound as LadderFound
from lorajax_tui.messages.likeness import LadderProgressed as LadderProgressed
from lorajax_tui.messages.likeness import MapFailed as MapFailed
from lorajax_tui.messages.likeness import MapLoaded as MapLoaded
from lorajax_tui.messages.likeness import MapWanted as MapWanted
from lorajax_tui.messages.likeness import NeighboursFailed as NeighboursFailed
from lorajax_tui.messages.likeness import NeighboursFound as NeighboursFound
from lorajax_tui.messages.likeness import NeighboursWanted as NeighboursWanted
from lorajax_tui.messages.likeness import QuestionFailed as QuestionFailed
from lorajax_tui.messages.likeness import QuestionLoaded as QuestionLoaded
from lorajax_tui.messages.runs import Evaluated as Evaluated
from lorajax_tui.messages.runs import EvaluateFailed as EvaluateFailed
from lorajax_tui.messages.runs import FormReady as FormReady
from lorajax_tui.messages.runs import LogRead as LogRead
from lorajax_tui.messages.runs import MeasuredListed as MeasuredListed
from lorajax_tui.messages.runs import ReportWritten as ReportWritten
from lorajax_tui.messages.runs import RunContinued as RunContinued
from lorajax_tui.messages.runs import RunRead as RunRead
from lorajax_tui.messages.runs import RunsListed as RunsListed
from lorajax_tui.messages.runs import RunsRead as RunsRead
from lorajax_tui.messages.runs import RunStarted as RunStarted
