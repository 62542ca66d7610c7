"""Peak memory of featurising a file, each time in a fresh process."""

from benchmarks.conftest import Compare
from benchmarks.lora_files import SD1, SDXL, lora_file
from benchmarks.memory import measure
from benchmarks.rivals import PAPER_COMPONENTS, paper_bytes

PROCESSES = 3


def bench_features_vs_paper_memory(compare: Compare) -> None:
    """Ours is measured (basis and working set), the rival's is counted."""
    pairs = [measure(SD1) for _ in range(PROCESSES)]
    held = [peak - before for before, peak in pairs]
    ours = ("basis and working set of one SD1.5 file", held)
    what = f"{PAPER_COMPONENTS} components, mean and ΔW of all modules, counted"
    compare.memory(ours, (what, paper_bytes(SD1)), ">= 100")


def bench_memory_of_features(compare: Compare) -> None:
    """The whole process, interpreter and libraries included."""
    size = lora_file(SDXL, 0).stat().st_size
    peaks = [measure(SDXL)[1] for _ in range(PROCESSES)]
    ours = ("peak of a process that featurises one SDXL file", peaks)
    limit = ("2 x the file's size + 500 MB", 2 * size + 500_000_000)
    compare.memory(ours, limit, "<= 1.0")
