// OpenAI's Responses API and embeddings, which the policy opens, with the npm
// package openai through Tenure.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import OpenAI from 'openai';

import { counting, image, readAll, start } from './stand.mjs';

const model = 'sim-gpt-4o';
const long = { model, input: 'count to 500 every 20ms' };
const weather = {
  type: 'function',
  name: 'get_weather',
  description: 'The weather at a place',
  strict: true,
  parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false },
};

let stand;
let client;

const clientOf = (apiKey) => new OpenAI({ apiKey, baseURL: `${stand.url}/v1`, maxRetries: 0 });
const person = () => stand.person('responses', 'embeddings');

before(async () => {
  stand = await start();
  await stand.policy('extra_scopes=responses embeddings');
  client = clientOf((await person()).token);
});
beforeEach(() => stand.untilUpstream(0)); // the provider may still be leaving the last one
after(() => stand?.stop());

describe('responses', () => {
  test('an answer, which the provider does not keep', async () => {
    const answer = await client.responses.create({ model: `openai/${model}`, input: 'hello there' });
    assert.match(answer.output_text, /^You said: hello there 1 2 3 /);
    assert.equal(answer.status, 'completed');
    assert.equal(answer.usage.total_tokens, answer.usage.input_tokens + answer.usage.output_tokens);
    const got = (await stand.received()).at(-1);
    assert.equal(got.header.authorization, `Bearer ${stand.providerKey}`);
    assert.deepEqual(JSON.parse(got.body), { store: false, model, input: 'hello there' });
  });

  test('a stream says what the answer says, event by event', async () => {
    const ask = { model, input: 'count to 300' };
    const whole = await client.responses.create(ask);
    const events = await readAll(await client.responses.create({ ...ask, stream: true }));
    assert.deepEqual(events.map((e) => e.sequence_number), events.map((_, i) => i));
    const texts = events.filter((e) => e.type === 'response.output_text.delta').map((e) => e.delta);
    assert.equal(texts.length, 300);
    assert.equal(texts.join(''), counting(300));
    assert.equal(events.at(-1).type, 'response.completed');
    assert.deepEqual(events.at(-1).response.usage, whole.usage);
    assert.equal(whole.output_text, texts.join(''));
  });

  test('the client\'s own stream helper', async () => {
    const answer = await client.responses.stream({ model, input: 'count to 3' }).finalResponse();
    assert.equal(answer.output_text, '1 2 3');
  });

  test('an image', async () => {
    const image_url = `data:image/png;base64,${image.toString('base64')}`;
    const content = [{ type: 'input_text', text: 'What is it?' }, { type: 'input_image', image_url, detail: 'auto' }];
    const answer = await client.responses.create({ model, input: [{ role: 'user', content }] });
    assert.match(answer.output_text, /^I received 1 image, 200000 bytes\. /);
  });

  test('a tool, and the whole history sent back', async () => {
    const ask = { model, tools: [weather], include: ['reasoning.encrypted_content'] };
    const input = [{ role: 'user', content: 'What is the weather in Lisbon?' }];
    const first = await client.responses.create({ ...ask, input });
    const [call] = first.output;
    assert.deepEqual(JSON.parse(call.arguments), { city: 'Lisbon' });
    const result = { type: 'function_call_output', call_id: call.call_id, output: '21 degrees' };
    const next = await client.responses.create({ ...ask, input: [...input, ...first.output, result] });
    assert.match(next.output_text, /^The tool answered: 21 degrees /);
    const again = await client.responses.create({ ...ask, input: [...input, ...first.output, result, ...next.output, { role: 'user', content: 'count to 2' }] });
    assert.equal(again.output_text, '1 2');
  });

  test('nothing that the provider keeps', async () => {
    const before = (await stand.received()).length;
    for (const [param, more] of [
      ['store', { store: true }],
      ['background', { background: true }],
      ['previous_response_id', { previous_response_id: 'resp_1' }],
      ['conversation', { conversation: 'conv_1' }],
      ['prompt', { prompt: { id: 'pmpt_1' } }],
      ['input', { input: [{ type: 'item_reference', id: 'msg_1' }] }],
      ['input.file_id', { input: [{ role: 'user', content: [{ type: 'input_file', file_id: 'file-1' }] }] }],
      ['tools.vector_store_ids', { tools: [{ type: 'file_search', vector_store_ids: ['vs_1'] }] }],
      ['tools.container', { tools: [{ type: 'code_interpreter', container: 'cntr_1' }] }],
    ]) {
      await assert.rejects(client.responses.create({ model, input: 'hello', ...more }), (err) => {
        assert.ok(err instanceof OpenAI.BadRequestError, String(err));
        assert.equal(err.code, 'unsupported_parameter');
        assert.equal(err.param, param);
        return true;
      });
    }
    await assert.rejects(client.responses.retrieve('resp_1'), OpenAI.PermissionDeniedError);
    await assert.rejects(client.responses.delete('resp_1'), OpenAI.PermissionDeniedError);
    assert.equal((await stand.received()).length, before);
  });

  for (const way of ['revoke', 'deactivate']) {
    test(`cut in mid-stream, by ${way}`, async () => {
      const other = await person();
      const own = clientOf(other.token);
      const err = await stand.endedBy(other[way], await own.responses.create({ ...long, stream: true }));
      assert.ok(err instanceof OpenAI.APIError, String(err));
      assert.equal(err.code, 'access_revoked');
      assert.match(err.message, /revoked/);
      await assert.rejects(own.responses.create({ model, input: 'hello' }), OpenAI.AuthenticationError);
    });
  }

  test('cut, seen by the client\'s own stream helper', async () => {
    const other = await person();
    const run = clientOf(other.token).responses.stream(long);
    await stand.untilUpstream(1);
    const ended = assert.rejects(run.finalResponse(), { code: 'access_revoked' });
    await other.revoke();
    await ended;
    await stand.untilUpstream(0);
  });

  test('the provider fails in mid-stream', async () => {
    const stream = await client.responses.create({ model, input: 'count to 20 fail midway', stream: true });
    await assert.rejects(readAll(stream), OpenAI.APIError);
    const broken = await client.responses.create({ model, input: 'count to 20 truncate', stream: true });
    await assert.rejects(readAll(broken), (err) => err instanceof OpenAI.APIError && err.code === 'provider_interrupted');
  });
});

describe('embeddings', () => {
  test('as numbers, whichever way they travel', async () => {
    const input = ['hello', 'hello there'];
    const packed = await client.embeddings.create({ model, input, dimensions: 64 }); // base64, unpacked by the client
    const plain = await client.embeddings.create({ model, input, dimensions: 64, encoding_format: 'float' });
    assert.deepEqual(packed.data.map((d) => d.index), [0, 1]);
    for (const [i, { embedding }] of packed.data.entries()) {
      assert.equal(embedding.length, 64);
      assert.deepEqual(embedding.map(Math.fround), plain.data[i].embedding.map(Math.fround));
    }
    assert.equal(packed.usage.prompt_tokens, 3);
  });

  test('of a model that is not there', async () => {
    await assert.rejects(client.embeddings.create({ model: 'no-such-model', input: 'x' }), OpenAI.NotFoundError);
  });
});

test('without the scope', async () => {
  const usual = clientOf((await stand.person()).token);
  for (const ask of [
    () => usual.responses.create({ model, input: 'hello' }),
    () => usual.responses.create({ model, input: 'hello', stream: true }),
    () => usual.embeddings.create({ model, input: 'hello' }),
  ]) {
    await assert.rejects(ask, (err) => {
      assert.ok(err instanceof OpenAI.PermissionDeniedError, String(err));
      assert.equal(err.code, 'insufficient_scope');
      assert.match(err.message, /an administrator opens it/);
      return true;
    });
  }
});

test('shut again, in mid-stream', async () => {
  const other = await person();
  const shut = async () => stand.policy('extra_scopes=embeddings');
  const err = await stand.endedBy(shut, await clientOf(other.token).responses.create({ ...long, stream: true }));
  assert.equal(err.code, 'access_revoked');
  await assert.rejects(clientOf(other.token).responses.create({ model, input: 'hello' }), OpenAI.PermissionDeniedError);
  await stand.policy('extra_scopes=responses embeddings');
});

test('never a token', () => stand.nothingLeaked());
