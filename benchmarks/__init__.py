"""Benchmarks: `make bench` measures the rows of `results.json` beside their rivals.

`bench_*.py` hold the rows, `ours.py` and `rivals.py` what they time, `lora_files.py`
the files that it is timed on. `docs/performance.md` tells how to read the results.
"""
