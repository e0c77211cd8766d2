// What the tests stand on: a certified OpenID provider with people in it, the
// built program in a fresh home, Apache with mod_auth_openidc, and a browser.
// The provider is at localhost and the rest at 127.0.0.1, so that they are two
// sites to a browser.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer as createHTTP } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import Provider from 'oidc-provider';
import { chromium } from 'playwright-core';

export const secret = randomBytes(24).toString('hex');
const pause = (ms) => new Promise((resolve) => { setTimeout(resolve, ms); });

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// eventually waits until fn answers something, by default at most ten seconds.
export async function eventually(fn, what, most = 10_000) {
  for (const end = Date.now() + most; ;) {
    const got = await fn();
    if (got) return got;
    assert.ok(Date.now() < end, `never: ${what}`);
    await pause(30);
  }
}

function key(kid) {
  return { ...generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' }), kid, use: 'sig', alg: 'RS256' };
}

// provider starts an OpenID provider. `people` maps subjects to claims and may be
// changed at any time; `clients` are as oidc-provider has them.
export async function provider(people, clients, { port, ...options } = {}) {
  port ??= await freePort();
  const issuer = `http://localhost:${port}`;
  let keys = [key('k1')];
  let current;
  let down = false;
  const asked = {};
  const make = () => {
    current = new Provider(issuer, {
      clients: clients.map((client) => ({
        grant_types: ['authorization_code'], response_types: ['code'], backchannel_logout_session_required: true, ...client,
      })),
      jwks: { keys },
      cookies: { keys: ['a-key-for-cookies-of-tests'] },
      claims: { openid: ['sub', 'acr', 'amr'], email: ['email', 'email_verified'], profile: ['preferred_username', 'name'], sid: null, auth_time: null },
      features: { devInteractions: { enabled: false }, backchannelLogout: { enabled: true }, rpInitiatedLogout: { enabled: true } },
      // It asks nobody on this machine otherwise.
      fetch: (url, given) => globalThis.fetch(url, { ...given, dispatcher: undefined }),
      acrValues: ['urn:test:password'],
      findAccount: (_ctx, sub) => people[sub] && { accountId: sub, claims: () => ({ sub, ...people[sub] }) },
      interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
      async loadExistingGrant(ctx) { // everybody consents
        const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
        grant.addOIDCScope('openid email profile');
        await grant.save();
        return grant;
      },
      ...options,
    });
    current.on('server_error', (_ctx, error) => console.error(error));
    current.on('backchannel.error', (_ctx, error) => console.error('backchannel', error));
  };
  make();
  const page = (uid) => `<!doctype html><title>Provider</title><form method="post" action="/interaction/${uid}">
    <label>Subject <input name="sub" autofocus></label><button>Log in</button></form>`;
  const server = createHTTP(async (request, response) => {
    const { pathname } = new URL(request.url, issuer);
    asked[pathname] = (asked[pathname] ?? 0) + 1;
    if (down) {
      response.writeHead(503).end();
      return;
    }
    if (!pathname.startsWith('/interaction/')) {
      current.callback()(request, response);
      return;
    }
    const { uid, prompt } = await current.interactionDetails(request, response);
    assert.equal(prompt.name, 'login');
    if (request.method === 'GET') {
      response.setHeader('content-type', 'text/html');
      response.end(page(uid));
      return;
    }
    let body = '';
    for await (const part of request) body += part;
    const [sub, ago = 0] = new URLSearchParams(body).get('sub').split(' '); // "u-alice 3600": an hour ago
    const result = people[sub]
      ? { login: { accountId: sub, acr: 'urn:test:password', amr: ['pwd'], ts: Math.floor(Date.now() / 1000) - ago } }
      : { error: 'access_denied', error_description: 'nobody' };
    await current.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
  });
  await new Promise((resolve) => { server.listen(port, 'localhost', resolve); });
  return {
    issuer,
    asked,
    keys: () => keys,
    down: (is) => { down = is; },
    rotate() { keys = [key(`k${randomBytes(4).toString('hex')}`)]; make(); },
    async stop() { server.closeAllConnections(); await new Promise((resolve) => { server.close(resolve); }); },
  };
}

// tenure starts `tenure serve` on a port and waits until it is ready.
export async function tenure(port, env) {
  assert.ok(process.env.TENURE_BIN, 'TENURE_BIN must name the program to test');
  const home = await mkdtemp(join(tmpdir(), 'tenure-oidc-'));
  const base = `http://127.0.0.1:${port}`;
  const settings = { PATH: process.env.PATH, HOME: home, TENURE_MODE: 'teams', TENURE_LISTEN: `127.0.0.1:${port}`, TENURE_HOME: join(home, 'data'), ...env };
  const child = spawn(process.env.TENURE_BIN, ['serve'], { env: settings });
  let log = '';
  child.stdout.on('data', (text) => { log += text; });
  child.stderr.on('data', (text) => { log += text; });
  const ended = new Promise((resolve) => { child.on('close', resolve); child.on('error', resolve); });
  const stop = async () => {
    child.kill();
    await ended;
    await rm(home, { recursive: true, force: true });
  };
  try {
    await eventually(() => {
      assert.equal(child.exitCode, null, log);
      return fetch(`${base}/readyz`).then((answer) => answer.ok, () => false);
    }, 'tenure is ready');
  } catch (error) {
    await stop();
    throw new Error(`tenure does not serve:\n${log}`, { cause: error });
  }
  // run gives what a verb of the program prints, as JSON.
  const run = (args, input = '') => new Promise((resolve, reject) => {
    const verb = spawn(process.env.TENURE_BIN, [...args, '--json'], { env: settings });
    let out = '';
    let err = '';
    verb.stdout.on('data', (text) => { out += text; });
    verb.stderr.on('data', (text) => { err += text; });
    verb.on('close', (code) => (code === 0 ? resolve(JSON.parse(out)) : reject(new Error(`${args.join(' ')}: ${code}: ${err}`))));
    verb.stdin.end(input);
  });
  // sql reads the database as an operator would.
  const sql = (query) => new Promise((resolve, reject) => {
    const shell = spawn('sqlite3', ['-json', '-cmd', '.timeout 5000', join(home, 'data', 'tenure.db'), query]);
    let out = '';
    shell.stdout.on('data', (text) => { out += text; });
    shell.stderr.on('data', (text) => { out += text; });
    shell.on('close', (code) => (code === 0 ? resolve(JSON.parse(out || '[]')) : reject(new Error(out))));
  });
  return { base, stop, run, sql, log: () => log };
}

const modules = '/usr/lib/apache2/modules';

// apache starts Apache with mod_auth_openidc and a file of deploy/proxies. What is
// replaced in the file must be in it. TLS is left out.
export async function apache(port, file, replace) {
  let site = await readFile(join(import.meta.dirname, '../../deploy/proxies', file), 'utf8');
  site = site.replace(/^ *SSL.*\n/gm, '');
  for (const [old, own] of [...replace, ['<VirtualHost *:443>', `<VirtualHost 127.0.0.1:${port}>`], ['https://tenure.example.com', `http://127.0.0.1:${port}`], ['X-Forwarded-Proto https', 'X-Forwarded-Proto http']]) {
    assert.ok(site.includes(old), `${file} says nothing of ${old}`);
    site = site.replaceAll(old, own);
  }
  const dir = await mkdtemp(join(tmpdir(), 'tenure-apache-'));
  await mkdir(join(dir, 'cache'));
  const load = ['mpm_event', 'authn_core', 'authz_core', 'authz_user', 'headers', 'env', 'proxy', 'proxy_http', 'auth_openidc', 'socache_shmcb']
    .map((name) => `LoadModule ${name}_module ${modules}/mod_${name}.so`);
  const user = process.getuid() === 0 ? ['User www-data', 'Group www-data'] : [];
  await writeFile(join(dir, 'httpd.conf'), [
    `ServerRoot ${dir}`, 'ServerName 127.0.0.1', `PidFile ${dir}/pid`, `DefaultRuntimeDir ${dir}`, `ErrorLog ${dir}/error.log`, 'LogLevel warn',
    `Listen 127.0.0.1:${port}`, ...load, ...user, site,
  ].join('\n'));
  const child = spawn('/usr/sbin/apache2', ['-DFOREGROUND', '-f', join(dir, 'httpd.conf')], { stdio: ['ignore', 'pipe', 'pipe'] });
  let told = '';
  child.stdout.on('data', (text) => { told += text; });
  child.stderr.on('data', (text) => { told += text; });
  const ended = new Promise((resolve) => { child.on('close', resolve); child.on('error', resolve); });
  const log = async () => told + await readFile(join(dir, 'error.log'), 'utf8').catch(() => '');
  const stop = async () => {
    child.kill();
    await ended;
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await eventually(() => {
      assert.equal(child.exitCode, null, 'Apache has ended');
      return fetch(`http://127.0.0.1:${port}/readyz`, { redirect: 'manual' }).then(() => true, () => false);
    }, 'Apache is ready');
  } catch (error) {
    const all = await log();
    await stop();
    throw new Error(`Apache does not serve:\n${all}`, { cause: error });
  }
  return { base: `http://127.0.0.1:${port}`, stop, log };
}

export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

// What is known to be nobody's fault: the provider's own pages have a script inline,
// which its own policy refuses.
const harmless = [/^Refused to execute inline script .*localhost:\d+/];

// visit opens a page in a browser of its own. No page may break its own policy.
export async function visit(browser, base, fn, options = {}) {
  const context = await browser.newContext({ baseURL: base, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  const faults = [];
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('console', (message) => { if (/Content Security Policy|Refused to/.test(message.text())) faults.push(message.text()); });
  try {
    await fn(page, context);
    assert.deepEqual(faults.filter((fault) => !harmless.some((known) => known.test(fault))), []);
  } catch (error) {
    error.message += `\n  at ${page.url()}: ${(await page.locator('body').innerText().catch(() => '')).slice(0, 500)}`;
    throw error;
  } finally {
    await context.close();
  }
}

// answerTo gives the address by which the provider answers the sign-in whose form a
// page shows, without going there.
export async function answerTo(page, sub) {
  let answer = await page.request.post(page.url(), { form: { sub }, maxRedirects: 0 });
  for (let hops = 0; ; hops++) {
    assert.ok(hops < 10 && answer.headers().location, `${answer.status()} at ${answer.url()}`);
    const next = new URL(answer.headers().location, page.url());
    if (next.pathname.endsWith('/callback')) return next.href;
    answer = await page.request.get(next.href, { maxRedirects: 0 });
  }
}

// atProvider fills in the provider's own form.
export async function atProvider(page, sub) {
  await page.getByLabel('Subject').fill(sub);
  await page.getByRole('button', { name: 'Log in' }).click();
}
