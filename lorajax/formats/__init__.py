"""Files: a path comes in, a `TensorFile` with a checked header goes out.

Everything here treats its input as hostile: sizes are bounded before memory is
taken, pickles are never opened, and every refusal says what was expected and found.
"""

from lorajax.formats.about import About as About
from lorajax.formats.about import read_about as read_about
from lorajax.formats.dtypes import to_float32 as to_float32
from lorajax.formats.header import TensorInfo as TensorInfo
from lorajax.formats.safetensors_file import TensorFile as TensorFile
from lorajax.formats.safetensors_file import open_tensor_file as open_tensor_file
from lorajax.formats.scan import Refusal as Refusal
from lorajax.formats.scan import Scan as Scan
from lorajax.formats.scan import lora_name as lora_name
from lorajax.formats.scan import scan as scan
from lorajax.formats.text import clean as clean
from lorajax.formats.text import plain as plain
