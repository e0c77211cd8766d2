// The npm package @anthropic-ai/sdk, as people use it, through Tenure.

import assert from 'node:assert/strict';
import { after, before, beforeEach, describe, test } from 'node:test';

import Anthropic from '@anthropic-ai/sdk';

import { anyToken, counting, image, readAll, start } from './stand.mjs';

const model = 'sim-claude-sonnet';
const says = (content) => ({ model, max_tokens: 1000, messages: [{ role: 'user', content }] });
const weather = {
  name: 'get_weather',
  description: 'The weather at a place',
  input_schema: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
};

// Slow enough to be still under way when it is cut, and no longer than 10 s.
const long = says('count to 500 every 20ms');

let stand;
let ada;
let client;

const clientOf = (apiKey, more) => new Anthropic({ apiKey, baseURL: stand.url, maxRetries: 0, ...more });

/** The token as x-api-key, which is how other clients of this protocol send it. */
const keyed = (token, more) => clientOf(token, { defaultHeaders: { 'x-api-key': token, authorization: null, ...more } });

/** Of a machine of its own, as the trusted proxy tells: one that shows many wrong tokens is slowed down. */
let machines = 0;
const elsewhere = () => ({ 'x-forwarded-for': `198.51.100.${++machines}` });

before(async () => {
  stand = await start();
  ada = await stand.person();
  client = clientOf(ada.token);
});
beforeEach(() => stand.untilUpstream(0)); // the provider may still be leaving the last one
after(() => stand?.stop());

describe('messages', () => {
  test('an answer', async () => {
    const answer = await client.messages.create(says('hello there'));
    assert.match(answer.content[0].text, /^You said: hello there 1 2 3 /);
    assert.equal(answer.stop_reason, 'end_turn');
    assert.ok(answer.usage.input_tokens > 0 && answer.usage.output_tokens > 0);
  });

  test('a stream says what the answer says, event by event', async () => {
    const whole = await client.messages.create(says('count to 300'));
    const events = await readAll(await client.messages.create({ ...says('count to 300'), stream: true }));

    const texts = events.filter((e) => e.type === 'content_block_delta').map((e) => e.delta.text);
    assert.equal(texts.length, 300);
    assert.equal(texts.join(''), counting(300));
    assert.equal(texts.join(''), whole.content[0].text);
    assert.deepEqual(
      events.map((e) => e.type).filter((type) => type !== 'content_block_delta'),
      ['message_start', 'content_block_start', 'content_block_stop', 'message_delta', 'message_stop'],
    );
    const end = events.at(-2);
    assert.equal(end.delta.stop_reason, 'end_turn');
    assert.equal(end.usage.output_tokens, whole.usage.output_tokens);
  });

  test('a stream by the client\'s own helper', async () => {
    const stream = client.messages.stream(says('count to 300'));
    let text = '';
    stream.on('text', (piece) => (text += piece));
    assert.equal(await stream.finalText(), counting(300));
    assert.equal(text, counting(300));
  });

  test('max_tokens', async () => {
    const answer = await client.messages.create({ ...says('count to 300'), max_tokens: 3 });
    assert.equal(answer.content[0].text, '1 2 3');
    assert.equal(answer.stop_reason, 'max_tokens');
  });

  test('an image', async () => {
    const source = { type: 'base64', media_type: 'image/png', data: image.toString('base64') };
    const answer = await client.messages.create(says([{ type: 'image', source }, { type: 'text', text: 'What is it?' }]));
    assert.match(answer.content[0].text, /^I received 1 image, 200000 bytes\. /);
  });

  test('a beta, asked for by header and query', async () => {
    await client.beta.messages.create({ ...says('hello'), betas: ['a-beta-2026-01-01'] }, { query: { beta: true } });
    const got = (await stand.received()).at(-1);
    assert.equal(got.header['anthropic-beta'], 'a-beta-2026-01-01');
    assert.equal(got.query, 'beta=true');
  });

  test('tokens are counted', async () => {
    const ask = { ...says('one two three'), max_tokens: undefined };
    const { input_tokens: few } = await client.messages.countTokens(ask);
    const { input_tokens: more } = await client.messages.countTokens({ ...ask, tools: [weather] });
    assert.equal(few, 3);
    assert.ok(more > few);
  });
});

describe('a token by either header', () => {
  test('x-api-key', async () => {
    const own = keyed(ada.token);
    assert.match((await own.messages.create(says('hello'))).content[0].text, /^You said: hello /);
    assert.equal((await readAll(await own.messages.create({ ...says('count to 9'), stream: true }))).at(-1).type, 'message_stop');
    assert.equal((await own.messages.countTokens({ ...says('hello'), max_tokens: undefined })).input_tokens, 1);
    assert.equal((await readAll(own.models.list())).length, 2);
  });

  test('authToken', async () => {
    const own = new Anthropic({ authToken: ada.token, baseURL: stand.url, maxRetries: 0 });
    assert.match((await own.messages.create(says('hello'))).content[0].text, /^You said: hello /);
  });

  test('both, alike', async () => {
    const own = clientOf(ada.token, { defaultHeaders: { 'x-api-key': ada.token } });
    assert.match((await own.messages.create(says('hello'))).content[0].text, /^You said: hello /);
  });

  test('both, of two people', async () => {
    const other = await stand.person();
    const own = clientOf(ada.token, { defaultHeaders: { 'x-api-key': other.token } });
    await assert.rejects(own.messages.create(says('hello')), Anthropic.BadRequestError);
  });
});

describe('tools', () => {
  const ask = { ...says('What is the weather in Lisbon?'), tools: [weather] };

  async function roundTrip(complete) {
    const answer = await complete(ask);
    assert.equal(answer.stop_reason, 'tool_use');
    const call = answer.content.find((block) => block.type === 'tool_use');
    assert.equal(call.name, 'get_weather');
    assert.deepEqual(call.input, { city: 'Lisbon' });
    const result = { type: 'tool_result', tool_use_id: call.id, content: '21 degrees and sunny' };
    const next = await complete({
      ...ask,
      messages: [...ask.messages, { role: 'assistant', content: answer.content }, { role: 'user', content: [result] }],
    });
    assert.match(next.content[0].text, /^The tool answered: 21 degrees and sunny /);
    assert.equal(next.stop_reason, 'end_turn');
  }

  test('called and answered', () => roundTrip((body) => client.messages.create(body)));

  test('called and answered in streams', () => roundTrip((body) => client.messages.stream(body).finalMessage()));

  test('run by the client', async () => {
    const asked = [];
    const answer = await client.beta.messages.toolRunner({
      ...ask,
      tools: [{
        ...weather,
        parse: (input) => input,
        run: ({ city }) => {
          asked.push(city);
          return 'rain';
        },
      }],
    });
    assert.match(answer.content[0].text, /^The tool answered: rain /);
    assert.deepEqual(asked, ['Lisbon']);
  });
});

// The provider would keep the conversation under the one key that all users of
// a workspace share. Tenure refuses that, in the way that tells a client to send
// the whole conversation each time.
describe('a message thread', () => {
  const hello = { role: 'user', content: 'hello' };

  test('goes on without the provider keeping it', async () => {
    const thread = client.beta.messages.thread({ model, max_tokens: 1000, unsupportedRequestBehavior: 'continue_unthreaded' });
    assert.match((await thread.send(hello)).content[0].text, /^You said: hello 1 2 3 /);
    assert.match((await thread.send(hello)).content[0].text, /^You said: hello 1 2 3 /);
    const { messages, thread: kept } = JSON.parse((await stand.received()).at(-1).body);
    assert.equal(messages.length, 3);
    assert.equal(kept, undefined);
  });

  test('is refused where nothing else will do', async () => {
    const thread = client.beta.messages.thread({ model, max_tokens: 1000 });
    await assert.rejects(thread.send(hello), { status: 400, errorCode: 'thread_unsupported_request' });
  });
});

describe('models', () => {
  test('listed', async () => {
    const models = await readAll(client.models.list());
    assert.deepEqual(models.map((m) => m.id).sort(), ['sim-claude-haiku', 'sim-claude-sonnet']);
    assert.equal(models.find((m) => m.id === model).display_name, 'Sim Claude Sonnet');
  });

  test('listed in pages', async () => {
    const models = await readAll(client.models.list({ limit: 1 }));
    assert.deepEqual(models.map((m) => m.id).sort(), ['sim-claude-haiku', 'sim-claude-sonnet']);
  });

  test('one', async () => {
    const one = await client.models.retrieve(model);
    assert.equal(one.id, model);
    assert.equal(one.created_at, '2025-01-01T00:00:00Z');
  });

  test('none of that name', async () => {
    const asks = [
      () => client.models.retrieve('no-such-model'),
      () => client.messages.create({ ...says('hello'), model: 'no-such-model' }),
      () => client.messages.countTokens({ ...says('hello'), max_tokens: undefined, model: 'no-such-model' }),
      () => client.messages.create({ ...says('hello'), model: 'sim-gpt-4o' }),
    ];
    for (const ask of asks) {
      await assert.rejects(ask, (err) => {
        assert.ok(err instanceof Anthropic.NotFoundError, String(err));
        assert.equal(err.status, 404);
        assert.equal(err.type, 'not_found_error');
        assert.equal(err.error.error.code, 'model_not_found');
        return true;
      });
    }
  });
});

const refused = (err) => {
  assert.ok(err instanceof Anthropic.AuthenticationError, String(err));
  assert.equal(err.status, 401);
  assert.equal(err.type, 'authentication_error');
  assert.equal(err.error.error.code, 'invalid_token');
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
      for (const other of [clientOf(token(), { defaultHeaders: elsewhere() }), keyed(token(), elsewhere())]) {
        await assert.rejects(other.messages.create(says('hello')), refused);
        await assert.rejects(other.messages.create({ ...says('hello'), stream: true }), refused);
        await assert.rejects(other.messages.countTokens({ ...says('hello'), max_tokens: undefined }), refused);
        await assert.rejects(() => readAll(other.models.list()), refused);
      }
    });
  }
});

describe('revoked', () => {
  for (const way of ['revoke', 'deactivate']) {
    for (const [header, connect] of Object.entries({ authorization: clientOf, 'x-api-key': keyed })) {
      test(`in mid-stream, by ${way}, the token in ${header}`, async () => {
        const person = await stand.person();
        const own = connect(person.token);
        const stream = await own.messages.create({ ...long, stream: true });
        const err = await stand.endedBy(person[way], stream);
        // The status line is out by then, so the error has no status of its own.
        assert.ok(err instanceof Anthropic.APIError, String(err));
        assert.equal(err.status, undefined);
        assert.equal(err.type, 'authentication_error');
        assert.equal(err.error.error.code, 'access_revoked');
        assert.match(err.apiMessage, /revoked/);
        await assert.rejects(own.messages.create(says('hello')), refused);
      });
    }
  }

  test('seen by the client\'s own stream helper', async () => {
    const person = await stand.person();
    const stream = clientOf(person.token).messages.stream(long);
    await stand.untilUpstream(1);
    const ended = assert.rejects(stream.finalMessage(), { type: 'authentication_error' });
    await person.revoke();
    await ended;
    await stand.untilUpstream(0);
  });

  test('before the answer', async () => {
    const person = await stand.person();
    const answer = clientOf(person.token).messages.create(long);
    const ended = assert.rejects(answer, (err) => {
      assert.ok(err instanceof Anthropic.AuthenticationError, String(err));
      assert.equal(err.status, 401);
      assert.equal(err.error.error.code, 'access_revoked');
      return true;
    });
    await stand.untilUpstream(1);
    await person.revoke();
    await ended;
    await stand.untilUpstream(0);
  });

  test('others go on', async () => {
    const person = await stand.person();
    const stream = client.messages.stream(says('count to 30 every 20ms'));
    await stand.untilUpstream(1);
    await person.deactivate();
    assert.equal(await stream.finalText(), counting(30));
  });
});

describe('the provider fails', () => {
  test('429 passes through', async () => {
    await assert.rejects(client.messages.create(says('fail 429')), (err) => {
      assert.ok(err instanceof Anthropic.RateLimitError, String(err));
      assert.equal(err.type, 'rate_limit_error');
      assert.equal(err.headers.get('retry-after'), '1');
      assert.match(err.requestID, /^req_sim/);
      return true;
    });
  });

  test('so does its own 529', async () => {
    await assert.rejects(client.messages.create(says('fail 529')), { status: 529, type: 'overloaded_error' });
  });

  test('its key is not in an error that echoes it', async () => {
    await assert.rejects(client.messages.create(says('echo key')), (err) => {
      assert.ok(err instanceof Anthropic.InternalServerError, String(err));
      assert.equal(err.status, 500);
      const all = [err.message, JSON.stringify(err.error), ...err.headers].join('\n');
      assert.match(all, /The request made with the key \[redacted\]\** failed/);
      assert.ok(!all.includes(stand.providerKey), all);
      return true;
    });
  });

  test('a key that it refuses is not the caller\'s fault', async () => {
    await assert.rejects(client.messages.create(says('fail 401')), (err) => {
      assert.ok(err instanceof Anthropic.InternalServerError, String(err));
      assert.equal(err.status, 502);
      assert.equal(err.error.error.code, 'provider_refused_key');
      return true;
    });
  });

  test('in mid-stream, by an error of its own', async () => {
    const stream = await client.messages.create({ ...says('count to 20 fail midway'), stream: true });
    await assert.rejects(readAll(stream), (err) => err instanceof Anthropic.APIError && err.type === 'api_error');
  });

  test('in mid-stream, by breaking off', async () => {
    const stream = await client.messages.create({ ...says('count to 20 truncate'), stream: true });
    await assert.rejects(readAll(stream), (err) =>
      err instanceof Anthropic.APIError && err.error.error.code === 'provider_interrupted');
  });
});

describe('the client leaves', () => {
  test('in mid-stream', async () => {
    const { cancelled } = await stand.upstream();
    const leave = new AbortController();
    const stream = await client.messages.create({ ...long, stream: true }, { signal: leave.signal });
    let events = 0;
    for await (const _ of stream) {
      if (++events === 5) leave.abort();
    }
    await stand.untilUpstream(0);
    assert.equal((await stand.upstream()).cancelled, cancelled + 1);
  });

  test('before the answer', async () => {
    const { cancelled } = await stand.upstream();
    const leave = new AbortController();
    const answer = client.messages.create(long, { signal: leave.signal });
    const ended = assert.rejects(answer, Anthropic.APIUserAbortError);
    await stand.untilUpstream(1);
    leave.abort();
    await ended;
    await stand.untilUpstream(0);
    assert.equal((await stand.upstream()).cancelled, cancelled + 1);
  });
});

describe('what reaches the provider', () => {
  for (const [header, connect] of Object.entries({ authorization: clientOf, 'x-api-key': keyed })) {
    test(`the request and the provider's key, and nothing of the caller's, the token in ${header}`, async () => {
      const body = { ...says('what do you see?'), metadata: { user_id: 'a-number' } };
      await connect(ada.token).messages.create(body, {
        headers: {
          cookie: 'tenure=cookie-of-the-caller',
          'x-user-id': ada.userName,
          'x-forwarded-for': '192.0.2.7',
          forwarded: 'for=192.0.2.7',
          'x-real-ip': '192.0.2.7',
          'x-of-the-caller': 'header-of-the-caller',
        },
        query: { q: 'query-of-the-caller' },
      });

      const got = (await stand.received()).at(-1);
      const { 'x-api-key': key, 'user-agent': agent, 'anthropic-version': version, ...rest } = got.header;
      assert.equal(key, stand.providerKey);
      assert.match(agent, /^Anthropic\/JS /);
      assert.match(version, /^\d{4}-\d\d-\d\d$/);
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
  }

  test('never a token', () => stand.nothingLeaked());
});
