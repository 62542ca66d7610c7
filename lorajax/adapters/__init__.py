"""Updates: named tensors come in, an `Adapter` with the algebra of ΔW goes out.

ΔW is never formed on the fast path. The jitted dense reference lies in
`lorajax.adapters.delta_weight` and is not imported here: it would load JAX.
"""

from lorajax.adapters.adapter import Adapter as Adapter
from lorajax.adapters.adapter import build_adapter as build_adapter
from lorajax.adapters.adapter import check_vector as check_vector
from lorajax.adapters.adapter import name_and_build as name_and_build
from lorajax.adapters.adapter import read_adapter as read_adapter
from lorajax.adapters.algebra import exact_factors as exact_factors
from lorajax.adapters.algebra import inner as inner
from lorajax.adapters.algebra import sketch as sketch
from lorajax.adapters.algebra import spectrum as spectrum
from lorajax.adapters.base_weights import with_base as with_base
from lorajax.adapters.dense import DenseUpdate as DenseUpdate
from lorajax.adapters.dora import Magnitude as Magnitude
from lorajax.adapters.fingerprint import Fingerprint as Fingerprint
from lorajax.adapters.fingerprint import compare as compare
from lorajax.adapters.fingerprint import fingerprint as fingerprint
from lorajax.adapters.fingerprint import parse_fingerprint as parse_fingerprint
from lorajax.adapters.fingerprint import same_update as same_update
from lorajax.adapters.ia3 import ChannelScaling as ChannelScaling
from lorajax.adapters.inspect import Inspection as Inspection
from lorajax.adapters.inspect import inspect_file as inspect_file
from lorajax.adapters.interface import Update as Update
from lorajax.adapters.loha import HadamardUpdate as HadamardUpdate
from lorajax.adapters.lokr import KroneckerUpdate as KroneckerUpdate
from lorajax.adapters.low_rank import LowRankUpdate as LowRankUpdate
from lorajax.adapters.operators import Operator as Operator
from lorajax.adapters.rotation import Rotation as Rotation
