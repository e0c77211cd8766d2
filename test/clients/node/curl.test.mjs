// The wire as it is: curl, without a client library to be kind.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { after, before, beforeEach, describe, test } from 'node:test';

import { anyToken, counting, image, start } from './stand.mjs';

const chat = (content, more) => JSON.stringify({ model: 'sim-gpt-4o', messages: [{ role: 'user', content }], ...more });
const message = (content, more) =>
  JSON.stringify({ model: 'sim-claude-sonnet', max_tokens: 1000, messages: [{ role: 'user', content }], ...more });

const chatPath = '/v1/chat/completions';
const messagePath = '/v1/messages';
const json = ['-H', 'Content-Type: application/json'];
const anthropic = ['-H', 'anthropic-version: 2023-06-01'];

let stand;
let ada;

before(async () => {
  stand = await start();
  ada = await stand.person();
});
beforeEach(() => stand.untilUpstream(0)); // the provider may still be leaving the last one
after(() => stand?.stop());

const bearer = (token) => ['-H', `Authorization: Bearer ${token}`];

/** Runs curl on a path, with input as its standard input. Resolves when curl ends; output grows meanwhile. */
function begin(path, args, input = '') {
  const child = spawn('curl', ['-q', '-sS', '-i', '-N', '--max-time', '30', ...args, stand.url + path]);
  const run = { output: '', errors: '', child };
  child.stdout.setEncoding('utf8').on('data', (text) => (run.output += text));
  child.stderr.setEncoding('utf8').on('data', (text) => (run.errors += text));
  child.stdin.on('error', () => {}).end(input);
  run.done = new Promise((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, errors: run.errors, ...parse(run.output) }));
  });
  return run;
}

async function curl(path, args, input) {
  const { code, errors, ...answer } = await begin(path, args, input).done;
  assert.equal(code, 0, `curl ended with ${code}: ${errors}`);
  return answer;
}

/** Splits what curl -i prints; answers of status 1xx are left out. */
function parse(output) {
  const end = output.indexOf('\r\n\r\n');
  const [status, ...lines] = output.slice(0, end).split('\r\n');
  const body = output.slice(end + 4);
  if (/^HTTP\/\S+ 1/.test(status)) return parse(body);
  const headers = Object.fromEntries(lines.map((line) => {
    const at = line.indexOf(':');
    return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
  }));
  return { status: Number(status.split(' ')[1]), headers, body };
}

/** The events of a whole event stream, each {event, data}. */
function events(body) {
  assert.ok(body.endsWith('\n\n'), `the last event is not complete: ${body.slice(-200)}`);
  return body.trimEnd().split('\n\n').map((block) => Object.fromEntries(block.split('\n').map((line) => {
    const at = line.indexOf(': ');
    return [line.slice(0, at), line.slice(at + 2)];
  })));
}

describe('chat', () => {
  test('an answer', async () => {
    const { status, headers, body } = await curl(chatPath, [...bearer(ada.token), ...json, '-d', chat('hello there')]);
    assert.equal(status, 200);
    assert.match(headers['x-request-id'], /./);
    assert.match(headers['content-type'], /^application\/json/);
    assert.match(JSON.parse(body).choices[0].message.content, /^You said: hello there 1 /);
  });

  test('a stream', async () => {
    const { status, headers, body } =
      await curl(chatPath, [...bearer(ada.token), ...json, '-d', chat('count to 300', { stream: true })]);
    assert.equal(status, 200);
    assert.match(headers['content-type'], /^text\/event-stream/);
    const all = events(body);
    assert.equal(all.pop().data, '[DONE]');
    const texts = all.map((e) => JSON.parse(e.data).choices[0].delta.content ?? '');
    assert.equal(texts.join(''), counting(300));
  });

  test('a client that would take compressed answers', async () => {
    const { body } = await curl(chatPath, ['--compressed', ...bearer(ada.token), ...json, '-d', chat('count to 3', { stream: true })]);
    assert.equal(events(body).pop().data, '[DONE]');
  });

  const url = `data:image/png;base64,${image.toString('base64')}`;
  const picture = chat([{ type: 'image_url', image_url: { url } }]);
  for (const [name, how] of Object.entries({
    'of known length': [],
    'after 100 Continue': ['-H', 'Expect: 100-continue'],
    'in chunks': ['-H', 'Transfer-Encoding: chunked'],
  })) {
    test(`an image in a body ${name}`, async () => {
      const { status, body } = await curl(chatPath, [...bearer(ada.token), ...json, ...how, '--data-binary', '@-'], picture);
      assert.equal(status, 200);
      assert.match(JSON.parse(body).choices[0].message.content, /^I received 1 image, 200000 bytes\. /);
      assert.equal((await stand.received()).at(-1).body.length, picture.length);
    });
  }

  test('a tool call', async () => {
    const tools = [{ type: 'function', function: { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } } }];
    const { body } = await curl(chatPath, [...bearer(ada.token), ...json, '-d', chat('the weather in Lisbon', { tools })]);
    assert.deepEqual(JSON.parse(JSON.parse(body).choices[0].message.tool_calls[0].function.arguments), { city: 'Lisbon' });
  });

  test('what is not JSON', async () => {
    const { status, body } = await curl(chatPath, [...bearer(ada.token), ...json, '-d', '{"model":']);
    assert.equal(status, 400);
    assert.equal(JSON.parse(body).error.type, 'invalid_request_error');
  });
});

describe('messages', () => {
  const headers = (token) => ['-H', `x-api-key: ${token}`, ...anthropic, ...json];

  test('an answer', async () => {
    const { status, body } = await curl(messagePath, [...headers(ada.token), '-d', message('hello there')]);
    assert.equal(status, 200);
    assert.match(JSON.parse(body).content[0].text, /^You said: hello there 1 /);
  });

  test('a client that names no version', async () => {
    const { status } = await curl(messagePath, [...bearer(ada.token), ...json, '-d', message('hello there')]);
    assert.equal(status, 200);
  });

  test('a stream', async () => {
    const { body } = await curl(messagePath, [...headers(ada.token), '-d', message('count to 300', { stream: true })]);
    const all = events(body);
    for (const e of all) assert.equal(JSON.parse(e.data).type, e.event);
    assert.equal(all.at(-1).event, 'message_stop');
    const texts = all.filter((e) => e.event === 'content_block_delta').map((e) => JSON.parse(e.data).delta.text);
    assert.equal(texts.join(''), counting(300));
  });

  test('a token count', async () => {
    const { status, body } = await curl(`${messagePath}/count_tokens`, [...headers(ada.token), '-d', message('one two three')]);
    assert.equal(status, 200);
    assert.deepEqual(JSON.parse(body), { input_tokens: 3 });
  });
});

test('models, in the shape of the protocol that is spoken', async () => {
  const openAI = await curl('/v1/models', bearer(ada.token));
  assert.equal(JSON.parse(openAI.body).object, 'list');
  const other = await curl('/v1/models', ['-H', `x-api-key: ${ada.token}`, ...anthropic]);
  assert.equal(JSON.parse(other.body).has_more, false);
  const one = await curl('/v1/models/sim-gpt-4o', bearer(ada.token));
  assert.equal(JSON.parse(one.body).id, 'sim-gpt-4o');
  const none = await curl('/v1/models/no-such-model', bearer(ada.token));
  assert.equal(none.status, 404);
  assert.equal(JSON.parse(none.body).error.code, 'model_not_found');
});

describe('refused', () => {
  const ask = [...json, '-d', chat('hello')];

  test('without a token', async () => {
    const { status, headers, body } = await curl(chatPath, ask);
    assert.equal(status, 401);
    assert.equal(headers['www-authenticate'], 'Bearer error="invalid_token"');
    assert.equal(JSON.parse(body).error.type, 'authentication_error');
  });

  test('by a wrong token', async () => {
    const { status, headers, body } = await curl(chatPath, [...bearer('tpat_wrong'), ...ask]);
    assert.equal(status, 401);
    assert.match(headers['www-authenticate'], /^Bearer .*error="invalid_token"/);
    assert.ok(!body.includes('tpat_wrong'));
  });

  test('by a wrong token, in Anthropic\'s words', async () => {
    const { status, body } = await curl(messagePath, ['-H', 'x-api-key: tpat_wrong', ...anthropic, ...json, '-d', message('hello')]);
    assert.equal(status, 401);
    const { type, error } = JSON.parse(body);
    assert.equal(type, 'error');
    assert.equal(error.type, 'authentication_error');
  });

  for (const name of ['access_token', 'api_key', 'key']) {
    test(`with the token in the query as ${name}`, async () => {
      const { status, body } = await curl(`${chatPath}?${name}=${ada.token}`, ask);
      assert.ok(status === 400 || status === 401, String(status));
      assert.doesNotMatch(body, anyToken);
    });
  }

  for (const path of ['/', '/settings', '/api/v1/me', '/api/v1/tokens', '/api/v1/nowhere', '/scim/v2/Users', '/v1/nowhere', '/nowhere']) {
    test(`a good token at ${path}`, async () => {
      const { status, body } = await curl(path, bearer(ada.token));
      assert.equal(status, 403);
      assert.doesNotMatch(body, anyToken);
    });
  }
});

describe('revoked in mid-stream', () => {
  // Slow enough to be still under way when it is cut, and no longer than 10 s.
  const text = 'count to 500 every 20ms';

  /** What endedBy takes for a stream: a chunk for each piece of output, and an error where the last event is one. */
  async function* watch(run) {
    for await (const piece of run.child.stdout) yield piece;
    const { code, status, body } = await run.done;
    assert.equal(code, 0, `curl ended with ${code}: ${run.errors}`); // the answer is complete HTTP
    assert.equal(status, 200);
    throw events(body).at(-1);
  }

  for (const way of ['revoke', 'deactivate']) {
    test(`a chat, by ${way}: an error instead of [DONE]`, async () => {
      const person = await stand.person();
      const args = [...bearer(person.token), ...json];
      const last = await stand.endedBy(person[way], watch(begin(chatPath, [...args, '-d', chat(text, { stream: true })])));
      assert.deepEqual(JSON.parse(last.data), {
        error: {
          message: 'access was revoked while the request was running',
          type: 'authentication_error',
          param: null,
          code: 'access_revoked',
        },
      });
      assert.equal((await curl(chatPath, [...args, '-d', chat('hello')])).status, 401);
    });

    test(`a message, by ${way}: an error event`, async () => {
      const person = await stand.person();
      const args = ['-H', `x-api-key: ${person.token}`, ...anthropic, ...json];
      const last = await stand.endedBy(person[way], watch(begin(messagePath, [...args, '-d', message(text, { stream: true })])));
      assert.equal(last.event, 'error');
      const { type, error } = JSON.parse(last.data);
      assert.equal(type, 'error');
      assert.equal(error.type, 'authentication_error');
      assert.equal(error.message, 'access was revoked while the request was running');
      assert.equal(error.code, 'access_revoked');
      assert.equal((await curl(messagePath, [...args, '-d', message('hello')])).status, 401);
    });
  }
});

test('a client that is killed leaves nothing running', async () => {
  const { cancelled } = await stand.upstream();
  const run = begin(chatPath, [...bearer(ada.token), ...json, '-d', chat('count to 500 every 20ms', { stream: true })]);
  await stand.untilUpstream(1);
  run.child.kill('SIGKILL');
  await stand.untilUpstream(0);
  assert.equal((await stand.upstream()).cancelled, cancelled + 1);
  await run.done.catch(() => {});
});

test('nothing that reached the provider holds a token', () => stand.nothingLeaked());
