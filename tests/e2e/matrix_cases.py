"""The columns of the matrix: what is asked, and what has to come back, whatever the surface and whoever serves."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass

from tests.e2e.accounts import Account
from tests.e2e.matrix_asking import Function, Said, Surface, Wish
from tests.e2e.matrix_families import Family

PNG = base64.b64encode(
    bytes.fromhex(
        "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f6"
        "45400000000049454e44ae426082"
    )
).decode()
PDF = base64.b64encode(
    b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
    b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 3 3]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n"
).decode()


def _schema(**properties: object) -> dict[str, object]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


WEATHER = Function("get_weather", _schema(city={"type": "string"}, unit={"type": "string", "enum": ["c", "f"]}))
TIME = Function("get_time", _schema(zone={"type": "string"}))
INVOICE = _schema(number={"type": "integer"}, customer={"type": "string"}, paid={"type": "boolean"})
LONG = "The house rules say that every answer has to be short and true. " * 150
"""Above 1,024 tokens, from which on prompts are cached."""


@dataclass(frozen=True)
class Asking:
    """One cell: who asks, by which surface, whom."""

    surface: Surface
    account: Account
    family: Family
    streamed: bool

    def thoughts(self, said: Said) -> None:
        """There are some, to be seen where the provider shows them."""
        hidden = self.surface.name in self.family.hides
        assert said.thinking or (hidden and said.reasoning_tokens)

    def ask(self, wish: Wish, then: tuple[Said, list[str]] | None = None) -> Said:
        """The answer, after what must hold for each."""
        model = self.family.model_for(thinking=wish.thinking)
        said = self.surface.ask(self.account, model, wish, streamed=self.streamed, then=then)
        assert said.input_tokens > 0
        assert said.output_tokens > 0
        assert said.byok is True
        assert said.headers["x-ownkey-byok"] == "true"
        return said


def text(cell: Asking) -> None:
    """A question, a system prompt and earlier turns; the answer is the model's, and over."""
    said = cell.ask(Wish(text="hello matrix", system="Be brief.", before=(("user", "hi"), ("assistant", "hi there"))))
    assert said.text == "You said: hello matrix"
    assert said.finish == "end"
    assert said.calls == []


def tools(cell: Asking) -> None:
    """A tool is called with arguments that fit, and its result goes back."""
    wish = Wish(text="use get_weather for Rome", tools=(WEATHER, TIME))
    said = cell.ask(wish)
    ((call_id, name, arguments),) = said.calls
    assert (name, said.finish) == ("get_weather", "tool")
    assert call_id
    assert arguments.keys() == {"city", "unit"}
    answer = cell.ask(wish, (said, ["21 degrees"]))
    assert "The tools said: 21 degrees" in answer.text
    assert (answer.calls, answer.finish) == ([], "end")


def parallel_tools(cell: Asking) -> None:
    """Two tools at once, told apart, with both results."""
    wish = Wish(text="use get_weather and get_time", tools=(WEATHER, TIME))
    said = cell.ask(wish)
    assert [name for _, name, _ in said.calls] == ["get_weather", "get_time"]
    assert said.calls[0][0] != said.calls[1][0]
    assert said.calls[1][2].keys() == {"zone"}
    answer = cell.ask(wish, (said, ["21 degrees", "noon"]))
    assert "21 degrees; noon" in answer.text


def forced_tool(cell: Asking) -> None:
    """A named tool is called though nothing speaks for it."""
    said = cell.ask(Wish(text="hello", tools=(WEATHER, TIME), choice="get_time"))
    assert [name for _, name, _ in said.calls] == ["get_time"]


def schema(cell: Asking) -> None:
    """The answer is JSON of the schema."""
    said = cell.ask(Wish(text="the invoice, please", schema=INVOICE))
    assert json.loads(said.text).keys() == {"number", "customer", "paid"}
    assert (said.calls, said.finish) == ([], "end")


def image(cell: Asking) -> None:
    """A picture is seen: it costs tokens."""
    plain = cell.ask(Wish(text="what is it?"))
    seen = cell.ask(Wish(text="what is it?", image=PNG))
    assert seen.text == "You said: what is it?"
    assert seen.input_tokens > plain.input_tokens


def document(cell: Asking) -> None:
    """A PDF is read."""
    said = cell.ask(Wish(text="what does it say?", document=PDF))
    assert said.text == "You said: what does it say?"


def thinking(cell: Asking) -> None:
    """Thoughts come beside the answer."""
    said = cell.ask(Wish(text="think about it", thinking=True))
    cell.thoughts(said)
    assert said.text == "You said: think about it"


def thinking_tools(cell: Asking) -> None:
    """Thoughts before a tool's call go back with its result, as their provider signed them."""
    wish = Wish(text="use get_weather", tools=(WEATHER,), thinking=True)
    said = cell.ask(wish)
    cell.thoughts(said)
    assert [name for _, name, _ in said.calls] == ["get_weather"]
    assert "21 degrees" in cell.ask(wish, (said, ["21 degrees"])).text


def cache(cell: Asking) -> None:
    """A long prompt is read from the provider's cache the second time, and counted apart."""
    wish = Wish(
        text="hello",
        cached=f"{cell.surface.name} {cell.streamed} {cell.account.id}. {LONG}",
    )
    first, second = cell.ask(wish), cell.ask(wish)
    assert second.cached_tokens >= 1_024
    assert second.input_tokens == first.input_tokens


def stop(cell: Asking) -> None:
    """A stop sequence ends the answer before it."""
    said = cell.ask(Wish(text="one two three four", stop=" three"))
    assert said.text == "You said: one two"
    assert said.finish in {"end", "stop_sequence"}
    assert said.finish == "stop_sequence" or cell.surface.name != "messages" or not cell.family.tells_stop


def limit(cell: Asking) -> None:
    """The limit on output ends the answer, which says so."""
    said = cell.ask(Wish(text="one two three four five six seven eight nine ten eleven twelve " * 4, limit=16))
    assert said.finish == "length"
    assert said.output_tokens <= 16


CASES: tuple[Callable[[Asking], None], ...] = (
    text,
    tools,
    parallel_tools,
    forced_tool,
    schema,
    image,
    document,
    thinking,
    thinking_tools,
    cache,
    stop,
    limit,
)
