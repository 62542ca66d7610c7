"""Controls: similarities without a trained encoder, rows like any other in a table.

They show how much of a result a part of the weights, the training recipe or a published
baseline explains. Each gives a matrix between held-out LoRAs. Their definitions were
fixed before they were first measured. ΔW = B A is a module's update, A its `down` and B
its `up` with the scale alpha / rank in it, so that all see the same ΔW. Unless said
otherwise a control is the cosine of one vector for each LoRA; a zero vector is like
nothing, itself included, and an absent module is a zero update.

Of one LoRA alone:

    random              64 normal numbers, by the LoRA's place and the seed
    norm_only           ‖ΔW‖ of every module
    spectrum_only       the singular values of ΔW of every module, padded with zeros
    down_only           A of every module as stored, padded with rows of zeros
    raw_delta_cosine    ΔW itself

Fitted on training LoRAs, which the LoRAs that are compared do not change:

    spectrum_statistics 20 numbers: of every module that the LoRA updates, from its
                        singular values σ, the norm √Σσ², the top value σ₁, the stable
                        rank Σσ²/σ₁², the effective rank exp(−Σ p ln p) with
                        p = σ²/Σσ², and the participation ratio (Σσ²)²/Σσ⁴; of each the
                        mean, standard deviation, minimum and maximum over modules;
                        z-scored by mean and deviation over the training LoRAs
    mean_only           ⟨ΔW, M⟩/‖M‖ of every module, M the mean of the training LoRAs'
                        ΔW: one number a module, neither scaled nor centred, as
                        `features.keep=mean` with `features.scale=none`
    w2w_factors         all numbers of A and B side by side, each z-scored, then the
                        largest 100 principal components, or as many as there are; not
                        whitened, not calibrated for LoRAs that were not fitted on
    mbc_svd64           the same numbers, of each LoRA the smallest 80 % set to zero
                        by magnitude, then the largest 64 right singular vectors of the
                        training LoRAs, not centred
    dsire_spectra       no cosine but minus a distance: ‖s − s'‖ between the singular
                        values s of A, of B and of ΔW, each divided by the root mean
                        square of ‖s‖ over the training LoRAs that have it; the mean
                        over all modules and all three. Votes of nearest neighbours
                        become a mean, so that every pair has a similarity

`down_only`, `w2w_factors`, `mbc_svd64` and two thirds of `dsire_spectra` read factors,
so that another factorisation of the same ΔW changes them: they are here to show it.
They read those of plain LoRA alone. A LoRA of another family has no vector and is not
fitted on; a plain one of lower rank is padded with zeros to the largest rank of the
module in the collection.

References:
  spectrum_statistics: in the manner of Puertolas Merenciano et al. 2026, "Weight space
  detection of backdoors in LoRA adapters" (five statistics of a spectrum by four), with
  the participation ratio in the place of kurtosis, which one or two singular values do
  not have.
  w2w_factors: Dravid et al. 2024, "Interpreting the weight space of customized
  diffusion models"; Liu et al. 2024, "A LoRA is worth a thousand pictures".
  mbc_svd64: Ostapenko et al. 2024, "Towards modular LLMs by building and routing a
  library of LoRAs".
  dsire_spectra: Salama et al. 2024, "Dataset size recovery from LoRA weights".
"""

from lorajax.evaluation.controls.prepared import PreparedControls as PreparedControls
from lorajax.evaluation.controls.prepared import prepare_controls as prepare_controls
from lorajax.evaluation.controls.rows import CONTROLS as CONTROLS
from lorajax.evaluation.controls.similarities import (
    control_similarities as control_similarities,
)
from lorajax.evaluation.controls.similarities import similarities_of as similarities_of
from lorajax.evaluation.controls.unlearned import (
    unlearned_similarities as unlearned_similarities,
)
