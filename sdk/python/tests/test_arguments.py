"""Schemas from signatures, and arguments read by them."""

import json
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any, Literal

import pytest

from agentd_plugin import Call, Failure, Plugin, SettingsError
from agentd_plugin.arguments import Signature


class Size(Enum):
    SMALL = "small"


@dataclass
class Port:
    number: int


def tool(
    call: Call,
    namespace: Annotated[str, "Where to look"],
    number: int = 0,
    ports: list[Port] | None = None,
    mode: Literal["fast", "deep"] = "fast",
    size: Size = Size.SMALL,
    pin: int = 0,
) -> None: ...


def read(text: str) -> dict[str, Any]:
    return Signature(tool, ["pin"]).read(text)


def test_a_schema_is_a_closed_object_of_draft_2020_12_with_descriptions() -> None:
    schema = Signature(tool, []).schema
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (schema["type"], schema["additionalProperties"]) == ("object", False)
    assert schema["required"] == ["namespace"]
    assert schema["properties"]["namespace"] == {"description": "Where to look", "type": "string"}
    assert "call" not in schema["properties"]
    assert "title" not in json.dumps(schema)


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("{}", ["arguments.namespace"]),
        ("", ["arguments.namespace"]),
        ('{"a":1,"b":2}', ["arguments.namespace", "arguments.a", "arguments.b"]),
        ('{"namespace":7}', ["arguments.namespace"]),
        ('{"namespace":"n","number":"7"}', ["arguments.number"]),
        ('{"namespace":"n","ports":[{"number":1},{}]}', ["arguments.ports[1].number"]),
        ('{"namespace":"n","mode":"slow"}', ["arguments.mode"]),
        ("[]", ["arguments"]),
        ("{", ["arguments"]),
        ('{"namespace":"\\ud800"}', ["arguments"]),
        ('{"namespace":"a\nb"}', ["arguments"]),
        ("[" * 100_000, ["arguments"]),
    ],
)
def test_each_fault_names_its_field(text: str, fields: list[str]) -> None:
    with pytest.raises(Failure) as raised:
        read(text)
    assert [field for field, _ in raised.value.violations] == fields


def test_what_fits_is_read_as_it_was_with_all_its_digits() -> None:
    given = {
        "namespace": "\u0001 \U0001f642",
        "number": 9007199254740993,
        "ports": [{"number": 2**70}],
        "size": "small",
    }
    seen = read(json.dumps(given))
    assert seen["number"] == 9007199254740993
    assert seen["ports"] == [Port(2**70)]
    assert (seen["namespace"], seen["mode"], seen["size"]) == (
        "\x01 \U0001f642",
        "fast",
        Size.SMALL,
    )


def test_a_sensitive_value_is_not_repeated_in_the_failure() -> None:
    with pytest.raises(Failure) as raised:
        read('{"namespace":"n","pin":"four-two"}')
    assert "four" not in str(raised.value.to_wire())


def test_arguments_of_256_kib_are_read_and_larger_ones_refused_cleanly() -> None:
    shell = len('{"namespace":""}')
    assert read(json.dumps({"namespace": "x" * (256 * 1024 - shell)}).replace(" ", ""))
    with pytest.raises(Failure, match="at most 262144"):
        read(json.dumps({"namespace": "ä" * (128 * 1024)}, ensure_ascii=False))


def test_an_argument_may_have_any_name() -> None:
    def odd(schema: str, model_config: int, copy: bool, self_: str = "") -> None: ...

    given = {"schema": "a", "model_config": 1, "copy": True}
    assert Signature(odd, []).read(json.dumps(given)) == {**given, "self_": ""}


def test_a_tool_that_cannot_be_offered_is_told_with_all_the_others() -> None:
    plugin = Plugin("Bad-Name", "1.0.0")

    @plugin.tool(description="d")
    def gathers(*rest: str) -> None: ...

    @plugin.tool()
    def silent() -> None: ...

    @plugin.tool(description="d", examples=[("wrong", {"n": "x"})])
    def shown(n: int) -> None: ...

    @plugin.tool(description="d", sensitive=["pin"])
    def secret(n: int) -> None: ...

    @plugin.tool(description="d", colour="red")
    def unknown(n: int) -> None: ...

    plugin.signal("backlog", "waits", "harm")  # type: ignore[arg-type]

    with pytest.raises(SettingsError) as raised:
        plugin.instance(8)
    said = str(raised.value)
    for word in ("Bad-Name", "gathers", "silent", "shown", "secret", "unknown", "Polarity.HARM"):
        assert word in said
