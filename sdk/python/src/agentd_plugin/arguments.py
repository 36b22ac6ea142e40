"""The arguments of a tool: their JSON Schema from the function's signature, and reading a call's
into it. What is announced and what is read cannot drift apart. Every fault names its field, so
that a model can mend it."""

import inspect
import operator
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, create_model

from .call import Call
from .failure import Failure
from .limits import MAX_ARGUMENTS


class Signature:
    """The signature of a tool's function: an optional parameter of type `Call`, and arguments.

    Raises ValueError, with what to change, for what no caller could fill.
    """

    def __init__(self, function: Callable[..., Any], sensitive: list[str]) -> None:
        self._sensitive = sensitive
        self.call_name: str | None = None
        self._names: dict[str, str] = {}
        fields: dict[str, Any] = {}
        try:
            hints = get_type_hints(function, include_extras=True)
        except (NameError, TypeError) as fault:
            raise ValueError(f"its annotations cannot be read: {fault}") from fault
        for name, parameter in inspect.signature(function).parameters.items():
            hint = hints.get(name, Any)
            if hint is Call:
                self.call_name = name
                continue
            if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                raise ValueError(f"parameter {name} has no name that a caller could give it")
            # Names of our own, so that no argument meets one that pydantic has for itself.
            own = f"argument_{len(fields)}"
            self._names[own] = name
            default = ... if parameter.default is parameter.empty else parameter.default
            fields[own] = (_described(hint), Field(default, alias=name))
        try:
            self._model = create_model(
                "Arguments",
                __config__=ConfigDict(extra="forbid", strict=True, allow_inf_nan=False),
                **fields,
            )
            self.schema: dict[str, Any] = _untitled(self._model.model_json_schema())
        except Exception as fault:
            raise ValueError(f"its arguments have no JSON Schema: {fault}") from fault
        unknown = sorted(set(sensitive) - set(self._names.values()))
        if unknown:
            raise ValueError(f"sensitive names what is no argument: {', '.join(unknown)}")
        self.schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
        self.schema.setdefault("properties", {})

    def read(self, text: str) -> dict[str, Any]:
        """The arguments in `text` (empty means none), by name.

        Raises Failure, class INVALID_ARGUMENT, with a violation for each wrong field.
        """
        size = len(text.encode())
        if size > MAX_ARGUMENTS:
            said = f"has {size} bytes, at most {MAX_ARGUMENTS} are taken"
            raise Failure.invalid_argument("arguments", said)
        try:
            read = self._model.model_validate_json(text if text.strip() else "{}")
        except ValidationError as faults:
            # Not `from`: the fault repeats what it was given.
            raise Failure.invalid_arguments(self._violations(faults)) from None
        return {name: getattr(read, own) for own, name in self._names.items()}

    def _violations(self, faults: ValidationError) -> list[tuple[str, str]]:
        known = ", ".join(self._names.values())
        violations = []
        for fault in faults.errors(include_url=False, include_context=False, include_input=False):
            kind, place = fault["type"], fault["loc"]
            if kind == "missing":
                how = "is required"
            elif kind == "extra_forbidden" and len(place) == 1:
                how = f"is not known; known are {known}" if known else "is not known; none is taken"
            elif kind == "extra_forbidden":
                how = "is not known"
            elif kind == "json_invalid":
                how = f"is not JSON: {fault['msg']}"
            elif kind in ("model_type", "model_attributes_type"):
                how = "must be a JSON object"
            elif place and place[0] in self._sensitive:
                how = "has the wrong type or value"
            else:
                how = fault["msg"]
            violations.append((_path(place), how))
        return violations


def _untitled(schema: Any) -> Any:
    """Without titles: they say a name a second time, and a model pays for them."""
    if isinstance(schema, list):
        return [_untitled(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: value if key in ("default", "const", "enum", "examples") else _untitled(value)
        for key, value in schema.items()
        # A property of that name is no text.
        if not (key == "title" and isinstance(value, str))
    }


def output_schema(kind: Any) -> dict[str, Any]:
    """JSON Schema of a result of type `kind`. Raises ValueError."""
    try:
        schema: dict[str, Any] = _untitled(TypeAdapter(kind).json_schema(mode="serialization"))
    except Exception as fault:
        raise ValueError(f"its output has no JSON Schema: {fault}") from fault
    return schema


def _path(place: tuple[int | str, ...]) -> str:
    path = "arguments"
    for part in place:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    return path


def _described(hint: Any) -> Any:
    """`Annotated[str, "What it is"]` is a description, as `Field(description=…)` is."""
    if get_origin(hint) is not Annotated:
        return hint
    kind, *notes = get_args(hint)
    notes = [Field(description=note) if isinstance(note, str) else note for note in notes]
    return operator.getitem(Annotated, (kind, *notes))
