"""Secrets in the desktop's keyring (Secret Service, KWallet), by the library `keyring`, imported when it is used."""

SERVICE = "onitufs"
"""Under which a keyring lists what is ours."""


def read(name: str) -> str:
    """The secret of that name, "" if there is none. Raises ValueError if there is no keyring, or it stays locked."""
    import keyring
    from keyring.errors import KeyringError

    try:
        return keyring.get_password(SERVICE, name) or ""
    except KeyringError as exc:
        raise _unusable(name, exc) from exc


def write(name: str, value: str) -> None:
    """Keep a secret under that name. Raises as read()."""
    import keyring
    from keyring.errors import KeyringError

    try:
        keyring.set_password(SERVICE, name, value)
    except KeyringError as exc:
        raise _unusable(name, exc) from exc


def _unusable(name: str, exc: Exception) -> ValueError:
    why = (str(exc) or type(exc).__name__).splitlines()[0]
    return ValueError(
        f"the keyring that is to hold {name} cannot be used here: {why}; "
        'unlock it, or refer to the secret as {"file": "PATH"} in the setup'
    )
