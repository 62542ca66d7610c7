"""Labels: what LoRAs are said to be, and who says it.

label       one word about one LoRA, and which of several holds
holding     the same rule in SQL, for conditions
changes     what a person says, with its journal and its undo
vocabulary  words that people use for the same
derived     labels by tags, declared base models and folders
"""

from lorajax.library.labels.changes import Change as Change
from lorajax.library.labels.changes import change_each as change_each
from lorajax.library.labels.changes import change_labels as change_labels
from lorajax.library.labels.changes import undo as undo
from lorajax.library.labels.derived import derive_labels as derive_labels
from lorajax.library.labels.label import CLASSIFIED as CLASSIFIED
from lorajax.library.labels.label import CLUSTER as CLUSTER
from lorajax.library.labels.label import PERSON as PERSON
from lorajax.library.labels.label import SOURCES as SOURCES
from lorajax.library.labels.label import TAG as TAG
from lorajax.library.labels.label import Label as Label
from lorajax.library.labels.label import check_field as check_field
from lorajax.library.labels.label import check_value as check_value
from lorajax.library.labels.label import drop_labels as drop_labels
from lorajax.library.labels.label import effective as effective
from lorajax.library.labels.label import is_field as is_field
from lorajax.library.labels.label import read_labels as read_labels
from lorajax.library.labels.label import values_of as values_of
from lorajax.library.labels.label import write_labels as write_labels
