// The npm package openai, as people use it, through Tenure.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import OpenAI from 'openai';

import { anyToken, counting, image, readAll, start } from './stand.mjs';

const model = 'sim-gpt-4o';
const says = (content) => [{ role: 'user', content }];
const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'The weather at a place',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

// Slow enough to be still under way when it is cut, and no longer than 10 s.
const long = { model, messages: says('count to 500 every 20ms') };

let stand;
let ada;
let client;

const clientOf = (apiKey, more) => new OpenAI({ apiKey, baseURL: `${stand.url}/v1`, maxRetries: 0, ...more });

before(async () => {
  stand = await start();
  ada = await stand.person();
  client = clientOf(ada.token);
});
beforeEach(() => stand.untilUpstream(0)); // the provider may still be leaving the last one
after(() => stand?.stop());

describe('chat', () => {
  test('an answer', async () => {
    const answer = await client.chat.completions.create({ model, messages: says('hello there') });
    assert.match(answer.choices[0].message.content, /^You said: hello there 1 2 3 /);
    assert.equal(answer.choices[0].finish_reason, 'stop');
    assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
    assert.match(answer._request_id, /./);
  });

  test('a stream says what the answer says, chunk by chunk', async () => {
    const ask = { model, messages: says('count to 300') };
    const whole = await client.chat.completions.create(ask);
    const stream = await client.chat.completions.create({ ...ask, stream: true, stream_options: { include_usage: true } });
    const chunks = await readAll(stream);

    const texts = chunks.map((c) => c.choices[0]?.delta.content).filter(Boolean);
    assert.equal(texts.length, 300);
    assert.equal(texts.join(''), counting(300));
    assert.equal(texts.join(''), whole.choices[0].message.content);
    const last = chunks.pop();
    assert.deepEqual(last.choices, []);
    assert.deepEqual(last.usage, whole.usage);
    assert.ok(chunks.every((c) => c.usage === null && c.id === last.id));
    assert.equal(chunks.at(-1).choices[0].finish_reason, 'stop');
  });

  test('a stream arrives as it is made', async () => {
    const stream = await client.chat.completions.create({ model, messages: says('count to 5 every 300ms'), stream: true });
    const began = performance.now();
    for await (const chunk of stream) {
      if (chunk.choices[0].delta.content) break; // leaves the stream, too
    }
    assert.ok(performance.now() - began < 1000, 'the first word came with the last');
    await stand.untilUpstream(0);
  });

  test('a model under its provider\'s name', async () => {
    const answer = await client.chat.completions.create({ model: `openai/${model}`, messages: says('count to 3') });
    assert.equal(answer.choices[0].message.content, '1 2 3');
    assert.equal(answer.model, model);
  });

  test('an image', async () => {
    const url = `data:image/png;base64,${image.toString('base64')}`;
    const content = [{ type: 'text', text: 'What is it?' }, { type: 'image_url', image_url: { url } }];
    const answer = await client.chat.completions.create({ model, messages: says(content) });
    assert.match(answer.choices[0].message.content, /^I received 1 image, 200000 bytes\. /);
  });
});

describe('tools', () => {
  const ask = { model, messages: says('What is the weather in Lisbon?'), tools: [weather] };

  async function roundTrip(complete) {
    const { message, finish_reason } = (await complete(ask)).choices[0];
    assert.equal(finish_reason, 'tool_calls');
    assert.equal(message.tool_calls.length, 1);
    const [call] = message.tool_calls;
    assert.equal(call.function.name, 'get_weather');
    assert.deepEqual(JSON.parse(call.function.arguments), { city: 'Lisbon' });
    const result = { role: 'tool', tool_call_id: call.id, content: '21 degrees and sunny' };
    const next = (await complete({ ...ask, messages: [...ask.messages, message, result] })).choices[0];
    assert.match(next.message.content, /^The tool answered: 21 degrees and sunny /);
    assert.equal(next.finish_reason, 'stop');
  }

  test('called and answered', () => roundTrip((body) => client.chat.completions.create(body)));

  test('called and answered in streams', () => roundTrip((body) => client.chat.completions.stream(body).finalChatCompletion()));

  test('run by the client', async () => {
    const asked = [];
    const run = client.chat.completions.runTools({
      ...ask,
      tools: [{
        type: 'function',
        function: {
          ...weather.function,
          parse: JSON.parse,
          function: ({ city }) => {
            asked.push(city);
            return 'rain';
          },
        },
      }],
    });
    assert.match(await run.finalContent(), /^The tool answered: rain /);
    assert.deepEqual(asked, ['Lisbon']);
  });
});

describe('models', () => {
  test('listed', async () => {
    const models = await readAll(client.models.list());
    assert.deepEqual(models.map((m) => m.id).sort(), ['sim-gpt-4o', 'sim-gpt-4o-mini']);
    assert.ok(models.every((m) => m.object === 'model' && m.created > 0));
  });

  test('one', async () => {
    assert.equal((await client.models.retrieve(model)).id, model);
  });

  test('none of that name', async () => {
    const asks = [
      () => client.models.retrieve('no-such-model'),
      () => client.chat.completions.create({ model: 'no-such-model', messages: says('hello') }),
      () => client.chat.completions.create({ model: 'sim-claude-sonnet', messages: says('hello') }),
    ];
    for (const ask of asks) {
      await assert.rejects(ask, (err) => {
        assert.ok(err instanceof OpenAI.NotFoundError, String(err));
        assert.equal(err.status, 404);
        assert.equal(err.code, 'model_not_found');
        return true;
      });
    }
  });
});

const refused = (err) => {
  assert.ok(err instanceof OpenAI.AuthenticationError, String(err));
  assert.equal(err.status, 401);
  assert.equal(err.code, 'invalid_token');
  assert.equal(err.type, 'authentication_error');
  assert.match(err.headers.get('www-authenticate'), /^Bearer .*error="invalid_token"/);
  return true;
};

describe('a wrong token', () => {
  const wrong = {
    malformed: () => 'not-a-token',
    'of a wrong checksum': () => `tpat_${'0'.repeat(46)}`,
    'cut short': () => ada.token.slice(0, -1),
    'the provider\'s own key': () => stand.providerKey,
  };
  for (const [name, token] of Object.entries(wrong)) {
    test(name, async () => {
      const other = clientOf(token());
      await assert.rejects(other.chat.completions.create({ model, messages: says('hello') }), refused);
      await assert.rejects(other.chat.completions.create({ model, messages: says('hello'), stream: true }), refused);
      await assert.rejects(() => readAll(other.models.list()), refused);
    });
  }
});

describe('revoked', () => {
  for (const way of ['revoke', 'deactivate']) {
    test(`in mid-stream, by ${way}`, async () => {
      const person = await stand.person();
      const own = clientOf(person.token);
      const stream = await own.chat.completions.create({ ...long, stream: true });
      const err = await stand.endedBy(person[way], stream);
      // The status line is out by then, so the error has no status of its own.
      assert.ok(err instanceof OpenAI.APIError, String(err));
      assert.equal(err.code, 'access_revoked');
      assert.equal(err.type, 'authentication_error');
      assert.equal(err.status, undefined);
      assert.match(err.message, /revoked/);
      await assert.rejects(own.chat.completions.create({ model, messages: says('hello') }), refused);
    });
  }

  test('seen by the client\'s own stream helper', async () => {
    const person = await stand.person();
    const run = clientOf(person.token).chat.completions.stream(long);
    await stand.untilUpstream(1);
    const ended = assert.rejects(run.finalChatCompletion(), { code: 'access_revoked' });
    await person.revoke();
    await ended;
    await stand.untilUpstream(0);
  });

  test('before the answer', async () => {
    const person = await stand.person();
    const answer = clientOf(person.token).chat.completions.create(long);
    const ended = assert.rejects(answer, (err) => {
      assert.ok(err instanceof OpenAI.AuthenticationError, String(err));
      assert.equal(err.status, 401);
      assert.equal(err.code, 'access_revoked');
      return true;
    });
    await stand.untilUpstream(1);
    await person.revoke();
    await ended;
    await stand.untilUpstream(0);
  });

  test('and reactivated, which brings nothing back', async () => {
    const person = await stand.person();
    await person.deactivate();
    await person.reactivate();
    await assert.rejects(() => readAll(clientOf(person.token).models.list()), refused);
  });

  test('others go on', async () => {
    const person = await stand.person();
    const stream = await client.chat.completions.create({ model, messages: says('count to 30 every 20ms'), stream: true });
    const texts = [];
    for await (const chunk of stream) {
      texts.push(chunk.choices[0].delta.content);
      if (texts.length === 5) await person.deactivate();
    }
    assert.equal(texts.join(''), counting(30));
  });
});

describe('the provider fails', () => {
  const asking = (text, more) => client.chat.completions.create({ model, messages: says(text), ...more });

  test('429 passes through', async () => {
    await assert.rejects(asking('fail 429'), (err) => {
      assert.ok(err instanceof OpenAI.RateLimitError, String(err));
      assert.equal(err.code, 'rate_limit_exceeded');
      assert.equal(err.headers.get('retry-after'), '1');
      return true;
    });
  });

  test('its key is not in an error that echoes it', async () => {
    await assert.rejects(asking('echo key'), (err) => {
      assert.ok(err instanceof OpenAI.InternalServerError, String(err));
      assert.equal(err.status, 500);
      const all = [err.message, JSON.stringify(err.error), ...err.headers].join('\n');
      assert.match(all, /The request made with the key \[redacted\]\** failed/);
      assert.ok(!all.includes(stand.providerKey), all);
      return true;
    });
  });

  test('a key that it refuses is not the caller\'s fault', async () => {
    await assert.rejects(asking('fail 401'), (err) => {
      assert.ok(err instanceof OpenAI.InternalServerError, String(err));
      assert.equal(err.status, 502);
      assert.equal(err.code, 'provider_refused_key');
      return true;
    });
  });

  test('in mid-stream, by an error of its own', async () => {
    const stream = await asking('count to 20 fail midway', { stream: true });
    await assert.rejects(readAll(stream), (err) => err instanceof OpenAI.APIError && err.type === 'server_error');
  });

  test('in mid-stream, by breaking off', async () => {
    const stream = await asking('count to 20 truncate', { stream: true });
    await assert.rejects(readAll(stream), (err) => err instanceof OpenAI.APIError && err.code === 'provider_interrupted');
  });
});

describe('the client leaves', () => {
  test('in mid-stream', async () => {
    const { cancelled } = await stand.upstream();
    const leave = new AbortController();
    const stream = await client.chat.completions.create({ ...long, stream: true }, { signal: leave.signal });
    let chunks = 0;
    for await (const _ of stream) {
      if (++chunks === 5) leave.abort();
    }
    await stand.untilUpstream(0);
    assert.equal((await stand.upstream()).cancelled, cancelled + 1);
  });

  test('before the answer', async () => {
    const { cancelled } = await stand.upstream();
    const leave = new AbortController();
    const answer = client.chat.completions.create(long, { signal: leave.signal });
    const ended = assert.rejects(answer, OpenAI.APIUserAbortError);
    await stand.untilUpstream(1);
    leave.abort();
    await ended;
    await stand.untilUpstream(0);
    assert.equal((await stand.upstream()).cancelled, cancelled + 1);
  });
});

describe('what reaches the provider', () => {
  test('the request and the provider\'s key, and nothing of the caller\'s', async () => {
    const named = clientOf(ada.token, {
      organization: 'org-of-the-caller',
      project: 'proj-of-the-caller',
      defaultHeaders: {
        cookie: 'tenure=cookie-of-the-caller',
        'x-user-id': ada.userName,
        'x-forwarded-for': '192.0.2.7',
        forwarded: 'for=192.0.2.7',
        'x-real-ip': '192.0.2.7',
        'x-of-the-caller': 'header-of-the-caller',
        'idempotency-key': 'key-of-the-request',
      },
    });
    const body = { model, messages: says('what do you see?'), seed: 7 };
    await named.chat.completions.create(body, { query: { q: 'query-of-the-caller' } });

    const got = (await stand.received()).at(-1);
    const { authorization, 'user-agent': agent, ...rest } = got.header;
    assert.equal(authorization, `Bearer ${stand.providerKey}`);
    assert.match(agent, /^OpenAI\/JS /);
    assert.deepEqual(rest, {
      accept: 'application/json',
      'accept-encoding': 'identity',
      'content-length': String(got.body.length),
      'content-type': 'application/json',
    });
    assert.deepEqual(JSON.parse(got.body), body);
    assert.equal(got.query, '');
    const all = JSON.stringify(got);
    assert.doesNotMatch(all, anyToken);
    assert.doesNotMatch(all, /of-the-caller|192\.0\.2\.7|@example\.com/);
    assert.ok(!all.includes(new URL(stand.url).host), all);
  });

  test('never a token', () => stand.nothingLeaked());
});
