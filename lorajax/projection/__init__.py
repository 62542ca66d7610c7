"""Projection: adapters come in, `Features` [LoRAs, modules, components] go out.

Per-module PCA in three kinds behind one interface (`preparing`, `basis`): by inner
products of factors (`gram_pca`), over sketches and over flattened updates
(`linear_pca`). `base_space` needs no fit at all. A basis is saved by `storage`.
"""
