"""OpenAI's Responses, to a provider that speaks them too.

Facts from openai-python 3.52: `types/responses/response.py`, `response_usage.py`, `response_stream_event.py`,
`response_create_params.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ownkey.domain.errors import ProviderFailure, ProviderInvalidResponse, UnsupportedParameter
from ownkey.domain.usage import Usage
from ownkey.providers.address import Address, Plain, passed_on
from ownkey.providers.counts import count, member, string
from ownkey.providers.document import REMOVED, Document
from ownkey.providers.failures import decode_failure, failure_in_answer
from ownkey.providers.openai import read_usage as read_chat_usage
from ownkey.providers.passthrough import FOREIGN, GATEWAY_FIELDS, Scanner, parsed_answer, texts_in
from ownkey.providers.sse import with_data
from ownkey.providers.translator import Annotate, Call, Encoded, Reading, StreamDecoder, Whole

ADDRESS: Address = Plain("/responses", frozenset({"openai-beta"}))
ENCRYPTED = "reasoning.encrypted_content"
"""To be included: reasoning that can be given back though nothing is stored."""

MADE = "rs_ownkey"
"""How the ids of reasoning items begin that a crossing has made: no provider knows them."""
_STORED = ("previous_response_id", "conversation", "prompt")
"""Members that name what is stored under a credential."""
_REFERENCE = "item_reference"
_BILLED_APART = frozenset({"file_search", "code_interpreter", "image_generation"})
"""Hosted tools with fees of their own that no usage tells: the platform cannot charge for them."""
_OPENINGS = frozenset({"response.created", "response.queued", "response.in_progress"})
_ENDINGS = frozenset({"response.completed", "response.incomplete", "response.failed"})
_TEXT_NAMES = frozenset({"text", "refusal", "arguments", "input", "code"})


class OpenAiResponses:
    """`responses` to the OpenAI family."""

    def __init__(self, address: Address = ADDRESS) -> None:
        self._address = address

    def encode_request(self, call: Call) -> Encoded:
        """The client's body, without what is the gateway's."""
        values = call.body.values
        if values.get("background"):
            raise UnsupportedParameter(
                "`background` cannot be served: this gateway has no route to fetch the answer by.",
                fix="Leave it out, and stream the answer where it takes long.",
                param="background",
            )
        changes: dict[str, Any] = {name: REMOVED for name in GATEWAY_FIELDS if name in values}
        if b'"reasoning"' in call.body.raw:
            changes |= _without_foreign_thoughts(values.get("input"))
        if not call.own:
            changes |= _kept_apart(call)
        dropped: tuple[str, ...] = ()
        if call.provider.responses is not None:
            from ownkey.providers.responses.subset import fitted

            changes, dropped = fitted(call, call.provider.responses, changes)
        return passed_on(self._address, call, changes, dropped)

    def decode_whole(self, call: Call, body: bytes, annotate: Annotate) -> Whole:
        """A `response`."""
        document = parsed_answer(body)
        values = document.values
        if not isinstance(values.get("output"), list):
            raise ProviderInvalidResponse("The provider's answer is no response: it has no output.")
        reading = Reading()
        note_response(reading, values)
        usage = values.get("usage")
        if reading.usage is None or not isinstance(usage, dict):
            return Whole(body, reading, values)
        annotated = {**usage, **annotate(reading.usage, reading.terms)}
        return Whole(document.edited({"usage": annotated}), reading, values)

    def decode_stream(self, call: Call, annotate: Annotate) -> StreamDecoder:
        """Named events, each with its number; the last one has the whole response, its usage too."""
        reading = Reading()
        return Scanner(_ResponseEvents(reading, annotate), reading)

    def decode_failure(self, status: int, headers: Mapping[str, str], body: bytes) -> ProviderFailure:
        """An `error` object, or whatever a compatible provider sends."""
        return decode_failure(status, headers, body)

    def text_of_answer(self, answer: Mapping[str, Any]) -> str:
        """Text, refusals, summaries, arguments and inputs of tool calls."""
        return texts_in(answer.get("output"), _TEXT_NAMES)


class _ResponseEvents:
    """The `Events` of a streamed response."""

    terminator = b""

    def __init__(self, reading: Reading, annotate: Annotate) -> None:
        self._reading = reading
        self._annotate = annotate

    def stripped(self, events: bytes) -> bytes:
        """All of it was asked for."""
        return events

    def tells(self, events: bytes) -> bool:
        """The first and the last events have the response; names in a text would have their quotes escaped."""
        return (
            b'"response"' in events
            or b'"error"' in events
            # A comment, a broken event: anything but a JSON object.
            or events.count(b"}\n\n") != events.count(b"\n\n")
        )

    def read(self, event: bytes, document: Document) -> bytes | None:
        """Notes what the response says of itself; the last event's usage is annotated.

        Raises:
            ProviderFailure: the response has failed.
        """
        values, reading = document.values, self._reading
        if values.get("type") == "error":
            raise failure_in_answer(values)
        response = member(values, "response")
        if not response:
            return event
        note_response(reading, response)
        if string(values.get("type")) not in _ENDINGS:
            return event
        if values["type"] == "response.failed":
            raise failure_in_answer(response if response.get("error") else {"error": "The provider's response failed."})
        usage = response.get("usage")
        if reading.usage is None or not isinstance(usage, dict):
            return event
        annotated = {**usage, **self._annotate(reading.usage, reading.terms)}
        return with_data(event, document.edited({"response": {**response, "usage": annotated}}))

    def starts(self, values: Mapping[str, Any]) -> bool:
        """That a response is under way is no beginning: one that fails right after can still be another's."""
        kind = string(values.get("type"))
        return kind not in _OPENINGS and kind not in ("error", "response.failed")

    def ends(self, values: Mapping[str, Any]) -> bool:
        """The event with the whole response. One that has failed is no end, but a failure."""
        return string(values.get("type")) in _ENDINGS and values["type"] != "response.failed"

    def complete(self) -> bool:
        """Nothing but its last event completes a response."""
        return False

    def text_of(self, values: Mapping[str, Any]) -> str:
        """The deltas' text; a `done` event repeats it."""
        return (string(values.get("delta")) or "") if str(values.get("type")).endswith(".delta") else ""


def read_usage(usage: Mapping[str, Any]) -> Usage | None:
    """The arithmetic of OpenAI's chat completions, under other names: cached and written tokens are part of the
    input's, reasoning of the output's. None: it tells nothing.
    """
    return read_chat_usage(
        {
            "prompt_tokens": usage.get("input_tokens"),
            "prompt_tokens_details": usage.get("input_tokens_details"),
            "completion_tokens": usage.get("output_tokens"),
            "completion_tokens_details": usage.get("output_tokens_details"),
            "total_tokens": usage.get("total_tokens"),
        }
    )


def note_response(reading: Reading, response: Mapping[str, Any]) -> None:
    """What a response object says of the whole; later ones override."""
    reading.response_id = string(response.get("id")) or reading.response_id
    reading.model = string(response.get("model")) or reading.model
    if tier := string(response.get("service_tier")):
        reading.terms = replace(reading.terms, service_tier=tier)
    if size := next(_search_sizes(response.get("tools")), None):
        reading.terms = replace(reading.terms, search_context=size)
    if response.get("status") in ("completed", "incomplete"):
        reading.finish_reason = string(member(response, "incomplete_details").get("reason")) or str(response["status"])
    usage = read_usage(member(response, "usage"))
    if usage is not None:
        reading.usage = replace(usage, web_searches=_searches(response))


def _searches(response: Mapping[str, Any]) -> int:
    """As the provider counts them, which leaves out the pages it opened; else the searches in the output."""
    told = member(member(response, "tool_usage"), "web_search")
    if "num_requests" in told:
        return count(told, "num_requests")
    output = response.get("output")
    calls = [item for item in output if isinstance(item, dict)] if isinstance(output, list) else []
    return sum(
        item.get("type") == "web_search_call" and member(item, "action").get("type", "search") == "search"
        for item in calls
    )


def _search_sizes(tools: Any) -> Iterator[str]:
    for tool in tools if isinstance(tools, list) else ():
        if isinstance(tool, dict) and str(tool.get("type", "")).startswith("web_search"):
            size = string(tool.get("search_context_size"))
            if size:
                yield size


def _without_foreign_thoughts(items: Any) -> dict[str, Any]:
    """The input without what other makers have thought, which came to the client by a crossing: neither stored nor
    readable here, and refused. So is a thought that has neither an id nor anything encrypted.
    """
    given = items if isinstance(items, list) else []
    kept = [item for item in given if not (isinstance(item, dict) and _foreign_thought(item))]
    return {} if len(kept) == len(given) else {"input": kept}


def _foreign_thought(item: Mapping[str, Any]) -> bool:
    if item.get("type") != "reasoning":
        return False
    id, encrypted = string(item.get("id")), string(item.get("encrypted_content"))
    return not (id or encrypted) or (id or "").startswith(MADE) or (encrypted or "").startswith(FOREIGN)


def _kept_apart(call: Call) -> dict[str, Any]:
    """What another's credential demands: nothing stored under it is named, and nothing is stored under it.

    Raises:
        UnsupportedParameter: the request names such a thing, or a tool that nobody could charge for.
    """
    values = call.body.values
    named = next(_stored(values), None)
    if named is not None:
        raise UnsupportedParameter(
            f"`{named}` cannot be served: it names what is stored at the provider, and the credential is not yours.",
            fix="Send the whole conversation in `input`, as clients do with `store: false`, or save your own key.",
            param=named,
        )
    for tool in _tools(values):
        kind, place = string(tool.get("type")), member(tool, "environment").get("type", "local")
        if kind in _BILLED_APART or (kind == "shell" and place != "local"):
            raise UnsupportedParameter(
                f"The tool {kind!r} cannot be served by the platform: the provider bills it apart.",
                fix="Leave it out, or save a key of your own.",
                param="tools",
            )
    changes: dict[str, Any] = {"store": False}
    include = values.get("include") or []
    if call.model and "reasoning" in call.model.capabilities and isinstance(include, list) and ENCRYPTED not in include:
        changes["include"] = [*include, ENCRYPTED]
    return changes


def _stored(values: Mapping[str, Any]) -> Iterator[str]:
    """The members that name what is stored under a credential."""
    yield from (name for name in _STORED if values.get(name) is not None)
    if member(values, "prompt_cache_options").get("comparison_response_id") is not None:
        yield "prompt_cache_options.comparison_response_id"
    items = values.get("input")
    for item in items if isinstance(items, list) else ():
        if isinstance(item, dict) and (item.get("type") == _REFERENCE or _names_a_file(item)):
            yield "input"


def _names_a_file(item: Mapping[str, Any]) -> bool:
    """Whether a message or a tool's output has a part that stands in the provider's store."""
    parts = [part for name in ("content", "output") if isinstance(item.get(name), list) for part in item[name]]
    return any(isinstance(part, dict) and part.get("file_id") for part in parts)


def _tools(values: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The tools of the request, those that stand in its input too."""
    items = values.get("input")
    for each in [values, *(items if isinstance(items, list) else ())]:
        tools = each.get("tools") if isinstance(each, dict) else None
        yield from (tool for tool in (tools if isinstance(tools, list) else ()) if isinstance(tool, dict))
