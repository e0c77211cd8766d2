// Apache with mod_auth_openidc before Tenure: once asserting a bare name, once by
// a token that the provider has signed.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { apache, atProvider, freePort, launch, provider, secret, tenure, visit } from './stand.mjs';

const people = { 'u-alice': { preferred_username: 'alice@example.com', email: 'alice@example.com' } };
const stops = [];
let browser;
let idp;
const bare = {};
const signed = {};

// front is Apache's configuration: the one of docs/guides/proxy.md, on loopback.
function front(port, backend, lines) {
  return [
    `OIDCProviderMetadataURL ${idp.issuer}/.well-known/openid-configuration`, 'OIDCClientID apache', `OIDCClientSecret ${secret}`,
    `OIDCRedirectURI http://127.0.0.1:${port}/oauth2callback`, `OIDCCryptoPassphrase ${secret}`, 'OIDCScope "openid email profile"',
    'OIDCRemoteUserClaim preferred_username', 'OIDCPassClaimsAs environment', 'OIDCPassIDTokenAs serialized', 'OIDCPKCEMethod S256',
    'RequestHeader unset X-User-Id', 'RequestHeader unset X_User_Id', 'RequestHeader unset X-Id-Token',
    '<Location />', 'AuthType openid-connect', 'Require valid-user', ...lines, '</Location>',
    '<LocationMatch "^/(v1|scim/v2)/">', 'AuthType None', 'Require all granted', 'RequestHeader unset X-User-Id', 'RequestHeader unset X-Id-Token', '</LocationMatch>',
    'ProxyPreserveHost On', 'ProxyPass /oauth2callback !', `ProxyPass / ${backend}/ flushpackets=on`,
  ];
}

before(async () => {
  const ports = [await freePort(), await freePort()];
  idp = await provider(people, [{ client_id: 'apache', client_secret: secret, redirect_uris: ports.map((port) => `http://127.0.0.1:${port}/oauth2callback`) }]);
  stops.push(idp.stop);
  bare.tenure = await tenure(await freePort(), {});
  stops.push(bare.tenure.stop);
  bare.apache = await apache(ports[0], front(ports[0], bare.tenure.base, ['RequestHeader set X-User-Id "expr=%{REMOTE_USER}"']));
  stops.push(bare.apache.stop);
  signed.tenure = await tenure(await freePort(), {
    TENURE_PROXY_JWKS_URL: `${idp.issuer}/jwks`, TENURE_PROXY_JWT_HEADER: 'x-id-token', TENURE_PROXY_JWT_ISSUER: idp.issuer, TENURE_PROXY_JWT_AUDIENCE: 'apache',
  });
  stops.push(signed.tenure.stop);
  signed.apache = await apache(ports[1], front(ports[1], signed.tenure.base, [
    'RequestHeader set X-Id-Token "expr=%{reqenv:OIDC_id_token}"',
  ]));
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

test('where the proxy must sign, a bare name and a forged token are nobody', async () => {
  const me = (headers) => fetch(`${signed.tenure.base}/api/v1/me`, { headers }).then((answer) => answer.status);
  const part = (value) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const now = Math.floor(Date.now() / 1000);
  const claims = part({ iss: idp.issuer, aud: 'apache', sub: 'u-alice', iat: now, exp: now + 60 });
  assert.equal(await me({ 'x-user-id': 'alice@example.com' }), 401);
  assert.equal(await me({ 'x-id-token': `${part({ alg: 'none' })}.${claims}.` }), 401);
  assert.equal(await me({ 'x-id-token': `${part({ alg: 'RS256', kid: 'k1' })}.${claims}.AAAA` }), 401);
  assert.equal(await me({ x_id_token: `${part({ alg: 'none' })}.${claims}.` }), 400);
});
