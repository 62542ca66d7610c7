"""Tags as uploaders write them: several per LoRA, some missing, some wrong.

The truth about a LoRA is its style and what it does to pictures. What an uploader says
about it is a noisy reading of that, and a teacher made from it is as fallible as one
made from a public hub's tags.
"""

import numpy as np

from lorajax.zoo.base.scenes import Content
from lorajax.zoo.styles.attributes import ATTRIBUTES
from lorajax.zoo.styles.styles import Style

UNTAGGED = 0.06  # share of LoRAs that nobody tagged
MENTIONED = 0.7  # chance that an attribute of the style is named
WRONG = 0.25  # chance of an attribute that the style does not have
SUBJECT = 0.3  # chance that a word of the content is named
GENERIC = ("style", "art", "concept", "aesthetic", "experimental")


def upload_tags(
    rng: np.random.Generator, style: Style, content: Content
) -> tuple[str, ...]:
    """What an uploader writes about a LoRA of this style, trained on this content."""
    said = [name for name in style.tags if rng.random() < MENTIONED]
    others = [name for name in ATTRIBUTES if name not in style.tags]
    if rng.random() < WRONG:
        said.append(str(rng.choice(others)))
    said += [word for word in content.tags if rng.random() < SUBJECT]
    generic = rng.choice(GENERIC, size=rng.integers(0, 3), replace=False)
    said += [str(word) for word in generic]
    return () if rng.random() < UNTAGGED else tuple(said)
