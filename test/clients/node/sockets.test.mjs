// The npm package ws, as editors use it, on the WebSocket of beliefs.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, describe, test } from 'node:test';

import WebSocket from 'ws';

import { promised, start } from './stand.mjs';

const protocol = 'tenure.beliefs.v1';
const scope = 'project:billing';
const decision = (name, content) => ({ scope, type: 'decision', name, content });

let stand;
let ada;

before(async () => {
  stand = await start();
  ada = await stand.person();
});
after(() => stand?.stop());

/** A socket that is ready, with what it was told. */
class Client {
  #told = [];
  #waiting = [];
  #n = 0;

  constructor(socket) {
    this.socket = socket;
    this.closed = once(socket, 'close').then(([code, reason]) => ({ code, reason: String(reason) }));
    socket.on('message', (data) => {
      const message = JSON.parse(data);
      const i = this.#waiting.findIndex((w) => w.fits(message));
      if (i < 0) this.#told.push(message);
      else this.#waiting.splice(i, 1)[0].take(message);
    });
  }

  static async open(person, headers = {}) {
    const url = `${stand.url.replace('http', 'ws')}/v1/ws/beliefs`;
    const client = new Client(new WebSocket(url, protocol, { headers: { authorization: `Bearer ${person.token}`, ...headers } }));
    client.ready = await client.next((m) => m.type === 'ready');
    return client;
  }

  next(fits) {
    const i = this.#told.findIndex(fits);
    if (i >= 0) return this.#told.splice(i, 1)[0];
    return new Promise((take) => this.#waiting.push({ fits, take }));
  }

  ask(type, members = {}) {
    const id = String(++this.#n);
    this.socket.send(JSON.stringify({ v: 1, type, id, ...members }));
    return this.next((m) => m.request === id);
  }
}

/** The status and the error with which a handshake is refused. */
function refused(headers, protocols = protocol) {
  const socket = new WebSocket(`${stand.url.replace('http', 'ws')}/v1/ws/beliefs`, protocols, { headers });
  return new Promise((resolve, reject) => {
    socket.on('open', () => reject(new Error('it opened')));
    socket.on('error', () => {});
    socket.on('unexpected-response', async (_, response) => {
      const parts = [];
      for await (const part of response) parts.push(part);
      resolve({ status: response.statusCode, code: JSON.parse(Buffer.concat(parts)).error.code });
    });
  });
}

describe('a socket of beliefs', () => {
  test('what one client records, another is told of', async () => {
    const [one, other] = [await Client.open(ada), await Client.open(ada)];
    assert.equal(one.socket.protocol, protocol);
    assert.equal(one.socket.extensions, '');
    assert.equal(one.ready.limits.requests_at_once, 100);
    assert.equal((await other.ask('subscribe', { scope })).type, 'ack');
    const made = await one.ask('record', { belief: decision('Database', 'We use PostgreSQL.') });
    assert.equal(made.how, 'created');
    const told = await other.next((m) => m.type === 'belief.upserted');
    assert.deepEqual(told.belief, made.belief);
    const listed = await other.ask('list', { scope, filter: { text: 'postgres' } });
    assert.deepEqual(listed.beliefs, [made.belief]);
    one.socket.close();
    assert.equal((await one.closed).code, 1005); // it gave no code, and has none back
    other.socket.terminate();
  });

  test('what is no message is answered', async () => {
    const client = await Client.open(ada);
    client.socket.send('no JSON');
    assert.equal((await client.next((m) => m.type === 'error')).code, 'invalid_message');
    client.socket.send(Buffer.from([1, 2, 3]));
    assert.equal((await client.next((m) => m.type === 'error')).code, 'binary_message');
    assert.equal((await client.ask('list', {})).code, 'invalid_scope');
    assert.equal((await client.ask('ping')).type, 'ack');
    client.socket.terminate();
  });

  test('who may not open one is told why', async () => {
    const authorization = `Bearer ${ada.token}`;
    const chat = await stand.person('chat');
    assert.deepEqual(await refused({}), { status: 401, code: 'missing_credential' });
    assert.deepEqual(await refused({ authorization: `Bearer ${chat.token}` }), { status: 403, code: 'insufficient_scope' });
    assert.deepEqual(await refused({ authorization, origin: 'https://evil.example' }), { status: 403, code: 'cross_site' });
    assert.deepEqual(await refused({ authorization }, 'graphql-ws'), { status: 400, code: 'unknown_subprotocol' });
  });

  for (const how of ['revoke', 'deactivate']) {
    test(`it closes within a second of ${how}`, async () => {
      const bob = await stand.person();
      const client = await Client.open(bob);
      const began = performance.now();
      await bob[how]();
      assert.deepEqual(await client.closed, { code: 4401, reason: 'access_revoked' });
      assert.ok(performance.now() - began < promised);
    });
  }
});
