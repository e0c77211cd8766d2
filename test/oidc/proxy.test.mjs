// Apache with mod_auth_openidc before Tenure: once asserting a bare name, once by
// a token that the provider has signed.
import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { after, before, test } from 'node:test';

import { apache, atProvider, freePort, launch, provider, secret, tenure, visit } from './stand.mjs';

const people = { 'u-alice': { preferred_username: 'alice@example.com', email: 'alice@example.com' } };
const stops = [];
let browser;
let idp;
const bare = {};
const signed = {};

// front runs Apache before a Tenure with a file of deploy/proxies.
function front(port, file, backend) {
  return apache(port, file, [
    ['https://idp.example.com', idp.issuer], ['change-me-too', secret], ['change-me', secret], ['http://127.0.0.1:5757', backend],
  ]);
}

// ask sends a request byte for byte, and gives the status and the body.
function ask(base, path, lines) {
  const { hostname, port, host } = new URL(base);
  return new Promise((resolve, reject) => {
    const socket = connect(port, hostname, () => {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n${lines.map((line) => `${line}\r\n`).join('')}Connection: close\r\n\r\n`);
    });
    let answer = '';
    socket.on('data', (text) => { answer += text; });
    socket.on('error', reject);
    socket.on('close', () => resolve({ status: Number(answer.split(' ')[1]), body: answer.slice(answer.indexOf('\r\n\r\n') + 4) }));
  });
}

// forgeries are the ways in which a client says who it is under a header that is
// the proxy's, or has the proxy drop its own.
function forgeries(name, value) {
  const header = `${name}: ${value}`;
  const spellings = [name.replaceAll('-', '_'), name.replaceAll('-', '.'), name.replace('-', '_'), name.replace('-', '.'), `HTTP_${name.replaceAll('-', '_')}`];
  return [
    [header], [header, header], [`${name.toLowerCase()}: ${value}`], [`${name.toUpperCase()}: ${value}`], [`${name}: alice@example.com, ${value}`], [`${name}:`],
    [`Connection: ${name}`, header], [`Connection: ${name}`], [`X-Other: y\r\n ${header}`], [`X-Other: y\n${header}`], [`${name}:\r\n ${value}`], [`${name} : ${value}`],
    ...spellings.flatMap((spelling) => [[`${spelling}: ${value}`], [header, `${spelling}: ${value}`]]),
  ];
}

before(async () => {
  const ports = [await freePort(), await freePort()];
  idp = await provider(people, [{ client_id: 'tenure', client_secret: secret, redirect_uris: ports.map((port) => `http://127.0.0.1:${port}/oauth2callback`) }]);
  stops.push(idp.stop);
  bare.tenure = await tenure(await freePort(), {});
  stops.push(bare.tenure.stop);
  bare.apache = await front(ports[0], 'apache-oidc.conf', bare.tenure.base);
  stops.push(bare.apache.stop);
  signed.tenure = await tenure(await freePort(), {
    TENURE_PROXY_JWKS_URL: `${idp.issuer}/jwks`, TENURE_PROXY_JWT_HEADER: 'x-id-token', TENURE_PROXY_JWT_ISSUER: idp.issuer, TENURE_PROXY_JWT_AUDIENCE: 'tenure',
  });
  stops.push(signed.tenure.stop);
  signed.apache = await front(ports[1], 'apache-oidc-signed.conf', signed.tenure.base);
  stops.push(signed.apache.stop);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  for (const stop of stops.reverse()) await stop();
});

for (const [about, stand, name] of [['a bare name', bare, 'alice@example.com'], ["the provider's signed token", signed, 'u-alice']]) {
  test(`one signs in through mod_auth_openidc, which hands on ${about}`, async () => {
    await visit(browser, stand.apache.base, async (page) => {
      await page.goto('/settings');
      await atProvider(page, 'u-alice');
      await page.locator('.who', { hasText: name }).waitFor();
      assert.equal(page.url(), `${stand.apache.base}/settings`);
      await page.goto('/settings'); // not led here by another site: this opens a session
      const me = await page.evaluate(() => fetch('/api/v1/me', { headers: { 'X-User-Id': 'root@example.com', 'X-Id-Token': 'x' } }).then((answer) => answer.json()));
      assert.equal(me.user_name, name);
      await page.getByLabel('Name').fill('from the browser');
      await page.getByRole('button', { name: 'Generate token' }).click();
      const token = await page.locator('#secret').textContent();
      // A program comes through without signing in, and names nobody by a header.
      const models = (headers) => fetch(`${stand.apache.base}/v1/models`, { headers, redirect: 'manual' }).then((answer) => answer.status);
      assert.notEqual(await models({ authorization: `Bearer ${token}`, 'x-user-id': 'root@example.com' }), 401);
      assert.equal(await models({ 'x-user-id': 'root@example.com' }), 401);
    });
    const [session] = await stand.tenure.sql('SELECT via FROM sessions');
    assert.equal(session.via, 'proxy');
const outside = await fetch(`${stand.apache.base}/settings`, { redirect: 'manual', headers: { 'x-user-id': 'root@example.com' } });
    assert.ok([302, 401].includes(outside.status), String(outside.status)); // by the proxy: nobody of Tenure's was asked
  });
}

for (const [about, stand, header, name] of [['a bare name', bare, 'X-User-Id', 'alice@example.com'], ['a signed token', signed, 'X-Id-Token', 'u-alice']]) {
  test(`nobody names themselves past mod_auth_openidc, which hands on ${about}`, async () => {
    await visit(browser, stand.apache.base, async (page, context) => {
      await page.goto('/settings');
      await atProvider(page, 'u-alice');
      await page.locator('.who', { hasText: name }).waitFor();
      // Apache's cookie without Tenure's: who it is must come by the header.
      const cookie = (await context.cookies()).filter((one) => one.name.startsWith('mod_auth_openidc')).map((one) => `${one.name}=${one.value}`).join('; ');
      const unsigned = 'e30.e30.AAAA';
      const sets = [...forgeries(header, header === 'X-Id-Token' ? unsigned : 'root@example.com'), ...forgeries('X-User-Id', 'root@example.com')];
      assert.equal((await ask(stand.apache.base, '/api/v1/me', [`Cookie: ${cookie}`])).status, 200);
      for (const lines of sets) {
        const me = await ask(stand.apache.base, '/api/v1/me', [`Cookie: ${cookie}`, ...lines]);
        if (me.status === 200) assert.equal(JSON.parse(me.body.slice(me.body.indexOf('{'), me.body.lastIndexOf('}') + 1)).user_name, name, lines.join(' | '));
        else assert.ok([400, 401].includes(me.status), `${lines.join(' | ')}: ${me.status}`);
        for (const path of ['/v1/models', '/scim/v2/Users', '/api/v1/me']) {
          const { status } = await ask(stand.apache.base, path, lines);
          assert.ok([302, 400, 401].includes(status), `${path}: ${lines.join(' | ')}: ${status}`);
        }
      }
    });
    const roots = await stand.tenure.sql("SELECT user_name FROM users WHERE user_name LIKE '%root%'");
    assert.deepEqual(roots, []);
    for (const path of ['/metrics', '/healthz', '/readyz']) assert.equal((await ask(stand.apache.base, path, [])).status, 403);
  });
}

test('where the proxy must sign, a bare name and a forged token are nobody', async () => {
  const me = (headers) => fetch(`${signed.tenure.base}/api/v1/me`, { headers }).then((answer) => answer.status);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const claims = part({ iss: idp.issuer, aud: 'tenure', sub: 'u-alice', iat: now, exp: now + 60 });
  assert.equal(await me({ 'x-user-id': 'alice@example.com' }), 401);
  assert.equal(await me({ 'x-id-token': `${part({ alg: 'none' })}.${claims}.` }), 401);
  assert.equal(await me({ 'x-id-token': `${part({ alg: 'RS256', kid: 'k1' })}.${claims}.AAAA` }), 401);
  assert.equal(await me({ x_id_token: `${part({ alg: 'none' })}.${claims}.` }), 400);
});
