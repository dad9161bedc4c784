// What test-clients.sh runs: the openai client as a user's program calls it, then the other shapes.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
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
// The shapes of other services, as their users send them.
const picture = readFileSync(process.argv[3]).toString("base64");
const url = `data:image/jpeg;base64,${picture}`;
const post = async (path, body) => {
  const response = await fetch(`http://127.0.0.1:${process.argv[2]}${path}`, {
    method: "POST",
    headers: { Authorization: "Bearer secret", "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  assert.equal(response.status, 200, `${path}: ${response.status}`);
  return response.json();
};
const near = (a, b) => a.length === b.length && a.every((value, i) => Math.abs(value - b[i]) < 1e-5);
const dog = plain.data[0].embedding;
const parts = [{ type: "image_url", image_url: { url } }, { type: "text", text: "at night" }];

const jina = await post("/v1/embeddings", {
  model: "e5v", input: [{ text: "a dog on grass" }, { image: picture }, { text: "at night", image: url }],
});
assert.ok(near(jina.data[0].embedding, dog));
const [, image, composed] = jina.data.map((item) => item.embedding);
assert.ok(!near(image, composed));

const vllm = await post("/v1/embeddings", {
  model: "e5v", messages: [[{ role: "user", content: parts }], [{ role: "user", content: "a dog on grass" }]],
});
assert.ok(near(vllm.data[0].embedding, composed) && near(vllm.data[1].embedding, dog));

const cohere = await post("/v2/embed", {
  model: "e5v", input_type: "search_query", texts: ["a dog on grass"], embedding_types: ["float", "ubinary"],
});
assert.ok(near(cohere.embeddings.float[0], dog));
assert.equal(cohere.embeddings.ubinary[0].length, dog.length / 8);

const voyage = await post("/v1/multimodalembeddings", {
  model: "e5v", inputs: [{ content: [{ type: "text", text: "at night" }, { type: "image_base64", image_base64: url }] }],
});
assert.ok(near(voyage.data[0].embedding, composed));

const infinity = await post("/embeddings", { model: "e5v", modality: "image", input: [picture] });
assert.ok(near(infinity.data[0].embedding, image));

console.log("the openai client works unchanged, and so do the five other shapes");
