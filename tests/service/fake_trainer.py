"""A trainer without training: `fake_trainer.py CONFIG key=value …` writes a run.

It takes the same words as `python -m lorajax.train` and keeps the same files, so that
what starts, watches and stops a run can be tested in a second.
"""

import json
import math
import signal
import sys
import time
from pathlib import Path

from lorajax.training.run_dir import RunDir, write_json


def main(config: str, *words: str) -> None:
    overrides = dict(word.split("=", 1) for word in words)
    path = Path(overrides["run.root"]) / overrides["run.name"]
    if overrides.get("fake") == "crash":
        sys.exit("configs/base.yaml: unknown key 'lerning_rate'")
    if overrides.get("run.resume") == "true":
        kept = json.loads(Path(config).read_text())
        overrides |= {"training.steps": kept["training"]["steps"], "pause": "0.05"}
    run, total = RunDir(path), int(overrides.get("training.steps", "40"))
    pause = overrides.get("pause", "0.01")
    (path / "config.yaml").write_text(json.dumps({"training": {"steps": total}}))
    signal.signal(signal.SIGTERM, lambda *_: (path / "stop").touch())
    run.log(kind="stage", stage="features", message=f"read {config}")
    for step in range(1, total + 1):
        loss = math.exp(-step / 15) + 0.02 * math.sin(step)
        run.update(state="running", stage="training", step=step, total=total)
        run.log(kind="train", split=0, step=step, loss=loss, lr=1e-3, loras_per_s=640.0)
        if step % 5 == 0:
            right = 1 - loss / 2
            run.log(kind="validation", split=0, step=step, triplet_accuracy=right)
        if (path / "stop").exists():
            return run.update(state="stopped", message="asked to stop")
        time.sleep(float(pause))
    row = {"method": "encoder trained", "triplet_accuracy": {"mean": 0.75, "std": 0.01}}
    write_json(path / "results.json", {"trained": True, "splits": 1, "rows": [row]})
    run.update(state="finished", stage="done")


if __name__ == "__main__":
    main(*sys.argv[1:])
