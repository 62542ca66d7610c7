"""What a process that searches a large library takes, measured in a process of its own.

    python -m benchmarks.library_process LIBRARY

prints JSON: `import_s`, `open_s` (the library and the matrix of its space, checked),
`search_s` (one number a search, from content key to named neighbours), `peak` in bytes
and `jax`, whether anything imported it.
"""

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SEARCHES = 30


def measure(library: Path) -> dict[str, Any]:
    """The numbers of a fresh process."""
    command = [sys.executable, "-m", "benchmarks.library_process", str(library)]
    folder = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def main() -> None:
    began = time.perf_counter()
    from lorajax.library import Library
    from lorajax.service.collection.library import neighbours

    imported = time.perf_counter()
    path = Path(sys.argv[1])
    with Library.open(path, create=False) as library:
        (space,) = library.spaces()
        count = len(library.matrix(space))
    opened = time.perf_counter()
    keys = [f"{count * i // SEARCHES:064x}" for i in range(SEARCHES)]
    neighbours(path, keys[0])
    seconds = []
    for key in keys:
        start = time.perf_counter()
        found = neighbours(path, key)
        seconds.append(time.perf_counter() - start)
        assert len(found.matches) == 10 and found.searched == count - 1
    from benchmarks.peak import peak_bytes

    document = {
        "import_s": imported - began,
        "open_s": opened - imported,
        "search_s": seconds,
        "peak": peak_bytes(),
        "jax": "jax" in sys.modules,
    }
    print(json.dumps(document))


if __name__ == "__main__":
    main()
