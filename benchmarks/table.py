"""The tables of `docs/performance.md`, from what was measured.

python -m benchmarks.table            # prints them
python -m benchmarks.table --write    # puts them between the page's markers
"""

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.lora_files import FLUX, SD1, SDXL, Kind, sides
from benchmarks.machine import read_machine
from benchmarks.rows import Row, read_rows
from lorajax.config.features import FeatureSettings

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
CURVE = Path(__file__).parent / "feature_curve.json"
SKETCH = 16
COMPONENTS = 128


def rows_table(rows: Sequence[Row]) -> str:
    """One line a row of `results.json`."""
    lines = [
        "| row | ours | against | rival | ratio | spread | rounds | target | met |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        met = {None: "", True: "yes", False: "no"}[row.met]
        lines.append(
            f"| `{row.name}` | {_amount(row.median_s, row.median_bytes)} | {row.rival} "
            f"| {_amount(row.rival_median_s, row.rival_median_bytes)} "
            f"| {_ratio(row.ratio)} | {100 * row.spread:.0f} % | {row.rounds} "
            f"| {row.target or ''} | {met} |"
        )
    return "\n".join(lines)


def machine_table() -> str:
    """Facts of the machine that measured last."""
    lines = ["| fact | value |", "|---|---|"]
    lines += [f"| {name} | {value} |" for name, value in read_machine().items()]
    return "\n".join(lines)


def floors_table() -> str:
    """What reading and arithmetic alone would take on the machine, per file.

    The bytes are those of the factors and of the basis, each read once; the operations
    are those of a two-sided sketch, taken from the smaller side, and of the product
    with the components.
    """
    facts = read_machine()
    speed, peak = facts["copy_all_cores_gb_s"] * 1e9, facts["sgemm_gflop_s"] * 1e9
    lines = [
        "| file | modules | factors | basis | bytes / bandwidth "
        "| operations | operations / peak |",
        "|---|---|---|---|---|---|---|",
    ]
    for label, kind in (("SD1.5", SD1), ("SDXL", SDXL), ("Flux", FLUX)):
        factors, basis, operations = costs(kind)
        lines.append(
            f"| {label} rank {kind.rank} | {len(sides(kind))} | {factors / 1e6:.1f} MB "
            f"| {basis / 1e6:.1f} MB | {1e3 * (factors + basis) / speed:.1f} ms "
            f"| {operations / 1e9:.2f} G | {1e3 * operations / peak:.1f} ms |"
        )
    return "\n".join(lines)


def costs(kind: Kind) -> tuple[int, int, int]:
    """Bytes of the factors, bytes of the basis, operations of the default scores."""
    shapes, rank = sides(kind), kind.rank
    values = sum(rank * (out + in_) for out, in_ in shapes)
    core = SKETCH**2
    directions = SKETCH * sum(out + in_ for out, in_ in shapes)
    basis = 2 * (directions + len(shapes) * (COMPONENTS + 1) * core)
    products = values * SKETCH + len(shapes) * (rank * core + core * COMPONENTS)
    return 2 * values, basis, 2 * products


def curve_table() -> str:
    """What settings of the projection cost and are worth, as `feature_curve` found."""
    lines = [
        "| projection | scale | side | components | otherwise | feature | basis | time "
        "| energy | error | validation | MAP@10 | test | MAP@10 |",
        "|" + "---|" * 14,
    ]
    for row in json.loads(CURVE.read_text("utf-8")):
        cells = [
            f"`{row['projection']}`",
            row["scale"],
            row["side"] or "",
            row["components"],
            _otherwise(row),
            f"{row['feature_kb']} kB",
            f"{row['basis_mb']:.1f} MB",
            f"{row['transform_ms']:.1f} ms" if row["transform_ms"] else "",
            f"{row['held_out_energy']:.2f}",
            f"{row['validation error']:.3f}",
            *(
                f"{row[f'{part} {metric}']:.3f}"
                for part in ("validation", "test")
                for metric in ("triplets", "map@10")
            ),
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


def _otherwise(row: dict[str, Any]) -> str:
    if row["keep"] == "mean":
        return "mean only"
    if not row["centre"]:
        return "not centred"
    few = row["sides_from"] not in (None, FeatureSettings().sides_from)
    return f"sides from {row['sides_from']}" if few else ""


def fill(text: str) -> str:
    """The page with its tables made anew."""
    tables = {
        "rows": rows_table(read_rows()),
        "machine": machine_table(),
        "floors": floors_table(),
        "curve": curve_table(),
    }
    for name, table in tables.items():
        start, end = f"<!-- {name}: python -m benchmarks.table -->", f"<!-- /{name} -->"
        pattern = f"{re.escape(start)}.*?{re.escape(end)}"
        if not re.search(pattern, text, re.DOTALL):
            raise ValueError(f"expected {start} … {end} in {PAGE.name}")
        filled = f"{start}\n{table}\n{end}"
        text = re.sub(pattern, lambda _, new=filled: new, text, flags=re.DOTALL)
    return text


def main() -> None:
    if sys.argv[1:] == ["--write"]:
        PAGE.write_text(fill(PAGE.read_text("utf-8")), "utf-8")
        return
    tables = (rows_table(read_rows()), machine_table(), floors_table(), curve_table())
    print("\n\n".join(tables))


def _amount(seconds: float | None, held: float | None) -> str:
    if seconds is not None:
        return f"{seconds:.2f} s" if seconds >= 1 else f"{1e3 * seconds:.1f} ms"
    if held is None:
        return ""  # a share has neither
    return f"{held / 1e9:.1f} GB" if held >= 1e9 else f"{held / 1e6:.0f} MB"


def _ratio(ratio: float) -> str:
    return f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}"


if __name__ == "__main__":
    main()
