// What test-clients.sh runs: the openai client as a user's program calls it.
import assert from "node:assert/strict";
import OpenAI, { AuthenticationError, BadRequestError } from "openai";

const baseURL = `http://127.0.0.1:${process.argv[2]}/v1`;
const client = new OpenAI({ baseURL, apiKey: "secret", maxRetries: 0 });
const norm = (vector) => Math.hypot(...vector);

// Without encoding_format the client asks for base64 and decodes it.
const decoded = await client.embeddings.create({ model: "e5v", input: "a dog on grass" });
const plain = await client.embeddings.create({ model: "e5v", input: "a dog on grass", encoding_format: "float" });
assert.equal(decoded.data[0].embedding.length, plain.data[0].embedding.length);
for (const [i, value] of plain.data[0].embedding.entries()) {
  assert.ok(Math.abs(value - decoded.data[0].embedding[i]) < 1e-6);
}
assert.ok(Math.abs(norm(plain.data[0].embedding) - 1) < 1e-5);
assert.ok(plain.usage.prompt_tokens > 0);

const many = await client.embeddings.create({ model: "e5v", input: ["one", "two", "three"], dimensions: 8 });
assert.deepEqual(many.data.map((item) => item.index), [0, 1, 2]);
assert.equal(many.data[2].embedding.length, 8);

assert.equal((await client.models.list()).data.length, 1);
await assert.rejects(client.embeddings.create({ model: "e5v", input: "" }), BadRequestError);
await assert.rejects(new OpenAI({ baseURL, apiKey: "wrong", maxRetries: 0 }).models.list(), AuthenticationError);
console.log("the openai client works unchanged");
