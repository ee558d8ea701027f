"""Bedrock's Converse, the way in: what a request must look like, and what it asks.

Shapes are botocore's own (`bedrock-runtime`); the rules between them, which no shape has, are those of the API
reference and of the user guide's pages on tool use, documents, prompt caching, reasoning and structured outputs.
"""

from __future__ import annotations

import base64
import binascii
import gzip
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

from local.simulator.anthropic_blocks import is_signature
from local.simulator.anthropic_requests import check_closed
from local.simulator.behaviour import split_directives
from local.simulator.brain import IMAGE_TOKENS, MESSAGE_TOKENS, Prompt, Segment, Tool
from local.simulator.refusals import Refusal, Refused
from local.simulator.text import compact, count_tokens

EFFORT_TOKENS = {"low": 16, "medium": 32, "high": 64}
TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
TOOL_USE_ID = re.compile(r"[a-zA-Z0-9_.:-]{1,64}")
DOCUMENT_NAME = re.compile(r"(?!.*\s\s)[A-Za-z0-9\s()\[\]-]{1,200}")
MAX_DOCUMENTS = 5
NO_FORCED_TOOLS = ("meta.", "amazon.titan", "cohere.", "deepseek.r1")
NO_SCHEMAS = ("amazon.", "meta.", "cohere.", "mistral.mistral-large-24")
CACHED = ("amazon.nova", "anthropic.")
NO_STOPS = ("openai.gpt-5", "openai.gpt-6", "xai.")
NO_SAMPLING = ("openai.gpt-5", "openai.gpt-6")
_REGION = re.compile(r"^(?:arn:[^/]*/)?(?:(?:us|eu|ap|apac|au|jp|ca|sa|us-gov|global)\.)?")


def refused(message: str) -> Refused:
    """A 400 in the dialect's form."""
    return Refused(Refusal(400, "ValidationException", message))


@cache
def service() -> ServiceModel:
    """The service model of the runtime."""
    (path,) = Path(botocore.__file__).parent.glob("data/bedrock-runtime/*/service-2.json.gz")
    return ServiceModel(json.loads(gzip.decompress(path.read_bytes())))


def check_shape(operation: str, body: Any) -> None:
    """Raise Refused for a body that is not of the operation's shape."""
    if not isinstance(body, dict):
        raise refused("The request body is not a JSON object.")
    shape = service().operation_model(operation).input_shape
    assert shape is not None
    report = ParamValidator().validate({"modelId": "model", **body}, shape)
    if report.has_errors():
        raise refused(f"Malformed input request: {report.generate_report()}")


def check(body: dict[str, Any]) -> None:
    """Raise Refused for a conversation, of the right shape, that the vendor would refuse."""
    messages = body.get("messages") or []
    if not messages:
        raise refused("A conversation must start with a user message.")
    for index, message in enumerate(messages):
        if message["role"] != ("user", "assistant")[index % 2]:
            raise refused("A conversation must alternate between user and assistant roles, and start with a user.")
        if not message["content"]:
            raise refused(f"The content field in the Message object at messages.{index} is empty.")
        for block in message["content"]:
            _check_block(message["role"], block)
    _check_documents(messages)
    _check_tools(body, messages)
    _check_schemas(body)


def check_for_model(body: dict[str, Any], model: str) -> None:
    """Raise Refused for what this model does not take."""
    name = _REGION.sub("", model)
    choice = (body.get("toolConfig") or {}).get("toolChoice") or {}
    for kind in ("any", "tool"):
        lacks = name.startswith(NO_FORCED_TOOLS) or (kind == "tool" and name.startswith("mistral."))
        if kind in choice and lacks:
            raise refused(
                f"This model doesn't support the toolConfig.toolChoice.{kind} field. Remove it and try again."
            )
    if body.get("outputConfig") and name.startswith(NO_SCHEMAS):
        raise refused("This model doesn't support the outputConfig.textFormat field. Remove it and try again.")
    uncached = not name.startswith(CACHED) and not model.startswith("arn:")
    if uncached and any("cachePoint" in block for block in _all_blocks(body)):
        message = "You invoked an unsupported model or your request did not allow prompt caching."
        raise Refused(Refusal(403, "AccessDeniedException", message))
    inference = body.get("inferenceConfig") or {}
    if "stopSequences" in inference and name.startswith(NO_STOPS):
        raise refused("This model doesn't support the stopSequences field. Remove it and try again.")
    if inference.keys() & {"temperature", "topP"} and name.startswith(NO_SAMPLING):
        raise refused("This model doesn't support the temperature field. Remove it and try again.")
    fields = body.get("additionalModelRequestFields") or {}
    known = (
        {"reasoningConfig", "inferenceConfig"}
        if name.startswith("amazon.nova")
        else {"reasoning", "reasoning_effort", "top_k", "k"}
    )
    if set(fields) - known:
        raise refused(f"Malformed input request: extraneous key [{min(set(fields) - known)}] is not permitted")
    if (fields.get("reasoningConfig") or {}).get("maxReasoningEffort") == "high" and body.get(
        "inferenceConfig", {}
    ).keys() & {
        "maxTokens",
        "temperature",
        "topP",
    }:
        raise refused("temperature, topP and maxTokens must be unset when maxReasoningEffort is high.")


def _check_block(role: str, block: dict[str, Any]) -> None:
    (kind,) = block
    if kind == "text" and not block["text"].strip():
        raise refused("The text field in the ContentBlock object is blank. Add text to the text field, and try again.")
    if kind in ("image", "document") and role != "user":
        raise refused(f"The {kind} field may be used by the user role only.")
    if kind == "image":
        _check_source(block["image"]["source"])
    if kind == "document":
        _check_source(block["document"]["source"])
        if not DOCUMENT_NAME.fullmatch(block["document"]["name"]):
            raise refused("The document file name can only contain alphanumeric characters, whitespace, hyphens, …")
    if kind == "toolUse" and not TOOL_USE_ID.fullmatch(block["toolUse"]["toolUseId"]):
        raise refused("The toolUseId does not satisfy its pattern.")
    if kind == "toolUse" and not isinstance(block["toolUse"]["input"], dict):
        raise refused("The format of the value at toolUse.input is invalid. Provide a json object for the field.")
    if kind == "toolResult":
        content = block["toolResult"]["content"]
        if not content or any("text" in each and not each["text"].strip() for each in content):
            raise refused("The content field of the toolResult is empty.")
        for each in block["toolResult"]["content"]:
            if "image" in each:
                _check_source(each["image"]["source"])
    if kind == "reasoningContent":
        text = block["reasoningContent"].get("reasoningText")
        if text is not None and not is_signature(text.get("signature"), text["text"]):
            raise refused("Invalid `signature` in `reasoningContent` block.")


def _check_source(source: dict[str, Any]) -> None:
    try:
        fine = bool(base64.b64decode(source.get("bytes", ""), validate=True))
    except binascii.Error:
        fine = False
    if not fine:
        raise refused("The source has no bytes that are Base64.")


def _check_documents(messages: list[dict[str, Any]]) -> None:
    names = []
    for message in messages:
        documents = [block["document"] for block in message["content"] if "document" in block]
        names += [each["name"] for each in documents]
        if documents and not any("text" in block for block in message["content"]):
            raise refused("A message with a document must have a text as well.")
    if len(names) != len(set(names)):
        raise refused("The names of documents must be unique.")
    if len(names) > MAX_DOCUMENTS:
        raise refused(f"There are more than {MAX_DOCUMENTS} documents.")


def _check_tools(body: dict[str, Any], messages: list[dict[str, Any]]) -> None:
    config = body.get("toolConfig")
    offered = [each["toolSpec"]["name"] for each in (config or {}).get("tools", ()) if "toolSpec" in each]
    for name in offered:
        if not TOOL_NAME.fullmatch(name):
            raise refused("The name of a tool does not satisfy its pattern.")
    if len(offered) != len(set(offered)):
        raise refused("The names of tools must be unique.")
    chosen = ((config or {}).get("toolChoice") or {}).get("tool")
    if chosen and chosen["name"] not in offered:
        raise refused("The tool of toolChoice is not among the tools.")
    open_calls: set[str] = set()
    for message in messages:
        blocks = message["content"]
        results = [block["toolResult"]["toolUseId"] for block in blocks if "toolResult" in block]
        calls = [block["toolUse"]["toolUseId"] for block in blocks if "toolUse" in block]
        if (results or calls) and config is None:
            raise refused("The toolConfig field must be defined when using toolUse and toolResult content blocks.")
        if set(results) != open_calls or len(results) != len(open_calls):
            raise refused("Expected toolResult blocks for exactly the toolUse blocks of the previous turn.")
        open_calls = set(calls)


def _check_schemas(body: dict[str, Any]) -> None:
    """Those that an answer or a call is held to are of the part of JSON Schema that is known; all say what they are."""
    held = [("outputConfig.textFormat", _schema(body))]
    tools = [each["toolSpec"] for each in (body.get("toolConfig") or {}).get("tools", ()) if "toolSpec" in each]
    held += [(f"toolSpec {each['name']}", each["inputSchema"]["json"]) for each in tools if each.get("strict")]
    for each in tools:
        if not each.get("description", "-").strip():
            raise refused("The description of a tool must not be empty.")
        if each["inputSchema"]["json"].get("type") != "object":
            raise refused("The value at toolSpec.inputSchema.json.type must be one of the following: object.")
    try:
        for where, schema in held:
            check_closed(where, schema)
    except Refused as e:
        raise refused(e.refusal.message) from None


def read(body: dict[str, Any]) -> Prompt:
    """What a checked request asks."""
    text, results = _last_user_turn(body["messages"])
    text, knobs = split_directives(text)
    config, inference = body.get("toolConfig") or {}, body.get("inferenceConfig") or {}
    tools = tuple(
        Tool(each["toolSpec"]["name"], each["toolSpec"]["inputSchema"]["json"])
        for each in config.get("tools", ())
        if "toolSpec" in each
    )
    choice = config.get("toolChoice") or {}
    if "tool" in choice:
        tools = tuple(tool for tool in tools if tool.name == choice["tool"]["name"])
    return Prompt(
        text=text,
        segments=tuple(_segments(body)),
        knobs=knobs,
        tool_results=results,
        tools=tools,
        tool_mode="named" if "tool" in choice else "required" if "any" in choice else "auto",
        max_tokens=inference.get("maxTokens"),
        stops=tuple(inference.get("stopSequences") or ()),
        schema=_schema(body),
        reasoning_tokens=_reasoning(body),
        speaks_before_tools=True,
    )


def _reasoning(body: dict[str, Any]) -> int:
    fields = body.get("additionalModelRequestFields") or {}
    effort = fields.get("reasoning_effort") or (fields.get("reasoningConfig") or {}).get("maxReasoningEffort")
    return EFFORT_TOKENS.get(effort or "", 0)


def _schema(body: dict[str, Any]) -> Any:
    wanted = (body.get("outputConfig") or {}).get("textFormat")
    return json.loads(wanted["structure"]["jsonSchema"]["schema"]) if wanted else None


def _last_user_turn(messages: list[dict[str, Any]]) -> tuple[str, tuple[str, ...]]:
    """The text of the last user message that has some, and the tool results that end the conversation."""
    results = tuple(
        _text_of(block["toolResult"]["content"]) for block in messages[-1]["content"] if "toolResult" in block
    )
    texts = (_text_of(each["content"]) for each in reversed(messages) if each["role"] == "user")
    return next((text for text in texts if text), ""), results


def _text_of(blocks: list[dict[str, Any]]) -> str:
    return " ".join(block["text"] for block in blocks if "text" in block)


def _all_blocks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (body.get("toolConfig") or {}).get("tools", ())
    yield from body.get("system") or ()
    for message in body["messages"]:
        yield from message["content"]


def _segments(body: dict[str, Any]) -> Iterator[Segment]:
    """The prompt in the order the model reads it: tools, system, messages; a cache point ends a prefix."""
    segments: list[Segment] = []
    for place in (_all_blocks({**body, "messages": []}), *(each["content"] for each in body["messages"])):
        if isinstance(place, list):
            segments.append(Segment("turn", MESSAGE_TOKENS))
        for block in place:
            if "cachePoint" in block and segments:
                last = segments[-1]
                segments[-1] = Segment(last.content, last.tokens, block["cachePoint"].get("ttl", "5m"))
            elif "cachePoint" not in block:
                segments.append(Segment(compact(block), _tokens(block)))
    yield from segments


def _tokens(block: dict[str, Any]) -> int:
    if "image" in block:
        return IMAGE_TOKENS
    return count_tokens(block["text"] if "text" in block else compact(block))
