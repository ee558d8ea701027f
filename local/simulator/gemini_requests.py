"""Google's dialect, the way in: what a `generateContent` request must look like, and what it asks.

Fields as in google-genai 3.4. `body` has, beside the client's members, what stands in the path: `model`, and `_method`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator
from itertools import pairwise, takewhile
from typing import Any

from local.simulator.behaviour import split_directives
from local.simulator.brain import IMAGE_TOKENS, MESSAGE_TOKENS, Prompt, Segment, Tool
from local.simulator.refusals import Refusal, Refused
from local.simulator.text import compact, count_tokens

METHOD = "_method"
STREAM = "streamGenerateContent"
SKIP = "skip_thought_signature_validator"
MAX_STOPS = 5

_FREE = frozenset({"args", "response", "parametersJsonSchema", "responseJsonSchema", "labels"})
"""Members whose own members are the client's."""
_DATA = frozenset({"text", "inlineData", "fileData", "functionCall", "functionResponse"})
FIELDS: dict[str, frozenset[str]] = {
    "": frozenset(
        {
            *("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings"),
            *("cachedContent", "serviceTier", "labels", "store", "model", METHOD),
        }
    ),
    "generation_config": frozenset(
        {
            *("temperature", "topP", "topK", "candidateCount", "maxOutputTokens", "stopSequences", "responseLogprobs"),
            *("logprobs", "presencePenalty", "frequencyPenalty", "seed", "responseMimeType", "responseSchema"),
            *("responseJsonSchema", "responseModalities", "mediaResolution", "speechConfig", "thinkingConfig"),
        }
    ),
    "generation_config.thinking_config": frozenset({"includeThoughts", "thinkingBudget", "thinkingLevel"}),
    "tools": frozenset({"functionDeclarations", "googleSearch", "codeExecution", "urlContext"}),
    "function_declarations": frozenset({"name", "description", "parameters", "parametersJsonSchema", "response"}),
    "tool_config": frozenset({"functionCallingConfig", "retrievalConfig"}),
    "content": frozenset({"role", "parts"}),
    "part": _DATA | {"thought", "thoughtSignature", "videoMetadata", "mediaResolution"},
    "function_call": frozenset({"id", "name", "args"}),
    "function_response": frozenset({"id", "name", "response", "parts"}),
    "blob": frozenset({"mimeType", "data"}),
    "file": frozenset({"mimeType", "fileUri"}),
}
RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0, 2),
    "topP": (0, 1),
    "topK": (1, 1_000),
    "presencePenalty": (-2, 1.999),
    "frequencyPenalty": (-2, 1.999),
    "maxOutputTokens": (1, 10**6),
    "seed": (-(2**31), 2**31 - 1),
    "logprobs": (0, 20),
    "candidateCount": (1, 8),
}
LEVEL_TOKENS = {"MINIMAL": 8, "LOW": 16, "MEDIUM": 32, "HIGH": 64}
_UNTOLD_TOKENS, _MOST_TOKENS = 32, 256
_MEDIA = re.compile(r"image/(?:png|jpeg|webp|heic|heif)|audio/\w+|video/\w+|application/pdf|text/\w+")


def refused(message: str) -> Refused:
    """A 400 in the dialect's form."""
    return Refused(Refusal(400, "INVALID_ARGUMENT", message))


def third_generation(model: str) -> bool:
    """Whether it is Gemini 3 or later, which signs its calls and wants the signatures back."""
    found = re.match(r"gemini-(\d+)", model)
    return found is not None and int(found[1]) >= 3


def in_camel_case(value: Any) -> Any:
    """The members in one spelling: Google takes snake case too, and its SDK mixes both."""
    if isinstance(value, list):
        return [in_camel_case(each) for each in value]
    if not isinstance(value, dict):
        return value
    named = {re.sub(r"_([a-z])", lambda found: found[1].upper(), name): each for name, each in value.items()}
    return {name: each if name in _FREE else in_camel_case(each) for name, each in named.items()}


def counted(body: dict[str, Any]) -> dict[str, Any]:
    """The request that is to be counted: its own members, or those in `generateContentRequest`."""
    nested = body.get("generateContentRequest")
    if nested is None:
        return body
    if body.keys() - {"generateContentRequest", "model", METHOD} or not isinstance(nested, dict):
        raise refused("contents and generate_content_request are mutually exclusive.")
    if nested.get("model") != f"models/{body['model']}":
        raise refused("The model of generate_content_request must be the one of the path.")
    return {**nested, "model": body["model"], METHOD: body[METHOD]}


def check(body: Any, *, vertex: bool = False) -> None:
    """Raise Refused for a body the vendor would refuse; Vertex AI knows no ids of calls."""
    if not isinstance(body, dict):
        raise refused("Invalid JSON payload received. Expected an object.")
    _known("", body)
    contents = body.get("contents")
    if not isinstance(contents, list) or not contents:
        raise refused("* GenerateContentRequest.contents: contents is not specified")
    for index, content in enumerate(contents):
        _check_content(f"contents[{index}]", content)
    if "systemInstruction" in body:
        _check_content("system_instruction", body["systemInstruction"])
    _check_calls(contents)
    if vertex:
        _check_order(contents)
    declared = _check_tools(body)
    _check_choice(body, declared)
    _check_config(body, declared)
    if third_generation(body["model"]):
        _check_signatures(contents)


def _known(where: str, values: Any) -> None:
    if not isinstance(values, dict):
        raise refused(f"Invalid value at '{where}'")
    for name in values:
        if name not in FIELDS[where]:
            at = f" at '{where}'" if where else ""
            raise refused(f'Invalid JSON payload received. Unknown name "{name}"{at}: Cannot find field.')


def _check_content(where: str, content: Any) -> None:
    _known("content", content)
    if content.get("role", "user") not in ("user", "model"):
        raise refused("Please use a valid role: user, model.")
    if not content.get("parts"):
        raise refused(f"* GenerateContentRequest.{where}.parts: must not be empty.")
    for part in content["parts"]:
        _check_part(f"{where}.parts", part)


def _check_part(where: str, part: Any) -> None:
    _known("part", part)
    data = _DATA & part.keys()
    if len(data) != 1:
        raise refused(f"* GenerateContentRequest.{where}: required oneof field 'data' must have one initialized field")
    if "functionCall" in part:
        _known("function_call", part["functionCall"])
        if not isinstance(part["functionCall"].get("args", {}), dict):
            raise refused(f"Invalid value at '{where}.function_call.args'")
    if "functionResponse" in part:
        response = part["functionResponse"]
        _known("function_response", response)
        if not response.get("name") or not isinstance(response.get("response"), dict):
            raise refused(f"* GenerateContentRequest.{where}.function_response.name: Name cannot be empty.")
        for each in response.get("parts", ()):
            _check_media(each)
    _check_media(part)
    if part.get("text") == "" and "thoughtSignature" not in part:
        raise refused("Unable to submit request because it must have a text parameter.")


def _check_media(part: dict[str, Any]) -> None:
    for name, kind in (("inlineData", "blob"), ("fileData", "file")):
        media = part.get(name)
        if media is None:
            continue
        _known(kind, media)
        if not _MEDIA.fullmatch(media.get("mimeType", "" if name == "inlineData" else "image/png")):
            raise refused(f"Unsupported MIME type: {media.get('mimeType')}")
        if name == "inlineData":
            try:
                base64.b64decode(media["data"], validate=True)
            except (KeyError, ValueError):
                raise refused("Invalid value at 'inline_data.data' (TYPE_BYTES), Base64 decoding failed") from None


def _check_calls(contents: list[dict[str, Any]]) -> None:
    """Results answer all calls of the content right before, by name."""
    for before, content in zip([{"parts": []}, *contents], contents, strict=False):
        called = [part["functionCall"]["name"] for part in before["parts"] if "functionCall" in part]
        answered = [part["functionResponse"]["name"] for part in content["parts"] if "functionResponse" in part]
        if (called or answered) and sorted(called) != sorted(answered):
            raise refused(
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn."
            )


def _check_order(contents: list[dict[str, Any]]) -> None:
    for content in contents:
        if len({"functionResponse" in part for part in content["parts"]}) > 1:
            raise refused("Requests ending with a model turn are not supported.")
    for before, content in pairwise(contents):
        calls = [part["functionCall"] for part in before["parts"] if "functionCall" in part]
        results = [part["functionResponse"] for part in content["parts"] if "functionResponse" in part]
        for kind, found in (("function_call", calls), ("function_response", results)):
            if any("id" in each for each in found):
                raise refused(f"Invalid JSON payload received. Unknown name \"id\" at '{kind}': Cannot find field.")
        if [each["name"] for each in calls] != [each["name"] for each in results]:
            raise refused("Please ensure that function responses are in the order of their function calls.")


def _check_tools(body: dict[str, Any]) -> list[str]:
    names: list[str] = []
    tools = body.get("tools") or []
    for tool in tools:
        _known("tools", tool)
        for each in tool.get("functionDeclarations", ()):
            _known("function_declarations", each)
            if not re.fullmatch(r"[A-Za-z_][\w.:-]{0,127}", each.get("name", "")):
                raise refused("Invalid function name. Must start with a letter or an underscore.")
            if "parameters" in each and "parametersJsonSchema" in each:
                raise refused("parameters and parameters_json_schema are mutually exclusive.")
            schema = each.get("parametersJsonSchema", {"type": "object"})
            if schema.get("type") != "object" or "$schema" in schema:
                raise refused(f"The parameters of {each['name']} must be of the type object.")
            names.append(each["name"])
    if names and any("googleSearch" in tool for tool in tools):
        raise refused("Tool use with function calling is unsupported")
    return names


def _check_choice(body: dict[str, Any], declared: list[str]) -> None:
    config = body.get("toolConfig")
    if config is None:
        return
    _known("tool_config", config)
    choice = config.get("functionCallingConfig") or {}
    if choice.get("mode", "AUTO") not in ("AUTO", "ANY", "NONE", "VALIDATED"):
        raise refused("Invalid value at 'tool_config.function_calling_config.mode'")
    allowed = choice.get("allowedFunctionNames") or []
    if allowed and choice.get("mode") not in ("ANY", "VALIDATED"):
        raise refused("allowed_function_names should only be set when the function calling mode is ANY or VALIDATED.")
    if choice.get("mode") == "ANY" and not declared:
        raise refused("Function calling config is set without function_declarations.")
    if set(allowed) - set(declared):
        raise refused("allowed_function_names contains a function that is not declared.")


def _check_config(body: dict[str, Any], declared: list[str]) -> None:
    config = body.get("generationConfig") or {}
    _known("generation_config", config)
    for name, (least, most) in RANGES.items():
        value = config.get(name)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise refused(f"Invalid value at 'generation_config.{name}'")
        if value is not None and not least <= value <= most:
            raise refused(f"Unable to submit request because {name} must be from {least} to {most}.")
    if len(config.get("stopSequences") or ()) > MAX_STOPS:
        raise refused(f"The number of stop sequences must be at most {MAX_STOPS}.")
    if config.get("logprobs") is not None and not config.get("responseLogprobs"):
        raise refused("logprobs can only be set when response_logprobs is true.")
    shaped = config.get("responseMimeType") == "application/json"
    if config.get("responseJsonSchema") is not None and not shaped:
        raise refused("response_json_schema needs the response_mime_type application/json.")
    calls = (body.get("toolConfig") or {}).get("functionCallingConfig", {}).get("mode") != "NONE"
    if shaped and declared and calls and not third_generation(body["model"]):
        raise refused("Function calling with a response mime type: 'application/json' is unsupported")
    _check_thinking(body["model"], config.get("thinkingConfig"))


def _check_thinking(model: str, thinking: Any) -> None:
    if thinking is None:
        return
    _known("generation_config.thinking_config", thinking)
    budget, level = thinking.get("thinkingBudget"), thinking.get("thinkingLevel")
    if budget is not None and level is not None:
        raise refused("You can only set only one of thinking budget and thinking level.")
    if level is not None and (not third_generation(model) or level not in LEVEL_TOKENS):
        raise refused("Thinking level is not supported for this model.")
    if level == "MINIMAL" and "flash" not in model:
        raise refused("Thinking level MINIMAL is not supported for this model.")
    if budget is not None and not re.match(r"gemini-(2\.5|[3-9])", model):
        raise refused("Thinking is not enabled for this model.")
    if budget == 0 and "pro" in model:
        raise refused("Budget 0 is invalid. This model only works in thinking mode.")


# ── Thought signatures


def signature_of(part: dict[str, Any]) -> str:
    """The proof that the model said this part: of a call its name and arguments, of words themselves."""
    call = part.get("functionCall")
    said = f"{call['name']}{compact(call.get('args', {}))}" if call else part.get("text", "")
    return base64.b64encode(hashlib.sha512(f"thought {said}".encode()).digest()).decode()


def _check_signatures(contents: list[dict[str, Any]]) -> None:
    """Those there are are on the part they came with; calls since the user last spoke have one, on the first."""
    for at, content in enumerate(contents):
        for part in content["parts"]:
            signature = part.get("thoughtSignature", SKIP).replace("-", "+")
            signature = SKIP if signature == SKIP else signature.replace("_", "/")  # two spellings of base64
            # The signature of words may come by itself behind them, as it does in a stream.
            mine = (signature_of(part), *(signature_of(each) for each in content["parts"] if part.get("text") == ""))
            if signature not in (SKIP, *mine):
                raise refused("Corrupted thought signature.")
        calls = [part for part in content["parts"] if "functionCall" in part]
        if calls and "thoughtSignature" not in calls[0] and at > _last_said(contents):
            name = calls[0]["functionCall"]["name"]
            raise refused(
                f"Function call is missing a thought_signature in functionCall parts, function call `{name}`."
            )


def _last_said(contents: list[dict[str, Any]]) -> int:
    said = [
        at
        for at, content in enumerate(contents)
        if content.get("role", "user") == "user" and any("functionResponse" not in part for part in content["parts"])
    ]
    return max(said, default=-1)


# ── What is asked


def read(body: dict[str, Any]) -> Prompt:
    """What a checked request asks."""
    config = body.get("generationConfig") or {}
    text, knobs = split_directives(_last_words(body["contents"]))
    choice = (body.get("toolConfig") or {}).get("functionCallingConfig") or {}
    allowed = choice.get("allowedFunctionNames")
    tools = [_tool(each) for tool in body.get("tools") or () for each in tool.get("functionDeclarations", ())]
    return Prompt(
        text=text,
        segments=tuple(_segments(body)),
        knobs=knobs,
        tool_results=tuple(
            compact(part["functionResponse"]["response"].get("output", part["functionResponse"]["response"])).strip('"')
            for content in _since_the_model(body["contents"])
            for part in content["parts"]
            if "functionResponse" in part
        ),
        tools=tuple(tool for tool in tools if not allowed or tool.name in allowed),
        tool_mode={"ANY": "required", "NONE": "none"}.get(choice.get("mode", ""), "auto"),
        max_tokens=config.get("maxOutputTokens"),
        stops=tuple(config.get("stopSequences") or ()),
        schema=_schema(config),
        reasoning_tokens=_thinking_tokens(config.get("thinkingConfig")),
        speaks_before_tools=True,
    )


def _thinking_tokens(thinking: dict[str, Any] | None) -> int:
    if thinking is None:
        return 0
    if "thinkingLevel" in thinking:
        return LEVEL_TOKENS[thinking["thinkingLevel"]]
    budget = int(thinking.get("thinkingBudget", -1))
    return _UNTOLD_TOKENS if budget < 0 else min(budget, _MOST_TOKENS)


def _schema(config: dict[str, Any]) -> Any:
    if config.get("responseMimeType") != "application/json":
        return None
    return config.get("responseJsonSchema") or {"type": "object", "properties": {"answer": {"type": "string"}}}


def _tool(declaration: dict[str, Any]) -> Tool:
    return Tool(declaration["name"], declaration.get("parametersJsonSchema") or {"type": "object"})


def _since_the_model(contents: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the user has said last: in one content, or in several."""
    said = list(takewhile(lambda content: content.get("role", "user") == "user", reversed(contents)))
    return said[::-1]


def _last_words(contents: list[dict[str, Any]]) -> str:
    said = (
        " ".join(part["text"] for part in content["parts"] if part.get("text"))
        for content in reversed(contents)
        if content.get("role", "user") == "user"
    )
    return next((words for words in said if words), "")


def _segments(body: dict[str, Any]) -> Iterator[Segment]:
    """The prompt in the order the model reads it."""
    for name in ("systemInstruction", "tools"):
        if body.get(name):
            yield Segment(compact(body[name]), count_tokens(compact(body[name])))
    for content in body["contents"]:
        tokens = MESSAGE_TOKENS + sum(map(_tokens_of, content["parts"]))
        yield Segment(compact(content), tokens)


def image_tokens(body: dict[str, Any]) -> int:
    """Tokens of the prompt that are pictures."""
    parts = [part for content in body["contents"] for part in content["parts"]]
    return IMAGE_TOKENS * sum(map(_is_image, parts))


def _tokens_of(part: dict[str, Any]) -> int:
    if "inlineData" in part or "fileData" in part:
        return IMAGE_TOKENS
    return count_tokens(part["text"] if "text" in part else compact(part))


def _is_image(part: dict[str, Any]) -> bool:
    media = part.get("inlineData") or part.get("fileData") or {}
    return str(media.get("mimeType", "")).startswith("image/")
