"""`onitufs doctor`"""

import os
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from onitufs.control.findings import Finding, of_machine
from onitufs.model.errors import Exit, SetupError

from . import show
from .asking import json_option

HELP = """Look at everything that OnituFS needs, and say of each thing that is not well what helps.

FUSE, rights, limits, versions, the disk of the state, mounts that are dead, daemons without a mount, the entries of
what is mounted; and with SETUP its entries, which are tried. Ends with 0 if all is fine, else with 7; what is only
worth knowing does not count.

\b
Examples:
  onitufs doctor
  onitufs doctor setup.json
  onitufs doctor --json
"""

MARKS = {"fine": " ok ", "note": "note", "wrong": "BAD "}


@click.command("doctor", help=HELP, short_help="Look whether all is well here.")
@click.argument("setup", required=False)
@click.option("--state", metavar="DIR", help="The state directory that you mean to use.")
@json_option
def command(setup: str | None, state: str | None, as_json: bool) -> int:
    findings = list(of_machine(state and os.path.abspath(state)))
    if setup is not None:
        findings += _of_setup(setup)
    well = not any(finding.state == "wrong" for finding in findings)
    if as_json:
        show.as_json({"well": well, "findings": [asdict(finding) for finding in findings]})
    else:
        for finding in findings:
            click.echo(f"{MARKS[finding.state]}  {show.safe(finding.what)}: {show.safe(finding.found)}")
            if finding.remedy:
                click.echo(f"      {show.safe(finding.remedy)}")
    return Exit.FINE if well else Exit.NEEDS_PERSON


def _of_setup(setup: str) -> Iterator[Finding]:
    import trio

    from onitufs.daemon.checking import check

    try:
        _, entries = trio.run(partial(check, Path(setup), offline=False))
    except SetupError as error:
        for problem in error.problems:
            yield Finding(what="setup", state="wrong", found=problem, remedy=f"mend it; onitufs check {setup}")
        return
    yield Finding(what="setup", state="fine", found=setup)
    for entry in entries:
        what = f"entry {entry.name}"
        if not entry.problem:
            yield Finding(what=what, state="fine", found="can be used")
        else:
            found, colon, remedy = entry.problem.rpartition(": ")
            yield Finding(what=what, state="wrong", found=found if colon else remedy, remedy=remedy if colon else "")
