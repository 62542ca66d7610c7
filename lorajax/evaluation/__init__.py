"""Evaluation: vectors and truth come in, tables go out; NumPy alone.

`metrics` are the retrieval measures, `results` the table of a run.
"""
