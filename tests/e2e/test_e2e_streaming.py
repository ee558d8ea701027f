"""When chunks arrive: each as the provider sends it, before the provider has said what comes next.

The provider is played by the test, or held by a knob, so that the order is certain and no clock is asked.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.e2e.accounts import CHAT_MODEL, MESSAGES_MODEL, Account, said
from tests.e2e.stage import Scene, chunk
from tests.e2e.world import World

USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
MODEL = "openai-compatible/played"


@pytest.fixture
def scene(world: World, account: Account) -> Scene:
    """A provider of the account's own, in OpenAI's dialect."""
    played = world.scene()
    account.save_key("openai-compatible", base_url=played.base_url)
    return played


def words(count: int) -> list[bytes]:
    return [chunk(f"w{index} ") for index in range(count)]


class TestOneByOne:
    def test_a_chunk_arrives_before_the_next_is_sent(self, account, scene):
        scene.send(chunk("first "))
        with account.openai().chat.completions.create(model=MODEL, messages=said("hi"), stream=True) as stream:
            arriving = iter(stream)
            assert next(arriving).choices[0].delta.content == "first "
            for index in range(20):
                scene.send(chunk(f"w{index} "))
                assert next(arriving).choices[0].delta.content == f"w{index} "
            scene.send(chunk(finish="stop"), b"data: [DONE]\n\n")
            scene.end()
            assert [each.choices[0].finish_reason for each in arriving] == ["stop"]

    async def test_so_it_does_for_the_asynchronous_sdk(self, account, scene):
        scene.send(chunk("first "))
        async with account.async_openai() as client:
            arriving = aiter(await client.chat.completions.create(model=MODEL, messages=said("hi"), stream=True))
            assert (await anext(arriving)).choices[0].delta.content == "first "
            scene.send(chunk("second"))
            assert (await anext(arriving)).choices[0].delta.content == "second"
            scene.send(chunk(finish="stop"), b"data: [DONE]\n\n")
            scene.end()
            assert [each.choices[0].finish_reason async for each in arriving] == ["stop"]

    def test_an_event_arrives_before_the_next_is_sent_in_anthropics_dialect(self, world, account):
        played = world.scene()
        account.save_key("Anthropic", base_url=played.base_url)
        usage = {"input_tokens": 5, "output_tokens": 1}
        message = {"id": "msg_1", "type": "message", "role": "assistant", "model": MESSAGES_MODEL, "content": []}
        message |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
        played.send({"type": "message_start", "message": message})
        asked = {"model": MESSAGES_MODEL, "max_tokens": 100, "messages": said("hi")}
        with account.anthropic().messages.create(**asked, stream=True) as stream:
            arriving = iter(stream)
            assert next(arriving).type == "message_start"
            played.send({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}})
            assert next(arriving).type == "content_block_start"
            for index in range(10):
                delta = {"type": "text_delta", "text": f"w{index} "}
                played.send({"type": "content_block_delta", "index": 0, "delta": delta})
                assert next(arriving).delta.text == f"w{index} "
            played.send({"type": "content_block_stop", "index": 0})
            played.send({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 10}})
            played.send({"type": "message_stop"})
            played.end()
            assert [event.type for event in arriving] == ["content_block_stop", "message_delta", "message_stop"]

    def test_what_the_provider_sent_is_there_while_it_is_silent(self, world, account):
        """The simulated provider falls silent after three chunks: they are here, and it still has the rest."""
        key = account.save_key("OpenAI").key
        client = account.openai().chat.completions
        with client.create(model=CHAT_MODEL, messages=said("[[sim: chunks=8 hang_after=3]]"), stream=True) as stream:
            contents = (each.choices[0].delta.content for each in stream if each.choices[0].delta.content)
            assert list(itertools.islice(contents, 3)) == ["w0", " w1", " w2"]
            (call,) = world.calls(key)
            assert (call.chunks_sent, call.outcome) == (3, "open")

    def test_a_paced_stream_has_begun_here_before_it_has_ended_there(self, world, account):
        key = account.save_key("OpenAI").key
        client = account.openai().chat.completions
        sent = []
        with client.create(model=CHAT_MODEL, messages=said("[[sim: chunks=8 delay_ms=100]]"), stream=True) as stream:
            for each in stream:
                if each.choices[0].delta.content:
                    sent.append(world.calls(key)[0].chunks_sent)
        assert (len(sent), sent[-1]) == (8, 8)
        assert sent[0] < 8

    def test_headers_come_with_the_first_chunk_not_with_the_last(self, account, scene):
        scene.send(chunk("first"))
        answer = account.openai().chat.completions.with_raw_response.create(
            model=MODEL, messages=said("hi"), stream=True
        )
        assert answer.headers["x-ownkey-provider"] == "openai-compatible"
        assert answer.headers["x-ownkey-byok"] == "true"
        scene.send(chunk(finish="stop"), b"data: [DONE]\n\n")
        scene.end()
        assert len(list(answer.parse())) == 2


class TestPieces:
    """TCP knows no events: what the provider writes may be cut anywhere."""

    def answer(self, account: Account, scene: Scene, pieces: Iterator[bytes] | list[bytes]) -> list[str | None]:
        scene.send(*pieces)
        scene.end()
        with account.openai().chat.completions.create(model=MODEL, messages=said("hi"), stream=True) as stream:
            return [each.choices[0].delta.content for each in stream]

    @pytest.mark.parametrize("size", [1, 7, 100_000], ids=["byte by byte", "in pieces of seven", "in one"])
    def test_events_come_whole(self, account, scene, size):
        written = b"".join([chunk("Grüße "), chunk("\U0001f600"), chunk(finish="stop"), b"data: [DONE]\n\n"])
        pieces = [written[at : at + size] for at in range(0, len(written), size)]
        assert self.answer(account, scene, pieces) == ["Grüße ", "\U0001f600", None]

    def test_other_line_ends_and_comments(self, account, scene):
        lines = b": hello\r\n\r\n" + chunk("one").replace(b"\n", b"\r\n") + chunk("two", finish="stop")
        assert self.answer(account, scene, [lines, b"data: [DONE]\n\n"]) == ["one", "two"]

    def test_a_missing_end_is_added(self, account, scene):
        assert self.answer(account, scene, [*words(2), chunk(finish="stop")]) == ["w0 ", "w1 ", None]


def test_a_stream_of_two_thousand_chunks_is_complete_and_in_order(account):
    account.save_key("OpenAI")
    client = account.openai().chat.completions
    with client.create(model=CHAT_MODEL, messages=said("[[sim: chunks=2000]]"), stream=True) as stream:
        contents = [each.choices[0].delta.content for each in stream if each.choices[0].delta.content]
    assert [each.strip() for each in contents] == [f"w{index}" for index in range(2000)]


async def test_streams_side_by_side_do_not_mix(account):
    account.save_key("OpenAI")
    account.save_key("Anthropic")

    async def chat(client: openai.AsyncOpenAI, name: str) -> str:
        stream = await client.chat.completions.create(model=CHAT_MODEL, messages=said(name), stream=True)
        return "".join([each.choices[0].delta.content or "" async for each in stream])

    async def message(client: anthropic.AsyncAnthropic, name: str) -> str:
        async with client.messages.stream(model=MESSAGES_MODEL, max_tokens=500, messages=said(name)) as stream:
            return await stream.get_final_text()

    async with account.async_openai() as one, account.async_anthropic() as other:
        texts = await asyncio.gather(
            *(ask(client, f"{ask.__name__} {n}") for n in range(3) for ask, client in ((chat, one), (message, other)))
        )
    assert texts == [f"You said: {kind} {n}" for n in range(3) for kind in ("chat", "message")]


def test_usage_that_nobody_asked_for_is_asked_of_the_provider_and_kept(account, scene):
    scene.send(chunk("hi", finish="stop"), chunk(usage=USAGE), b"data: [DONE]\n\n")
    scene.end()
    client = account.openai().chat.completions
    answer = client.with_raw_response.create(model=MODEL, messages=said("hi"), stream=True)
    assert [each.model_fields_set & {"usage"} for each in answer.parse()] == [set()]
    assert scene.request()["stream_options"] == {"include_usage": True}
    attempt = account.attempt(answer.headers["x-ownkey-request-id"])
    assert (attempt["usage_source"], attempt["usage"]["input_tokens"], attempt["usage"]["output_tokens"]) == (
        "provider",
        5,
        3,
    )
