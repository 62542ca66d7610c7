"""The stored collection as front ends use it.

Receives folders and files, hands out what the library holds.

    library     look: entries, columns, neighbours, what was refused
    indexing    bring it up to date; `index_job` beside a screen, `watching` for ever
    describing  one file, read once
    embedding   files to vectors, with a bundle or without; `bases` keeps fitted ones
    inspecting  what a file is; `converting` writes it in another trainer's naming
    keeping     is the library whole, and what to do where it is not
    previews    the picture of a LoRA
    documents   results as scripts rely on them; `library_documents` for lists
"""
