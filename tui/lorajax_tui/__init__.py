"""The terminal application: browse a collection, walk its neighbours, watch training.

A client of `lorajax.service` and of nothing else in lorajax. It never imports jax:
what needs it runs as a process of its own, so the screen comes at once and stays alive.
"""
