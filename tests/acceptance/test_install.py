"""What pip makes of a clone works without the clone."""

import subprocess
from pathlib import Path

import pytest

CHECK = Path(__file__).parents[2] / "scripts" / "check-install"


@pytest.mark.long(26)
@pytest.mark.timeout(600)  # pip may have to build or fetch
def test_an_installation_that_is_not_editable_has_all_that_it_needs() -> None:
    done = subprocess.run([CHECK], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=580, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("check-install: fine\n")
