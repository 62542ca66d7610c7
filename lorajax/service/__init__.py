"""Service: the one door for front ends; typed calls, progress, no printing.

Nothing heavy is imported before a call needs it.

    collection  the library: indexing, looking, embedding, keeping it whole
    likeness    searching, explaining, comparing, duplicates, the map and its groups
    labels      what LoRAs are said to be: by people, tables, sidecars and neighbours
    learning    runs and studies, from a configuration to a report and a bundle
    zoo         LoRAs with known truth: building them, training one, drawing with them
    demo        the whole road once

Beside them lies what all of them share: `progress`, `stopping`, `compute` (JAX, made
ready), `processes`, and `asking` a process of its own.
"""
