// Too much at once, as the npm packages openai and @anthropic-ai/sdk meet it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import Anthropic from '@anthropic-ai/sdk';
import OpenAI from 'openai';

import { start } from './stand.mjs';

const messages = [{ role: 'user', content: 'count to 3' }];
const long = { model: 'sim-gpt-4o', messages: [{ role: 'user', content: 'count to 2000 every 20ms' }], stream: true };

let stand;
let people;

before(async () => {
  // One for each of two people; for the third there is no room.
  stand = await start({ TENURE_MAX_INFLIGHT: '2', TENURE_MAX_INFLIGHT_PER_OWNER: '1' });
  people = await Promise.all([stand.person(), stand.person(), stand.person()]);
});
after(() => stand?.stop());

const openai = ({ token }, maxRetries = 0) => new OpenAI({ apiKey: token, baseURL: `${stand.url}/v1`, maxRetries });
const anthropic = ({ token }, maxRetries = 0) => new Anthropic({ apiKey: token, baseURL: stand.url, maxRetries });

const chat = (client) => client.chat.completions.create({ model: 'sim-gpt-4o', messages });
const say = (client) => client.messages.create({ model: 'sim-claude-sonnet', max_tokens: 100, messages });

test('whoever has their share is told so, everybody when there is no room, and the clients try again', async () => {
  const [ada, ben, cy] = people;
  const first = await openai(ada).chat.completions.create(long);

  await assert.rejects(chat(openai(ada)), (err) => {
    assert.ok(err instanceof OpenAI.RateLimitError, String(err));
    assert.equal(err.code, 'rate_limit_exceeded');
    assert.equal(err.type, 'rate_limit_error');
    return true;
  });
  await assert.rejects(say(anthropic(ada)), (err) => {
    assert.ok(err instanceof Anthropic.RateLimitError, String(err));
    assert.equal(err.error.error.type, 'rate_limit_error');
    return true;
  });
  const answer = await chat(openai(ben)); // there is room for somebody else
  assert.equal(answer.choices[0].message.content, '1 2 3');

  const second = await openai(ben).chat.completions.create(long);
  await assert.rejects(chat(openai(cy)), (err) => {
    assert.ok(err instanceof OpenAI.InternalServerError, String(err));
    assert.equal(err.status, 503);
    assert.equal(err.code, 'overloaded');
    assert.match(err.headers.get('retry-after'), /^[1-4]$/);
    return true;
  });
  await assert.rejects(say(anthropic(cy)), (err) => {
    assert.equal(err.status, 503);
    assert.equal(err.error.error.type, 'overloaded_error');
    return true;
  });

  const tries = [chat(openai(ada, 5)), say(anthropic(cy, 5))];
  await sleep(300);
  first.controller.abort();
  second.controller.abort();
  const [one, two] = await Promise.all(tries);
  assert.equal(one.choices[0].message.content, '1 2 3');
  assert.equal(two.content[0].text, '1 2 3');
});
