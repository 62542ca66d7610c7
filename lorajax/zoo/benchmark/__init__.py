"""The truth of a collection in the paper's formats, and what controls score on it."""
