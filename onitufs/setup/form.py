"""The form of a setup file, as pydantic models: types, limits, and the descriptions that the JSON Schema shows.

Messages are raised here where the fact is known; problems.py adds where it is.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    JsonValue,
    Tag,
    ValidationInfo,
    model_validator,
)

from onitufs.model import units
from onitufs.model.globs import BadGlob, Glob

from .never import NEVER
from .scanners import HEAD_BYTES, SCANNERS

MOST_NAME_BYTES = 100  # names become parts of file names, which end at 255

_MEDIA_TYPE = re.compile(r"[\w.+-]+/([\w.+-]+|\*)|\*/\*", re.ASCII)


def _usable_name(name: str) -> str:
    try:
        encoded = name.encode()
    except UnicodeEncodeError:
        raise ValueError("a name must be whole characters") from None
    if not name.strip() or len(encoded) > MOST_NAME_BYTES:
        raise ValueError(f"a name has 1 to {MOST_NAME_BYTES} bytes")
    if "/" in name or not name.isprintable() or name != name.strip() or name.startswith("."):
        raise ValueError('a name has no "/", no control character, no space around it, and begins with no dot')
    return name


def _known_entry(name: str, info: ValidationInfo) -> str:
    known = (info.context or {}).get("entries")
    if known is not None and name not in known:
        raise UnknownName("entry", name, known)
    return name


def _possible_copies(copies: int, info: ValidationInfo) -> int:
    writable = (info.context or {}).get("writable")
    if writable is not None and copies > writable:
        raise ValueError(f"files can be placed on {writable} of the entries only")
    return copies


def _known_default(pattern: str) -> str:
    if pattern not in NEVER:
        raise UnknownName("glob of the default list is", pattern, list(NEVER))
    return pattern


def _known_scanner(pattern: str) -> str:
    if pattern not in SCANNERS:
        raise UnknownName("name of the default list is", pattern, list(SCANNERS))
    return pattern


def _process_name(name: str) -> str:
    if not name or "/" in name or not name.isprintable():
        raise ValueError('a name of a process, without "/"; *, ? and [...] stand for letters')
    return name


class UnknownName(ValueError):
    """A name that refers to nothing. `known`: the names that would."""

    def __init__(self, what: str, name: str, known: list[str]) -> None:
        super().__init__(f"no {what} {name!r}")
        self.known = known
        self.name = name


def _usable_path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError('a path in the mount begins with "/"')
    if "*" in path:
        raise ValueError('a path has no wildcards: use "glob"')
    if "\0" in path or any(part in (".", "..") for part in path.split("/")) or "//" in path:
        raise ValueError('a path has no "." or ".." or empty name in it')
    return path


def _usable_glob(pattern: str) -> str:
    try:
        Glob(pattern)
    except BadGlob as error:
        raise ValueError(f"bad glob: {error}") from error
    return pattern


def _usable_media_type(media_type: str) -> str:
    if not _MEDIA_TYPE.fullmatch(media_type):
        raise ValueError('not a media type: write one such as "application/pdf" or "image/*"')
    return media_type.lower()


def _listed(value: Any) -> Any:
    """One text where a list may be given stands for a list of one."""
    if not isinstance(value, str | list):
        raise ValueError("not text, or a list of texts")  # noqa: TRY004  pydantic collects ValueErrors only
    return [value] if isinstance(value, str) else value


_LISTED = BeforeValidator(_listed, json_schema_input_type=str | Annotated[list[str], Field(min_length=1)])
_NOT_EMPTY = Field(min_length=1)

Name = Annotated[str, AfterValidator(_usable_name)]
EntryReference = Annotated[str, AfterValidator(_known_entry)]
PathText = Annotated[str, AfterValidator(_usable_path)]
MediaType = Annotated[str, AfterValidator(_usable_media_type)]
GlobText = Annotated[str, AfterValidator(_usable_glob)]
ProcessName = Annotated[str, AfterValidator(_process_name)]
Size = Annotated[
    int,
    BeforeValidator(
        units.size,
        json_schema_input_type=Annotated[int, Field(ge=0)] | Annotated[str, Field(pattern=units.SIZE_PATTERN)],
    ),
]
Duration = Annotated[
    float,
    BeforeValidator(
        units.duration,
        json_schema_input_type=Annotated[float, Field(ge=0)] | Annotated[str, Field(pattern=units.DURATION_PATTERN)],
    ),
]
Rate = Annotated[
    int,
    BeforeValidator(
        units.rate,
        json_schema_input_type=Annotated[int, Field(ge=units.LEAST_RATE)]
        | Annotated[str, Field(pattern=units.RATE_PATTERN)],
    ),
]
Comment = Annotated[str | None, Field(description="For people; it has no effect.")]


class Form(BaseModel):
    """Every object of a setup: unknown keys are errors, and nothing is converted in silence."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, use_attribute_docstrings=False)


class SizeRange(Form):
    """Sizes, both ends included. Text such as "100 MB" (powers of 1000) or "1 GiB" (powers of 1024), or bytes."""

    min: Annotated[Size | None, Field(description="At least this size.")] = None
    max: Annotated[Size | None, Field(description="At most this size.")] = None

    @model_validator(mode="after")
    def _sensible(self) -> "SizeRange":
        _check_range(self.min, self.max)
        return self


class AgeRange(Form):
    """Time since the content last changed, both ends included. Text such as "30 days" or "12 h", or seconds."""

    min: Annotated[Duration | None, Field(description="Changed at least so long ago.")] = None
    max: Annotated[Duration | None, Field(description="Changed at most so long ago.")] = None

    @model_validator(mode="after")
    def _sensible(self) -> "AgeRange":
        _check_range(self.min, self.max)
        return self


def _check_range(least: float | None, most: float | None) -> None:
    if least is None and most is None:
        raise ValueError('give "min", "max" or both')
    if least is not None and most is not None and least > most:
        raise ValueError('"min" is above "max": nothing would match')


class MatchForm(Form):
    """What a rule covers: every condition given must hold; within a list, one is enough. {} covers everything."""

    path: Annotated[
        Annotated[list[PathText], _NOT_EMPTY, _LISTED] | None,
        Field(
            description='Beginning of the path. "/backedup/": everything below; "/backedup": it and everything below; '
            '"/": all.'
        ),
    ] = None
    glob: Annotated[
        Annotated[list[GlobText], _NOT_EMPTY, _LISTED] | None,
        Field(
            description='Without "/" for the name in any directory ("*.pdf"); with "/" for the whole path '
            '("docs/**/*.pdf"); ending in "/" for a directory and all below ("build/").'
        ),
    ] = None
    mime: Annotated[
        Annotated[list[MediaType], _NOT_EMPTY, _LISTED] | None,
        Field(description='Media types; "image/*" stands for all of a kind.'),
    ] = None
    size: SizeRange | None = None
    age: AgeRange | None = None


class RuleForm(Form):
    """All rules that match apply in order: `sync` adds entries, `ban` takes them away."""

    match: MatchForm
    sync: Annotated[list[EntryReference], Field(description="Entries to add.")] = []
    ban: Annotated[list[EntryReference], Field(description="Entries to take away again.")] = []
    local: Annotated[
        bool, Field(description="Keep it on this machine only: takes away every entry named by the rules before.")
    ] = False
    copies: Annotated[
        Annotated[int, Field(ge=1), AfterValidator(_possible_copies)] | None,
        Field(description="How many of all entries named for a file hold it; the last rule that says so decides."),
    ] = None
    comment: Comment = None

    @model_validator(mode="after")
    def _does_something(self) -> "RuleForm":
        if not (self.sync or self.ban or self.local):
            raise ValueError('a rule needs "sync", "ban" or "local"')
        return self


class BandwidthForm(Form):
    """How fast an entry may send and fetch. Text such as "500 kB/s", "2 MiB/s", or in bits "16 Mbit/s", or a number of
    bytes a second."""

    up: Annotated[Rate | None, Field(description="What is placed on the entry; default: no limit.")] = None
    down: Annotated[Rate | None, Field(description="What is read from the entry; default: no limit.")] = None

    @model_validator(mode="after")
    def _limits_something(self) -> "BandwidthForm":
        if self.up is None and self.down is None:
            raise ValueError('give "up", "down" or both')
        return self


class EntryForm(Form):
    """A driver, configured."""

    driver: Annotated[str, Field(min_length=1, description="The driver's name; `onitufs drivers` lists them.")]
    options: Annotated[
        dict[str, JsonValue],
        Field(
            description="What the driver needs; `onitufs drivers NAME` lists it. Relative paths start at the setup "
            'file. A secret is referred to: {"env": NAME}, {"file": PATH} or {"keyring": NAME}.'
        ),
    ] = {}
    mode: Annotated[
        Literal["rw", "r", "w"],
        Field(description='"rw": files are placed there and read from there; "w": only placed; "r": only read.'),
    ] = "rw"
    velocity: Annotated[
        float | None, Field(ge=0, le=1, description="How fast it is to read from; default: what the driver says.")
    ] = None
    bandwidth: Annotated[
        BandwidthForm | None, Field(description="How fast it may send and fetch; default: as fast as it goes.")
    ] = None
    comment: Comment = None


class NeverForm(Form):
    """Changes to the default list of names that are never placed."""

    also: Annotated[list[GlobText], Field(description="Globs to add.")] = []
    except_: Annotated[
        list[Annotated[str, AfterValidator(_known_default)]],
        Field(alias="except", description="Globs of the default list to leave out."),
    ] = []


class ScannersForm(Form):
    """Changes to the default list of programs that read everything, and what they get."""

    also: Annotated[list[ProcessName], Field(description="Globs of names of processes to add.")] = []
    except_: Annotated[
        list[Annotated[str, AfterValidator(_known_scanner)]],
        Field(alias="except", description="Globs of the default list to leave out."),
    ] = []
    head: Annotated[
        Size, Field(description="How much they get of a file that is not on this machine, from its beginning.")
    ] = HEAD_BYTES


class HistoryForm(Form):
    """How what was replaced, truncated or deleted is kept, so that it can be brought back."""

    keep: Annotated[Duration, Field(description='How long; 0: not at all. Default: "30 days".')] = 30 * 86400.0
    size: Annotated[
        Size | None,
        Field(description='What all of it may take; the oldest goes first. Default: "10 GiB", at most half the quota.'),
    ] = None


ALTERNATIVES = ("(list)", "(changes)")
"""How pydantic's locations tell the two forms of `never` and `scanners` apart; no part of a JSON path."""


def _list_or_changes(value: Any) -> str:
    return "(changes)" if isinstance(value, dict | Form) else "(list)"


class SetupForm(Form):
    """The entries, and the rules that say which files belong on them."""

    schema_: Annotated[str | None, Field(alias="$schema", description="For editors.")] = None
    name: Annotated[Name, Field(description="Names the state directory, and the setup in messages.")]
    entries: Annotated[dict[Name, EntryForm], Field(min_length=1, description="The entries, by name.")]
    rules: Annotated[list[RuleForm], Field(description="Applied in order.")] = []
    never: Annotated[
        Annotated[list[GlobText], Tag("(list)")] | Annotated[NeverForm, Tag("(changes)")],
        Discriminator(_list_or_changes),
        Field(description="Globs of files that are never placed: a list instead of the default one, or changes to it."),
    ] = NeverForm()
    scanners: Annotated[
        Annotated[list[ProcessName], Tag("(list)")] | Annotated[ScannersForm, Tag("(changes)")],
        Discriminator(_list_or_changes),
        Field(
            description="Globs of names of processes that read everything, such as indexers: of files that are not on "
            "this machine they get the beginning only. A list instead of the default one, or changes to it."
        ),
    ] = ScannersForm()
    quota: Annotated[Size | None, Field(description="What the local store may take; default: no limit.")] = None
    history: Annotated[
        HistoryForm,
        Field(
            default_factory=HistoryForm, description="What was replaced, truncated or deleted, and can be brought back."
        ),
    ]
    comment: Comment = None
