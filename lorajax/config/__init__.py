"""Settings: a YAML file plus `a.b=value` overrides → one frozen, validated value.

Every setting stands in exactly one place, a section a file. Nothing here imports the
rest of lorajax; every other floor receives the section it needs.
"""

from lorajax.config.collection import CollectionSettings as CollectionSettings
from lorajax.config.encoder import EncoderSettings as EncoderSettings
from lorajax.config.evaluation import EvaluationSettings as EvaluationSettings
from lorajax.config.features import FeatureSettings as FeatureSettings
from lorajax.config.job import JobSettings as JobSettings
from lorajax.config.job import RunSettings as RunSettings
from lorajax.config.loading import dump_yaml as dump_yaml
from lorajax.config.loading import load_job as load_job
from lorajax.config.training import TrainingSettings as TrainingSettings
from lorajax.config.zoo import ZooSettings as ZooSettings
