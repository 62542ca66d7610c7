"""Labels for an unknown LoRA by its neighbours, with an honest `unknown`.

Receives unit vectors with known labels, hands out a probability for each label. A
neighbour at cosine s weighs exp(s / T); beside the neighbours stands one stranger at
cosine s₀, whose share of the weight is the probability that the label is none of those
known. T and s₀ are fitted to the library itself: every labelled LoRA is judged once by
the others, without its own piece of work (copies and epochs must not vouch for each
other), and once without its whole label, when `unknown` is right. How much the second
counts is the chance that the next LoRA brings a new label (Good-Turing), at least
`LEAST_STRANGERS`. Below a threshold, chosen so that the answers given were right as
often as is asked for and at least one half, the answer is `unknown`.

References:
  I. J. Good, The population frequencies of species, 1953; S. Dudani, The
  distance-weighted k-nearest-neighbor rule, 1976.

    weighing   LoRAs with known labels; what neighbours and the stranger weigh
    fitting    T, s₀ and the threshold
    answering  what that says of one LoRA
    judge      all of it for a field and a space of a library
"""

from lorajax.library.guesses.answering import Answer as Answer
from lorajax.library.guesses.answering import answer as answer
from lorajax.library.guesses.fitting import PRECISION as PRECISION
from lorajax.library.guesses.fitting import Fit as Fit
from lorajax.library.guesses.fitting import fit as fit
from lorajax.library.guesses.judge import Judge as Judge
from lorajax.library.guesses.judge import open_judge as open_judge
from lorajax.library.guesses.weighing import Known as Known
