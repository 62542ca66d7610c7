"""Service: the one door for front ends; typed calls, progress, no printing.

Nothing heavy is imported before a call needs it. `training` runs a job (`job`,
`split_runs`, `run_folders`, `stopping`), `runs` and `curves` watch runs of other
processes, `library` and `index_job` keep the stored collection, `embedding`,
`inspecting`, `evaluating`, `exporting`, `zoo` and `demo` are the other commands.
"""
