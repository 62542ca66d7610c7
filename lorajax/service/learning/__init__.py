"""Runs: from a configuration to what it learned and how good it is.

Receives a configuration, hands out a folder with all that came of it.

    configs, settings  configurations, and how a form edits them
    training           one run: `job`, in its parts `split_runs`, `cached_features`,
                       `judging` and `run_folders`
    studies            several configurations on the same splits
    runs               runs of other processes; `curves` and `side_by_side` of them
    evaluating         what was measured; `measured` finds it
    reporting          the page; `exporting` the bundle
    run_documents      runs as scripts rely on them
"""
