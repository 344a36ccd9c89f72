// What a program does with the vendor's TypeScript SDK. Prints one name per passed check.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { Comfy, IdempotencyKeyReuse, InvalidWorkflow, JobFailed, NotFound, Unauthorized } from "@comfyorg/sdk";

const PNG = new Uint8Array(Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), randomBytes(2000)]));

function graph(client, prefix) {
  return {
    1: { class_type: "LoadImage", inputs: { image: client.assets.fromBytes(PNG, { filename: "photo.png" }) } },
    2: { class_type: "ImageInvert", inputs: { image: ["1", 0] } },
    3: { class_type: "SaveImage", inputs: { images: ["2", 0], filename_prefix: prefix } },
  };
}

const run = (client, prefix = "sdk", options = {}) =>
  client.submit(client.workflows.fromJson(graph(client, prefix)), options);

async function uploadAndDedupe(client) {
  const first = client.assets.fromBytes(PNG, { filename: "photo.png" });
  const again = client.assets.fromBytes(PNG, { filename: "photo.png" });
  await first.commit();
  await again.commit();
  assert.equal(again.createdNew, false);
}

async function submitWaitAndDownload(client) {
  const job = await (await run(client)).wait(60_000);
  assert.equal(job.status, "succeeded");
  const [output] = job.outputs;
  const bytes = await output.toBytes();
  assert.equal(bytes.length, output.sizeBytes);
  assert.deepEqual(await output.toBytes({ range: [0, 4] }), bytes.slice(0, 5));
}

async function events(client) {
  const seen = [];
  for await (const event of (await run(client)).events()) seen.push(event);
  assert.deepEqual([seen.at(-1).kind, seen.at(-1).status], ["statusChange", "succeeded"]);
  assert.ok(seen.some((event) => event.kind === "outputReady"));
}

async function cancel(client) {
  const job = await run(client, "wait");
  await job.cancel();
  await job.wait(60_000);
  assert.equal(job.status, "canceled");
}

async function workflow(client) {
  const found = await (await run(client)).getWorkflow();
  assert.equal(found.format, "api");
}

async function remove(client) {
  const asset = client.assets.fromBytes(new Uint8Array([...PNG, 2]), { filename: "gone.png" });
  await asset.commit();
  await client.assets.delete(asset.id);
  await assert.rejects(client.assets.delete(asset.id), NotFound);
}

async function errors(client) {
  await assert.rejects(async () => (await run(client, "fail")).result(), JobFailed);
  await assert.rejects(client.jobs.get("00000000-0000-4000-8000-000000000000"), NotFound);
  const bad = client.workflows.fromJson({ 1: { class_type: "Nowhere", inputs: {} } });
  await assert.rejects(client.submit(bad), InvalidWorkflow);
  await run(client, "sdk", { idempotencyKey: "ts" });
  await assert.rejects(run(client, "sdk", { idempotencyKey: "ts" }), IdempotencyKeyReuse);
  await assert.rejects(new Comfy({ apiKey: "comfyui-wrong" }).jobs.get("x"), Unauthorized);
}

const client = new Comfy({ apiKey: process.env.COMFY_API_KEY });
for (const check of [uploadAndDedupe, submitWaitAndDownload, events, cancel, workflow, remove, errors]) {
  await check(client);
  console.log(check.name);
}
