// What the tests of this directory stand on: the simulated provider and, in
// front of it, `tenure serve` in teams mode, each a process of its own; and the
// calls by which a person gets a token and loses it.

import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const root = fileURLToPath(new URL('../../../', import.meta.url));

/** How soon a revocation must have ended a stream, in milliseconds: what is promised, and a margin for the machine. */
export const promised = 1000 + 500;

/** What access tokens look like, wherever they stand in a text. */
export const anyToken = /t(pat|svc|scim|root)_[0-9A-Za-z]{46}/;

/** An image of 200 kB: to the simulated provider any bytes are one. */
export const image = randomBytes(200_000);

/** "1 2 3 … n", which is the simulated provider's answer to "count to n". */
export const counting = (n) => Array.from({ length: n }, (_, i) => i + 1).join(' ');

export async function readAll(stream) {
  const all = [];
  for await (const one of stream) all.push(one);
  return all;
}

// Reads its program's path as $0. It tells the process id, and ends the program
// when standard input ends: then nothing is left behind, whatever becomes of the
// test. The shell lets go of standard output, which so ends with the program.
const onALeash = '"$0" serve & child=$!; echo "$child"; exec >&-; read -r _; kill "$child"; wait "$child"';

/** Starts both programs, Tenure with more settings than the usual ones. */
export async function start(settings = {}) {
  const stand = new Stand();
  try {
    await stand.open(settings);
  } catch (err) {
    await stand.stop();
    throw err;
  }
  return stand;
}

class Stand {
  url; // of Tenure, without a path
  providerKey = `sk-sim-${randomBytes(24).toString('hex')}`;
  #scimToken = randomBytes(24).toString('hex');
  #dir;
  #inspector;
  #processes = [];
  #pid; // of Tenure
  #people = 0;

  async open(settings) {
    const bin = process.env.TENURE_BIN;
    assert.ok(bin, 'TENURE_BIN must name the program under test');
    this.#dir = await mkdtemp(join(tmpdir(), 'tenure-clients-'));
    const simulate = join(this.#dir, 'simulate');
    await promisify(execFile)('go', ['build', '-C', root, '-trimpath', '-o', simulate, './internal/simulator/simulate'], {
      env: { ...process.env, CGO_ENABLED: '0' },
    });
    const [told] = await this.#spawn('simulate', simulate, ['-faults', '-key', this.providerKey], {}, 1);
    const { provider, inspector } = JSON.parse(told);
    this.#inspector = inspector;

    const [pid, greeting] = await this.#spawn('tenure', 'sh', ['-c', onALeash, bin], {
      TENURE_MODE: 'teams',
      TENURE_HOME: join(this.#dir, 'home'),
      TENURE_LISTEN: '127.0.0.1:0',
      TENURE_SCIM_TOKEN: this.#scimToken,
      TENURE_SHUTDOWN_GRACE: '1s',
      OPENAI_API_KEY: this.providerKey,
      OPENAI_BASE_URL: `${provider}/v1`,
      ANTHROPIC_API_KEY: this.providerKey,
      ANTHROPIC_BASE_URL: provider,
      ...settings,
    }, 2);
    this.#pid = Number(pid);
    this.url = greeting.match(/http:\S+/)[0];
  }

  /** Sets keys of the tenant's policy, as an administrator does at the command line. */
  async policy(...settings) {
    const env = { PATH: process.env.PATH, TENURE_HOME: join(this.#dir, 'home') };
    await promisify(execFile)(process.env.TENURE_BIN, ['policy', 'set', ...settings], { env });
  }

  /** Starts a program with no environment but env, and returns the first lines that it prints. */
  async #spawn(name, path, args, env, lines) {
    const child = spawn(path, args, { env: { PATH: process.env.PATH, ...env }, stdio: ['pipe', 'pipe', 'pipe'] });
    const log = createWriteStream(join(this.#dir, `${name}.log`));
    child.stderr.pipe(log);
    child.stdin.on('error', () => {}); // it has ended already
    this.#processes.push({ child, exited: once(child, 'exit'), logged: once(log, 'finish') });
    const told = [];
    for await (const line of createInterface({ input: child.stdout })) {
      told.push(line);
      if (told.length === lines) return told;
    }
    throw new Error(`${name} did not start: ${await readFile(join(this.#dir, `${name}.log`), 'utf8')}`);
  }

  /** Ends both programs. What Tenure has written, its log included, holds no secret. */
  async stop() {
    for (const { child, exited } of this.#processes.reverse()) {
      child.stdin.end();
      const late = new AbortController();
      const kill = () => {
        if (this.#pid) process.kill(this.#pid, 'SIGKILL');
        child.kill('SIGKILL');
      };
      sleep(10_000, undefined, { signal: late.signal }).then(kill, () => {});
      await exited;
      late.abort();
    }
    await Promise.all(this.#processes.map(({ logged }) => logged));
    try {
      if (this.url) await this.#inspectFiles();
    } finally {
      if (this.#dir) await rm(this.#dir, { recursive: true });
    }
  }

  async #inspectFiles() {
    const names = (await readdir(join(this.#dir, 'home'))).map((name) => `home/${name}`);
    assert.ok(names.includes('home/tenure.db'), `no database among ${names}`);
    for (const name of ['tenure.log', ...names]) {
      const text = await readFile(join(this.#dir, name), 'latin1');
      assert.doesNotMatch(text, anyToken, `${name} holds an access token`);
      assert.ok(!text.includes(this.providerKey), `${name} holds the provider's key`);
    }
  }

  /** A new person with a token, of these scopes or the usual ones, and the two ways to lose it. */
  async person(...scopes) {
    const userName = `person-${++this.#people}@example.com`;
    const { token, id } = await this.#call('POST', '/api/v1/tokens', { 'x-user-id': userName }, {
      name: 'a client',
      scopes: scopes.length > 0 ? scopes : undefined,
    });
    const me = await this.#call('GET', '/api/v1/me', { 'x-user-id': userName });
    return {
      userName,
      token,
      revoke: () => this.#call('DELETE', `/api/v1/tokens/${id}`, { 'x-user-id': userName }),
      deactivate: () => this.#setActive(me.id, false),
      reactivate: () => this.#setActive(me.id, true),
    };
  }

  /** What an identity provider sends. */
  #setActive(id, active) {
    return this.#call('PATCH', `/scim/v2/Users/${id}`, { authorization: `Bearer ${this.#scimToken}` }, {
      schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'],
      Operations: [{ op: 'replace', value: { active } }],
    });
  }

  async #call(method, path, headers, body) {
    const type = path.startsWith('/scim') ? 'application/scim+json' : 'application/json';
    const res = await fetch(this.url + path, {
      method,
      headers: body ? { 'content-type': type, ...headers } : headers,
      body: body && JSON.stringify(body),
    });
    const text = await res.text();
    assert.ok(res.ok, `${method} ${path}: ${res.status} ${text}`);
    return text && JSON.parse(text);
  }

  /** How many requests the provider is serving, and how many were broken off. */
  async upstream() {
    return (await fetch(`${this.#inspector}/state`)).json();
  }

  /** Waits until the provider serves n requests. */
  async untilUpstream(n) {
    for (const until = performance.now() + 10_000; ; await sleep(10)) {
      const state = await this.upstream();
      if (state.in_flight === n) return;
      assert.ok(performance.now() < until, `the provider serves ${state.in_flight} requests, not ${n}`);
    }
  }

  /** What has reached the provider, oldest first, with header names in lower case. */
  async received() {
    const requests = await (await fetch(`${this.#inspector}/requests`)).json();
    for (const r of requests) {
      r.header = Object.fromEntries(Object.entries(r.header).map(([name, values]) => [name.toLowerCase(), values.join(', ')]));
    }
    return requests;
  }

  /** Nothing that ever reached the provider holds a token. */
  async nothingLeaked() {
    const requests = await this.received();
    assert.ok(requests.length > 0);
    assert.doesNotMatch(JSON.stringify(requests), anyToken);
  }

  /**
   * Reads a stream and, when it is well under way, lets `end` take its access.
   * The stream must end with an error, and the provider's side of it must end,
   * both within what is promised from the call on. Returns the error.
   */
  async endedBy(end, stream) {
    await this.untilUpstream(1);
    const { cancelled } = await this.upstream();
    let chunks = 0;
    let ended;
    let began;
    const error = await (async () => {
      for await (const _ of stream) {
        if (++chunks === 5) {
          began = performance.now();
          ended = end();
          ended.catch(() => {}); // it is awaited below
        }
      }
    })().then(() => undefined, (err) => err);
    assert.ok(ended, `the stream broke off after ${chunks} chunks: ${error}`);
    await this.#inTime(began, 'the stream ended');
    assert.ok(error, `the stream ended after ${chunks} chunks as if its answer were complete`);
    await this.untilUpstream(0);
    await this.#inTime(began, 'the provider was left');
    assert.equal((await this.upstream()).cancelled, cancelled + 1);
    await ended;
    return error;
  }

  async #inTime(began, what) {
    const took = performance.now() - began;
    assert.ok(took < promised, `${what} ${Math.round(took)} ms after the call`);
  }
}
