// OpenAI's own SDK for Node. argv: chat or responses.
import OpenAI from "openai";
import { zodResponseFormat, zodTextFormat } from "openai/helpers/zod";
import { z } from "zod";

const { OWNKEY_URL: url, OWNKEY_KEY: apiKey, OWNKEY_MODEL: model } = process.env;
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const Invoice = z.object({ number: z.number().int(), customer: z.string() });
const parameters = { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false };
const question = { role: "user", content: "use get_weather for Rome" };

async function chat() {
  const messages = [{ role: "user", content: "hello client" }];
  const whole = await client.chat.completions.create({ model, messages });
  const stream = client.chat.completions.stream({ model, messages, stream_options: { include_usage: true } });
  const streamed = (await stream.finalChatCompletion()).choices[0].message.content;
  const tools = [{ type: "function", function: { name: "get_weather", parameters, strict: true } }];
  const { message } = (await client.chat.completions.create({ model, messages: [question], tools })).choices[0];
  const results = message.tool_calls.map(({ id }) => ({ role: "tool", tool_call_id: id, content: "21 degrees" }));
  const after = await client.chat.completions.create({ model, messages: [question, message, ...results], tools });
  const parsed = await client.chat.completions.parse({
    model,
    messages: [{ role: "user", content: "the invoice" }],
    response_format: zodResponseFormat(Invoice, "invoice"),
  });
  return {
    whole: whole.choices[0].message.content,
    stream: streamed,
    tools: message.tool_calls.map((call) => call.function.name),
    after: after.choices[0].message.content,
    schema: Object.keys(parsed.choices[0].message.parsed).sort(),
    input_tokens: whole.usage.prompt_tokens,
  };
}

async function responses() {
  const whole = await client.responses.create({ model, input: "hello client" });
  const stream = client.responses.stream({ model, input: "hello client" });
  const streamed = (await stream.finalResponse()).output_text;
  const tools = [{ type: "function", name: "get_weather", parameters, strict: true }];
  const first = await client.responses.create({ model, input: [question], tools });
  const calls = first.output.filter((item) => item.type === "function_call");
  const results = calls.map(({ call_id }) => ({ type: "function_call_output", call_id, output: "21 degrees" }));
  const after = await client.responses.create({ model, input: [question, ...first.output, ...results], tools });
  const parsed = await client.responses.parse({ model, input: "the invoice", text: { format: zodTextFormat(Invoice, "invoice") } });
  return {
    whole: whole.output_text,
    stream: streamed,
    tools: calls.map((call) => call.name),
    after: after.output_text,
    schema: Object.keys(parsed.output_parsed).sort(),
    input_tokens: whole.usage.input_tokens,
  };
}

console.log(JSON.stringify(await { chat, responses }[process.argv[2]]()));
