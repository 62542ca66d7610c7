"""Evaluation: vectors and truth come in, tables go out; NumPy alone.

`metrics` are the retrieval measures, `queries` their values query by query,
`significance` the tests that compare two methods by these, `results` the table of a
run.
"""
