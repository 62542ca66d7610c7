"""Training: a dataset and an encoder come in, a trained encoder goes out.

`losses` and `step` are pure, `batches` draws what a step sees, `fit` is the loop with
selection and resume, `checkpoints` keeps states and `run_dir` tells others of a run.
"""
