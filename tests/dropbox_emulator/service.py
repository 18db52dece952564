"""The whole service: everything that a reset throws away."""

import itertools
from pathlib import Path

from .accounts import Account
from .clock import Bell, Clock
from .content import Contents
from .faults import Faults
from .jobs import Jobs
from .journal import Journal
from .settings import Settings
from .tokens import Tokens


class Service:
    """`bell` rings whenever something changed that somebody may wait for."""

    def __init__(self, directory: Path) -> None:
        self.bell = Bell()
        self.clock = Clock(self.bell)
        self.settings = Settings()
        self.contents = Contents(directory / "contents")
        self.faults = Faults()
        self.journal = Journal()
        self.jobs = Jobs(self.settings)
        self.accounts: dict[str, Account] = {}
        self.uids: dict[str, str] = {}
        self.tokens = Tokens(self.clock, self.settings, self.uids)
        self._directory = directory
        self._numbers = itertools.count(1)
        self.first = self.add_account()

    def add_account(self) -> Account:
        number = next(self._numbers)
        account = Account(number, self._directory / f"account{number}", self.contents, self.clock, self.settings)
        self.accounts[account.id] = account
        self.uids[account.id] = account.uid
        return account
