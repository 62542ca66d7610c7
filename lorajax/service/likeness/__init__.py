"""Which LoRAs are alike, and why.

Receives names or files, hands out what is near them.

    searching    the nearest of one or several; `given` is what a person names
    explaining   which layers agree; `comparing` module by module
    duplicates   the ladder of copies
    mapping      a space as places in the plane; `grouping` colours it
    filter_line  what a person types into a filter
    reading      LoRAs of the library, read from their files
    search_documents, ladder_documents  results as scripts rely on them
"""
