"""What all tests share: a compilation cache, and LoRAs made of random factors."""

import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

CACHE = Path(__file__).parent.parent / ".cache"
CONFIGS = Path(__file__).parent.parent / "configs"
TINY = CONFIGS / "tiny.yaml"
os.environ["LORAJAX_CACHE"] = str(CACHE)
os.environ.setdefault("JAX_PLATFORMS", "cpu")  # one result, GPU or not
os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(CACHE / "compiled"))
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0.2")

from lorajax.adapters.adapter import Adapter  # noqa: E402
from lorajax.adapters.interface import Update  # noqa: E402
from lorajax.adapters.low_rank import LowRankUpdate  # noqa: E402
from lorajax.config import JobSettings, load_job  # noqa: E402
from lorajax.service.learning.training import TrainingReport, train  # noqa: E402


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--update-snapshots` keeps the screens as they are drawn now (tests/tui)."""
    parser.addoption("--update-snapshots", action="store_true")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One worker more than cores: a sixth of their time they wait, for a timer or for
    what another worker makes."""
    return (os.cpu_count() or 1) + 1


SHAPES = {"unet.a.to_q": (12, 10), "unet.b.to_k": (8, 16), "unet.c.proj_in": (6, 6)}
MakeAdapter = Callable[..., Adapter]


def adapter_of(
    updates: Mapping[str, Update], name: str = "made", dead: Sequence[str] = ()
) -> Adapter:
    """An adapter of an imaginary base model."""
    return Adapter(
        path=Path(f"{name}.safetensors"),
        name=name,
        base_model="imaginary",
        format="kohya",
        family="lora",
        tier="exact",
        updates=dict(updates),
        dead=tuple(dead),
        unmapped=(),
        side=(),
        ranks={module: 1 for module in updates},
        factors=(),
        dtype="F32",
        warnings=(),
        content_key=name,
        evidence="made for a test",
    )


@pytest.fixture(scope="session")
def make_adapter() -> MakeAdapter:
    """Random LoRAs: `make_adapter(seed, modules=…)`, ranks 1 to 4, some scale."""

    def make(seed: int, modules: Sequence[str] = tuple(SHAPES)) -> Adapter:
        rng = np.random.default_rng(seed)
        updates: dict[str, Update] = {}
        for module in modules:
            out, in_ = SHAPES[module]
            rank = int(rng.integers(1, 5))
            updates[module] = LowRankUpdate(
                rng.standard_normal((out, rank)).astype("f4"),
                rng.standard_normal((rank, in_)).astype("f4"),
                float(rng.uniform(0.5, 2.0)),
            )
        return adapter_of(updates, f"lora-{seed}")

    return make


@pytest.fixture(scope="session")
def common(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all workers of pytest-xdist see, new for every run of the suite."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@contextmanager
def by_one(path: Path) -> Iterator[None]:
    """Lets one worker make something while the others wait for it."""
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@pytest.fixture(scope="session")
def tiny_job(common: Path) -> JobSettings:
    """`configs/tiny.yaml` over LoRAs that are really trained, once for all tests.

    They are trained in a process that optimises what it compiles: `make test` has JAX
    compile quickly instead, which is three times slower where much is computed.
    """
    folder = common / "tiny-zoo"
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    code = f"""if True:
        from pathlib import Path
        from lorajax.config import load_job
        from lorajax.zoo.collection.build import build_zoo
        build_zoo(load_job(Path({str(TINY)!r})).zoo, Path({str(folder)!r}))
    """
    with by_one(folder):
        if not folder.exists():
            subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    return load_job(TINY, [f"collection.path={folder}"])


@pytest.fixture(scope="session")
def tiny_run(tiny_job: JobSettings, common: Path) -> TrainingReport:
    """A finished run of it, which nobody changes."""
    root = common / "checkpoints"
    with by_one(root):
        if root.exists():
            return train(root / "tiny" / "config.yaml", ["run.resume=true"])
        return train(TINY, overrides(tiny_job, root))


def overrides(job: JobSettings, root: Path, *more: str) -> list[str]:
    """What makes `configs/tiny.yaml` use the shared collection and a fresh folder."""
    return [f"collection.path={job.collection.path}", f"run.root={root}", *more]
