// Anthropic's own SDK for Node.
import Anthropic from "@anthropic-ai/sdk";

const { OWNKEY_URL: baseURL, OWNKEY_KEY: authToken, OWNKEY_MODEL: model } = process.env;
const client = new Anthropic({ baseURL, authToken, apiKey: null, maxRetries: 0 });
const common = { model, max_tokens: 1000 };
const text = (message) => message.content.filter((block) => block.type === "text").map((block) => block.text).join("");

const messages = [{ role: "user", content: "hello client" }];
const whole = await client.messages.create({ ...common, messages });
const streamed = await client.messages.stream({ ...common, messages }).finalMessage();
const question = { role: "user", content: "use get_weather for Rome" };
const tools = [
  { name: "get_weather", input_schema: { type: "object", properties: { city: { type: "string" } }, required: ["city"] } },
];
const first = await client.messages.create({ ...common, messages: [question], tools });
const calls = first.content.filter((block) => block.type === "tool_use");
const results = calls.map(({ id }) => ({ type: "tool_result", tool_use_id: id, content: "21 degrees" }));
const after = await client.messages.create({
  ...common,
  messages: [question, { role: "assistant", content: first.content }, { role: "user", content: results }],
  tools,
});
const schema = {
  type: "object",
  properties: { number: { type: "integer" }, customer: { type: "string" } },
  required: ["number", "customer"],
  additionalProperties: false,
};
const invoice = await client.messages.create({
  ...common,
  messages: [{ role: "user", content: "the invoice" }],
  output_config: { format: { type: "json_schema", schema } },
});
console.log(
  JSON.stringify({
    whole: text(whole),
    stream: text(streamed),
    tools: calls.map((call) => call.name),
    after: text(after),
    schema: Object.keys(JSON.parse(text(invoice))).sort(),
    input_tokens: whole.usage.input_tokens,
  }),
);
