"""Dataset: a folder comes in; a collection, supervision, splits, triplets go out.

`collection` reads the LoRAs of one base model, `finding` looks for what says which
are alike (`label_files`, `behaviour`, `tags`, folder names) and `labels` for styles,
`splits` holds styles out, and `mining` draws triplets from the teacher.
"""
