"""Words of strangers, made fit for a message."""


def printable(text: object, limit: int = 60) -> str:
    """The text without control and direction characters, cut to `limit`."""
    return "".join(c for c in str(text)[: 4 * limit] if c.isprintable())[:limit]
