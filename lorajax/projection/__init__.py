"""Projection: adapters come in, `Features` [LoRAs, modules, components] go out.

Per-module PCA in three kinds behind one `interface`: through directions that LoRAs
share (`sketch_pca`: `sides`, compiled by `kernels`), by inner products of factors
(`gram_pca`), and over flattened updates (`incremental_pca`, the paper's). What they
learn is a `basis`, which `storage` writes. `reading` goes from files to features;
`base_space` needs no fit at all.
"""
