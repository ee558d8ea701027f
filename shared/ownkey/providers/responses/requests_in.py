"""A client's Responses request as a conversation.

openai-python 3.52: `types/responses/response_create_params.py`. Read strictly, but for members that are not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ownkey.domain.errors import UnsupportedParameter
from ownkey.providers.counts import member
from ownkey.providers.crossing import (
    EFFORTS,
    Conversation,
    OutputFormat,
    Reasoning,
    Text,
    Tool,
    ToolChoice,
    free_form_names,
)
from ownkey.providers.crossing.strict import Fields
from ownkey.providers.openai.departures import is_nothing
from ownkey.providers.passthrough import GATEWAY_FIELDS
from ownkey.providers.responses.items_in import ItemReader
from ownkey.providers.responses.local_tools import local_tool
from ownkey.providers.responses.passthrough import ENCRYPTED
from ownkey.providers.responses.toolbook import ToolBook, spaced
from ownkey.providers.responses.words import LOGPROBS

_READ = frozenset({
    *GATEWAY_FIELDS, "model", "input", "instructions", "stream", "stream_options", "tools", "tool_choice",
    "parallel_tool_calls", "text", "reasoning", "include", "max_output_tokens", "temperature", "top_p", "top_logprobs",
    "metadata", "prompt_cache_key", "safety_identifier", "user", "service_tier", "truncation",
})  # fmt: skip
_NAMES: Mapping[str, str] = {
    "output": "text.format",
    "tools.grammar": "tools.format",
    "output.strict": "text.format.strict",
    "verbosity": "text.verbosity",
    "cache": "prompt_cache_breakpoint",
    "cache_key": "prompt_cache_key",
    "logprobs": "include",
    "messages": "input",
}
_WHOLE = "Send the whole conversation in `input`, or choose a model of a provider that has Responses itself."
_PREWARMED = "prompt_cache_options.prewarm"
_OPENAIS_ALONE: Mapping[str, tuple[str, str]] = {
    "previous_response_id": ("it names what OpenAI has stored", _WHOLE),
    "conversation": ("it names what OpenAI has stored", _WHOLE),
    "prompt": ("it names what OpenAI has stored", _WHOLE),
    "background": ("nobody could fetch the answer", "Leave it out, and stream the answer where it takes long."),
    "generate": ("no other API reads a prompt without answering it", "Leave it out: the answer would be paid for."),
    _PREWARMED: ("no other API reads a prompt without answering it", "Leave it out: the answer would be paid for."),
    "moderation": ("OpenAI alone moderates an answer as it gives it", "Leave it out, or moderate what comes."),
}
"""What changes what an answer is, and nobody else has: why, and the fix."""
_SHOWN = ("auto", "concise", "detailed")
_KINDS = ("function", "custom")


def read_request(values: Mapping[str, Any]) -> Conversation:
    """The conversation.

    Raises:
        InvalidParameter: a member is missing, or not as it must be.
        UnsupportedParameter: a member that OpenAI alone could honour.
    """
    request = Fields(values)
    _refuse_what_is_openais(values)
    book = ToolBook.of(request)
    items = ItemReader(free_form_names(book.tools))
    turns = items.read(request)
    instructions = request.text("instructions")
    text, user = request.member("text"), "user" if values.get("safety_identifier") is None else "safety_identifier"
    include = request.texts("include")
    metadata = request.member("metadata")
    others = {name: value for name, value in values.items() if name not in _READ and not is_nothing(value)}
    if request.word("truncation", ("auto", "disabled")) == "auto":
        others["truncation"] = "auto"
    others |= {f"include.{name}": True for name in include if name not in (ENCRYPTED, LOGPROBS)}
    return Conversation(
        system=(*((Text(instructions),) if instructions else ()), *items.system),
        turns=turns,
        tools=tuple(book.tools),
        tool_choice=_choice(request, book),
        parallel_tool_calls=request.flag("parallel_tool_calls"),
        output=_output(text),
        reasoning=_reasoning(request.member("reasoning"), others),
        max_output_tokens=request.integer("max_output_tokens", least=1),
        temperature=request.number("temperature"),
        top_p=request.number("top_p"),
        logprobs=LOGPROBS in include,
        top_logprobs=request.integer("top_logprobs", least=0) if LOGPROBS in include else None,
        verbosity=text.text("verbosity") if text else None,
        service_tier=request.text("service_tier"),
        user=request.text(user),
        metadata=metadata.values if metadata else None,
        cache_key=request.text("prompt_cache_key"),
        stream=request.flag("stream") or False,
        others={**others, **items.passed_over},
        names={**_NAMES, "user": user},
    )


def _refuse_what_is_openais(values: Mapping[str, Any]) -> None:
    prewarmed = member(values, "prompt_cache_options").get("prewarm")
    asked = {**values, _PREWARMED: prewarmed, "generate": values.get("generate") is False}
    for name, (why, fix) in _OPENAIS_ALONE.items():
        if asked.get(name):
            raise UnsupportedParameter(
                f"`{name}` cannot be served: {why}.", fix=fix, param=name, details={"unsupported": [name]}
            )


def _choice(request: Fields, book: ToolBook) -> ToolChoice | None:
    value = request.values.get("tool_choice")
    if value is None:
        return None
    if isinstance(value, str):
        mode = request.word("tool_choice", ("auto", "none", "required"))
        return ToolChoice("auto" if mode == "auto" else "none" if mode == "none" else "required")
    choice = request.needed_member("tool_choice")
    if choice.needed_text("type") == "allowed_tools":
        mode = choice.word("mode", ("auto", "required"))
        names = tuple(_named(each, book) for each in choice.members("tools"))
        return ToolChoice("required" if mode == "required" else "auto", names)
    return ToolChoice("named", (_named(choice, book),))


def _named(choice: Fields, book: ToolBook) -> str:
    """The tool that is named, by its name or by what it is.

    Raises:
        UnsupportedParameter: it is one of the provider's own.
    """
    kind = choice.needed_text("type")
    if kind in _KINDS:
        name = spaced(choice.text("namespace"), choice.needed_text("name"))
    elif local_tool(kind) is not None:
        name = kind
    else:
        raise UnsupportedParameter(
            f"`tool_choice` cannot be served: no other API lets the tool {kind[:64]!r} be chosen.",
            param="tool_choice",
            details={"unsupported": ["tool_choice"]},
        )
    if name not in {tool.name for tool in book.tools if isinstance(tool, Tool)}:
        raise choice.wrong("name", "names no tool of the request")
    return name


def _output(text: Fields | None) -> OutputFormat | None:
    wanted = text.member("format") if text else None
    if wanted is None:
        return None
    wanted.needed_text("type")
    match wanted.word("type", ("text", "json_object", "json_schema")):
        case "json_object":
            return OutputFormat()
        case "json_schema":
            return OutputFormat(
                wanted.needed_member("schema").values,
                wanted.needed_text("name"),
                wanted.text("description"),
                wanted.flag("strict"),
            )
        case _:
            return None


def _reasoning(wanted: Fields | None, others: dict[str, Any]) -> Reasoning | None:
    if wanted is None:
        return None
    others |= {f"reasoning.{name}": wanted.values[name] for name in ("context", "mode") if wanted.values.get(name)}
    summary = wanted.word("summary", _SHOWN) or wanted.word("generate_summary", _SHOWN)
    effort = wanted.word("effort", EFFORTS)
    return Reasoning(effort, visible=True if summary else None, summary=summary) if effort or summary else None
