"""Accounts: who they are, and what belongs to them."""

import random
import string
from pathlib import Path

import trio
from dropbox import common, users, users_common

from .clock import Clock
from .content import Contents
from .feed import Feed
from .sessions import Sessions
from .settings import Settings
from .tree import Tree
from .writing import Writer

GIB = 1024**3


class Account:
    """One user's Dropbox."""

    def __init__(self, number: int, directory: Path, contents: Contents, clock: Clock, settings: Settings) -> None:
        letters = string.ascii_letters + string.digits
        self.id = "dbid:" + "".join(random.Random().choices(letters, k=35))
        self.uid = str(1_000_000 + number)
        self.namespace = str(3_000_000 + number)
        self.email = f"user{number}@example.org"
        self.suspended = False
        self.team: users.TeamSpaceAllocation | None = None
        self.tree = Tree()
        self.writer = Writer(self.tree, clock, settings, allocated=2 * GIB)
        self.feed = Feed(self.tree, clock, settings)
        self.sessions = Sessions(directory / "sessions", contents, clock, settings)
        self.namespace_lock = trio.Lock()
        self.namespace_held = False
        self.calls: list[float] = []
        """When the last calls came, for the rate limit."""

    def root_info(self) -> common.RootInfo:
        return common.UserRootInfo(root_namespace_id=self.namespace, home_namespace_id=self.namespace)

    def full(self) -> users.FullAccount:
        return users.FullAccount(
            account_id=self.id,
            name=users.Name(
                given_name="Ada",
                surname="Example",
                familiar_name="Ada",
                display_name="Ada Example",
                abbreviated_name="AE",
            ),
            email=self.email, email_verified=True, disabled=self.suspended, locale="en",
            referral_link="https://www.dropbox.com/referrals/x", is_paired=False,
            account_type=users_common.AccountType.basic, root_info=self.root_info(), country="DE",
        )  # fmt: skip

    def space(self) -> users.SpaceUsage:
        if self.team is not None:
            return users.SpaceUsage(used=self.tree.used, allocation=users.SpaceAllocation.team(self.team))
        individual = users.IndividualSpaceAllocation(allocated=self.writer.allocated)
        return users.SpaceUsage(used=self.tree.used, allocation=users.SpaceAllocation.individual(individual))
