"""Convert: a file comes in, the same update in another trainer's naming goes out.

`sources` tells what is in the file, `layers` what the target writes of it, `joining`
cuts fused layers and puts them together, `configuration` says ranks and alphas where
the target keeps them beside, `storing` puts the file in its place.
"""

from lorajax.export.convert.conversion import Conversion as Conversion
from lorajax.export.convert.conversion import convert_file as convert_file
