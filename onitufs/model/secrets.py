"""The secrets that this process has read, so that the log can blot them out wherever they come up."""

SHORTEST = 4  # one of fewer letters would blot out half the log, and protects nothing

_known: set[str] = set()


def hide(secret: str) -> None:
    """From now on this text is not to be shown."""
    if len(secret) >= SHORTEST:
        _known.add(secret)


def hidden(text: str, instead: str) -> str:
    """The text without any known secret."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, instead)
    return text
