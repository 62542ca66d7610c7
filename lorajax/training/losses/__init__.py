"""Losses: unit embeddings and what is known of them come in, one scalar goes out.

`triplet` asks for single orders. `supervised_contrastive`, `multi_similarity`,
`proxy_anchor` and `smooth_ap` read labels; `listnet` and `approx_ndcg` read a graded
likeness. All are pure, of static shapes and without NaN: what is unknown is masked,
and a batch that asks for nothing has a loss and a gradient of zero.
"""

from lorajax.training.losses.approx_ndcg import approx_ndcg as approx_ndcg
from lorajax.training.losses.listnet import listnet as listnet
from lorajax.training.losses.multi_similarity import (
    multi_similarity as multi_similarity,
)
from lorajax.training.losses.proxy_anchor import proxy_anchor as proxy_anchor
from lorajax.training.losses.smooth_ap import smooth_ap as smooth_ap
from lorajax.training.losses.supervised_contrastive import (
    supervised_contrastive as supervised_contrastive,
)
from lorajax.training.losses.triplet import cosine_triplet_loss as cosine_triplet_loss
