"""What a lesson imports: `from helpers import lesson, send, stream`."""

# This file also runs before the course's environment exists, on a Python that may be too old: no
# syntax newer than Python 3.6 may stand here, and nothing is imported until a name is asked for.

TYPE_CHECKING = False
if TYPE_CHECKING:
    from helpers.errors import CourseError
    from helpers.lanes import lesson
    from helpers.wire import Exchange, send, stream

__all__ = ["CourseError", "Exchange", "lesson", "send", "stream"]

MODULES = {
    "CourseError": "helpers.errors",
    "Exchange": "helpers.wire",
    "lesson": "helpers.lanes",
    "send": "helpers.wire",
    "stream": "helpers.wire",
}


def __getattr__(name: str) -> object:
    if name not in MODULES:
        raise AttributeError(f"module 'helpers' has no attribute {name!r}")
    import importlib

    try:
        value = getattr(importlib.import_module(MODULES[name]), name)
    except ModuleNotFoundError as error:
        from helpers.errors import CourseError

        raise CourseError(
            f"This Python has no package {error.name!r}. Choose the course's kernel, or install it: "
            "python -m pip install -r requirements.txt"
        ) from None
    globals()[name] = value
    return value


def __dir__() -> list:
    return sorted(set(globals()) | set(__all__))
