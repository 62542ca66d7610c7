"""A whole job: the sections of `configs/*.yaml` together."""

from typing import Annotated

from pydantic import Field

from lorajax.config.collection import CollectionSettings
from lorajax.config.encoder import EncoderSettings
from lorajax.config.evaluation import EvaluationSettings
from lorajax.config.features import FeatureSettings
from lorajax.config.section import Section
from lorajax.config.training import TrainingSettings
from lorajax.config.zoo import ZooSettings


class RunSettings(Section):
    """Where a run lives.

    Attributes:
      name: folder below `root`; none means the configuration's file name, numbered
        where that is taken.
      seed: one seed, one result: splits, initialisation and triplets follow from it.
      resume: continue the run of this name where it stopped.
    """

    name: Annotated[str | None, Field(pattern=r"^[^/\\:*?\"<>|\x00-\x1f]+$")] = None
    root: str = "checkpoints"
    seed: Annotated[int, Field(ge=0)] = 0
    resume: bool = False


class JobSettings(Section):
    """Everything that `python -m lorajax.train CONFIG` needs to know."""

    run: RunSettings = RunSettings()
    collection: CollectionSettings = CollectionSettings()
    zoo: ZooSettings = ZooSettings()
    features: FeatureSettings = FeatureSettings()
    encoder: EncoderSettings = EncoderSettings()
    training: TrainingSettings = TrainingSettings()
    evaluation: EvaluationSettings = EvaluationSettings()
