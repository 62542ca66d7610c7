"""What LoRAs are said to be, and by whom.

Receives words, tables and answers, hands out what holds.

    labelling         a person's words, with undo
    classifying       labels by neighbours, or `unknown`
    human_triplets    questions to a person; `answers` keeps what was said
    raters            where each one's answers are kept, how far they agree
    label_tables      CSV and Parquet, in and out
    sidecar_exchange  sidecars of other programs, in and out
    label_documents   results as scripts rely on them
"""
