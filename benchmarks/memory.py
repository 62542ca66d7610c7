"""Peak memory of featurising one file, in a process that does nothing else.

    python -m benchmarks.memory sd1

prints `{"before": …, "peak": …}` in bytes: what the process held with everything
imported and nothing read, and the most that it ever held. The peak counts the
interpreter, the libraries, the basis, pages of the file while they are mapped, and
whatever a first file costs.
"""

import json
import subprocess
import sys
from pathlib import Path

import psutil

from benchmarks.lora_files import FLUX, SD1, SDXL, Kind, lora_file
from benchmarks.ours import default_basis, features_of
from benchmarks.peak import peak_bytes

KINDS = {kind.base_model: kind for kind in (SD1, SDXL, FLUX)}


def measure(kind: Kind) -> tuple[int, int]:
    """(before, peak) of a fresh process, in bytes."""
    lora_file(kind, 0)
    default_basis(kind)  # both are made here, so that the process only reads them
    command = [sys.executable, "-m", "benchmarks.memory", kind.base_model]
    folder = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout)
    return found["before"], found["peak"]


def main() -> None:
    kind = KINDS[sys.argv[1]]
    path = lora_file(kind, 0)
    before = psutil.Process().memory_info().rss
    features_of(path, default_basis(kind))
    print(json.dumps({"before": before, "peak": peak_bytes()}))


if __name__ == "__main__":
    main()
