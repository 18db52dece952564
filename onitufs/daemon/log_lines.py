"""What a line of the log looks like. Imports structlog (a tenth of a second), so it is imported by logs.py, late."""

import json
from collections.abc import MutableMapping
from datetime import UTC, datetime
from typing import Any

import structlog

from .redaction import redacted


def for_files() -> structlog.stdlib.ProcessorFormatter:
    """A JSON object a line."""
    return _formatter(_as_json)


def for_people() -> structlog.stdlib.ProcessorFormatter:
    return _formatter(_as_text)


def configure() -> None:
    """Have what calls structlog itself end in stdlib logging, too."""
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *_common(),
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _common() -> list[structlog.typing.Processor]:
    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        _add_time,
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
    ]


def _add_time(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """When it happened: a record may have been kept for a while."""
    record = event.get("_record")
    time = datetime.now(UTC) if record is None else datetime.fromtimestamp(record.created, UTC)
    event["time"] = time.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return event


def _formatter(render: structlog.typing.Processor) -> structlog.stdlib.ProcessorFormatter:
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[*_common(), structlog.stdlib.ExtraAdder()],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, redacted, render],
    )


def _as_json(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    first = {name: event.pop(name, None) for name in ("time", "level", "logger", "event")}
    return json.dumps(first | dict(event))


def _as_text(_logger: object, _method: str, event: MutableMapping[str, Any]) -> str:
    exception = event.pop("exception", None)
    line = f"{event.pop('time', '')} {event.pop('level', ''):8}{event.pop('event', '')}"
    event.pop("logger", None)
    line += "".join(f" {name}={value!r}" for name, value in event.items())
    line = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in line)
    return f"{line}\n{exception}" if exception else line
