// The Vercel AI SDK: an answer, a stream, a tool that it runs by itself, structured output. argv: chat, messages, responses or compatible.
import { createAnthropic } from "@ai-sdk/anthropic";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { Output, generateText, stepCountIs, streamText, tool } from "ai";
import { z } from "zod";

const { OWNKEY_URL: url, OWNKEY_KEY: apiKey, OWNKEY_MODEL: id } = process.env;
const openai = createOpenAI({ baseURL: `${url}/v1`, apiKey });
const model = {
  chat: () => openai.chat(id),
  responses: () => openai.responses(id),
  messages: () => createAnthropic({ baseURL: `${url}/v1`, apiKey })(id),
  compatible: () =>
    createOpenAICompatible({ name: "ownkey", baseURL: `${url}/v1`, apiKey, supportsStructuredOutputs: true })(id),
}[process.argv[2]]();

// Unless told so, it refers to what OpenAI has stored: which no other provider has.
const providerOptions = { openai: { store: false } };
const common = { model, maxRetries: 0, maxOutputTokens: 1000, providerOptions };
const whole = await generateText({ ...common, prompt: "hello client" });
const stream = streamText({ ...common, prompt: "hello client", onError: ({ error }) => { throw error; } });
let streamed = "";
for await (const piece of stream.textStream) streamed += piece;

const asked = [];
const get_weather = tool({
  description: "The weather of a city.",
  inputSchema: z.object({ city: z.string() }),
  execute: async ({ city }) => {
    asked.push("get_weather");
    return `21 degrees in ${city}`;
  },
});
const after = await generateText({
  ...common,
  prompt: "use get_weather for Rome",
  tools: { get_weather },
  stopWhen: stepCountIs(3),
});
const invoice = await generateText({
  ...common,
  prompt: "the invoice",
  output: Output.object({ schema: z.object({ number: z.number().int(), customer: z.string() }) }),
});
console.log(
  JSON.stringify({
    whole: whole.text,
    stream: streamed,
    tools: asked,
    after: after.text,
    schema: Object.keys(invoice.output).sort(),
    input_tokens: whole.usage.inputTokens,
  }),
);
