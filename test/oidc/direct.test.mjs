// People sign in at an OpenID provider, and out, in a real browser.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { answerTo, atProvider, eventually, freePort, launch, provider, secret, tenure, visit } from './stand.mjs';

const people = {
  'u-alice': { preferred_username: 'alice@example.com', email: 'alice@example.com', email_verified: true },
  'u-bob': { preferred_username: 'bob@example.com', email: 'bob@example.com', email_verified: true },
  'u-carol': { preferred_username: 'carol@example.com' },
  'u-dave': { preferred_username: 'dave@example.com' },
  'u-root': { preferred_username: 'root@example.com' },
  'u-nameless': {},
};
let browser;
let idp;
let server;

before(async () => {
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  idp = await provider(people, [{
    client_id: 'tenure', client_secret: secret, redirect_uris: [`${base}/oidc/default/callback`], post_logout_redirect_uris: [`${base}/login`],
    backchannel_logout_uri: `${base}/oidc/default/backchannel`,
  }]);
  server = await tenure(port, {
    TENURE_OIDC_ISSUER: idp.issuer, TENURE_OIDC_CLIENT_ID: 'tenure', TENURE_OIDC_CLIENT_SECRET: secret, TENURE_ADMINS: 'root@example.com',
  });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
  await idp?.stop();
});

async function signIn(page, sub) {
  await page.goto('/settings');
  assert.equal(new URL(page.url()).pathname, '/login');
  await page.getByRole('link', { name: 'Sign in' }).click();
  await atProvider(page, sub);
}

const signedIn = (page, name) => page.locator('.who', { hasText: name }).waitFor();
const sessions = (name) => server.sql(`SELECT s.* FROM sessions s JOIN users u ON u.id = s.user_id WHERE u.user_name = '${name}' ORDER BY s.id`);
const heading = (page) => page.locator('h1').innerText();

test('one signs in at the provider, comes back to the page, and no token of it is anywhere', async () => {
  await visit(browser, server.base, async (page, context) => {
    await page.goto('/settings?from=bookmark');
    await page.getByRole('link', { name: 'Sign in' }).click();
    assert.equal(new URL(page.url()).hostname, 'localhost');
    await atProvider(page, 'u-alice');
    await signedIn(page, 'alice@example.com');
    assert.equal(page.url(), `${server.base}/settings?from=bookmark`);
    const cookies = (await context.cookies(server.base)).filter((cookie) => cookie.name.startsWith('tenure'));
    assert.deepEqual(cookies.map(({ name, httpOnly, sameSite }) => ({ name, httpOnly, sameSite })), [{ name: 'tenure', httpOnly: true, sameSite: 'Lax' }]);
    const [session] = await sessions('alice@example.com');
    assert.equal(session.via, 'oidc');
    assert.equal(session.issuer, idp.issuer);
    assert.equal(session.subject, 'u-alice');
    assert.equal(session.acr, 'urn:test:password');
    assert.equal(session.amr, 'pwd');
    assert.ok(session.sid, 'the provider names its session');
    assert.ok(Math.abs(Date.parse(session.authenticated_at) - Date.now()) < 60_000, session.authenticated_at);
    const dump = JSON.stringify(await server.sql('SELECT * FROM sessions')) + JSON.stringify(await server.sql('SELECT * FROM audit_events'));
    assert.doesNotMatch(dump + server.log() + await page.content(), /eyJ/, 'a token of the provider was kept');
    const [user] = await server.sql("SELECT source FROM users WHERE user_name = 'alice@example.com'");
    assert.equal(user.source, 'oidc');
  });
});

test('a bare identity header is not believed beside direct sign-in', async () => {
  const answer = await fetch(`${server.base}/api/v1/me`, { headers: { 'x-user-id': 'root@example.com' } });
  assert.equal(answer.status, 401);
});

test('a sign-in ends only in the browser that began it, with its own state, and once', async () => {
  await visit(browser, server.base, async (page, context) => {
    await page.goto('/login');
    await page.getByRole('link', { name: 'Sign in' }).click();
    const answer = await answerTo(page, 'u-bob');
    const [cookie] = (await context.cookies(server.base)).filter(({ name }) => name.startsWith('tenure-signin-'));
    const attempt = (url, headers) => fetch(url, { headers, redirect: 'manual' }).then(async (got) => ({ status: got.status, text: await got.text(), cookie: got.headers.getSetCookie() }));
    const own = { cookie: `${cookie.name}=${cookie.value}` };

    const elsewhere = await attempt(answer, {});
    assert.equal(elsewhere.status, 400);
    assert.match(elsewhere.text, /not begun in this browser/);
    for (const [change, status] of [
      [(url) => url.searchParams.set('state', 'other'), 400],
      [(url) => url.searchParams.delete('state'), 400],
      [(url) => url.searchParams.append('state', 'other'), 400],
      [(url) => { url.pathname = '/oidc/other/callback'; }, 400],
      [(url) => url.searchParams.set('iss', 'https://evil.example.com'), 403],
      [(url) => url.searchParams.set('iss', `${idp.issuer}/`), 403],
      [(url) => url.searchParams.delete('iss'), 403],
      [(url) => url.searchParams.delete('code'), 403],
      [(url) => url.searchParams.append('code', 'two'), 403],
    ]) {
      const url = new URL(answer);
      change(url);
      const got = await attempt(url, own);
      assert.equal(got.status, status, `${url}: ${got.text}`);
      assert.ok(!got.cookie.some((set) => /^tenure=./.test(set)), 'no session');
    }
    const tampered = `${cookie.value.slice(0, -2)}AA`;
    assert.equal((await attempt(answer, { cookie: `${cookie.name}=${tampered}` })).status, 400);

    // The right one, and then the same again.
    const right = await attempt(answer, own);
    assert.equal(right.status, 303, right.text);
    assert.ok(right.cookie.some((set) => /^tenure=./.test(set)));
    const again = await attempt(answer, own);
    assert.equal(again.status, 400);
    assert.equal((await sessions('bob@example.com')).length, 1);
  });
});

test('somebody whom the provider does not sign in, or does not name, gets a page', async () => {
  await visit(browser, server.base, async (page) => {
    await signIn(page, 'u-nobody');
    await page.getByText('access_denied').waitFor();
    await page.getByRole('link', { name: 'Back to sign-in' }).click();
    await page.getByRole('link', { name: 'Sign in' }).click();
    await atProvider(page, 'u-nameless');
    await page.getByText('did not say a userName').waitFor();
  });
});

test('a deactivated person is told so, and nothing of theirs lives', async () => {
  await visit(browser, server.base, async (page) => {
    await signIn(page, 'u-carol');
    await signedIn(page, 'carol@example.com');
    await server.run(['user', 'deactivate', 'carol@example.com']);
    await page.getByText('Your organisation has ended your access').waitFor(); // by itself
    assert.ok((await sessions('carol@example.com'))[0].ended_at, 'the session has ended');
    await page.goto('/settings');
    await page.getByRole('link', { name: 'Sign in' }).click(); // the provider still knows her
    await page.getByText('This account is deactivated').waitFor();
    assert.equal((await sessions('carol@example.com')).length, 1);
  });
});

test('who is somebody is the subject, not the name', async () => {
  await visit(browser, server.base, async (page) => {
    await signIn(page, 'u-dave');
    await signedIn(page, 'dave@example.com');
  });
  people['u-dave'].preferred_username = 'david@example.com'; // renamed there
  people['u-mallory'] = { preferred_username: 'DAVE@example.com' }; // and somebody else got the name
  await visit(browser, server.base, async (page) => {
    await signIn(page, 'u-dave');
    await signedIn(page, 'dave@example.com');
  });
  await visit(browser, server.base, async (page) => {
    await signIn(page, 'u-mallory');
    await page.getByText('another identity signs in').waitFor();
  });
  assert.equal((await sessions('dave@example.com')).filter((session) => session.subject !== 'u-dave').length, 0);
  // An administrator can let the name be taken.
  const { ended } = await server.run(['user', 'unlink', 'dave@example.com']);
  assert.ok(ended.sessions >= 2);
  await visit(browser, server.base, async (page) => {
    await signIn(page, 'u-mallory');
    await signedIn(page, 'dave@example.com');
  });
});

test('what needs a fresh sign-in asks the provider for one, and believes when it says so', async () => {
  await visit(browser, server.base, async (page, context) => {
    await signIn(page, 'u-root 3600'); // the provider saw them an hour ago
    await signedIn(page, 'root@example.com');
    const old = (await context.cookies(server.base)).find(({ name }) => name === 'tenure').value;
    const unlink = () => page.evaluate(() => fetch('/api/v1/admin/users/nobody/unlink', { method: 'POST' }).then((answer) => answer.status));
    assert.equal(await unlink(), 403);
    await page.goto('/login?reauth=1&return_to=/settings');
    await page.getByRole('link', { name: 'Sign in' }).click();
    await atProvider(page, 'u-root'); // it asks, though it knows who is there
    await signedIn(page, 'root@example.com');
    assert.equal(await unlink(), 404);
    const fresh = (await context.cookies(server.base)).find(({ name }) => name === 'tenure').value;
    assert.notEqual(fresh, old, 'a new session');
    const answer = await fetch(`${server.base}/api/v1/me`, { headers: { cookie: `tenure=${old}` } });
    assert.equal(answer.status, 401, 'the old one has ended');

  });
  // Whoever takes the demand out of the provider's address gains nothing.
  await visit(browser, server.base, async (page) => {
    await signIn(page, 'u-root 3600');
    await signedIn(page, 'root@example.com');
    const start = await page.request.get('/oidc/default/start?reauth=1', { maxRedirects: 0 });
    const url = new URL(start.headers().location);
    assert.equal(url.searchParams.get('max_age'), '0');
    url.searchParams.delete('prompt');
    url.searchParams.delete('max_age');
    await page.goto(url.href);
    await page.getByText('did not say that you have just signed in anew').waitFor();
  });
});

test('signing out here signs out of the provider, and ends its other sessions here', async () => {
  await visit(browser, server.base, async (page) => {
    await signIn(page, 'u-alice');
    await signedIn(page, 'alice@example.com');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(/localhost.*session\/end/); // by itself
    await page.getByRole('button', { name: /yes/i }).click();
    await page.waitForURL(`${server.base}/login**`);
    assert.equal(await heading(page), 'Sign in');
    await page.getByRole('link', { name: 'Sign in' }).click();
    await page.getByLabel('Subject').waitFor(); // it does not know her any more
  });
});

test('without JavaScript one signs in, and out of both, in the same way', async () => {
  await visit(browser, server.base, async (page) => {
    await signIn(page, 'u-alice');
    await signedIn(page, 'alice@example.com');
    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.waitForURL(/localhost.*session\/end/);
    await page.goto(`${server.base}/settings`);
    assert.equal(new URL(page.url()).pathname, '/login');
  }, { javaScriptEnabled: false });
});

test('a logout at the provider ends the session, by back-channel, within a second', async () => {
  await visit(browser, server.base, async (page) => {
    await signIn(page, 'u-alice');
    await signedIn(page, 'alice@example.com');
    const [session] = (await sessions('alice@example.com')).slice(-1);
    await page.goto(`${idp.issuer}/session/end`);
    const at = Date.now();
    await page.getByRole('button', { name: /yes/i }).click();
    await eventually(async () => (await server.sql(`SELECT ended_at FROM sessions WHERE id = '${session.id}'`))[0].ended_at, 'the session has ended');
    assert.ok(Date.now() - at < 1500, `${Date.now() - at} ms`);
    const [event] = await server.sql(`SELECT actor_kind, reason FROM audit_events WHERE action = 'session.ended' AND object_id = '${session.id}'`);
    assert.deepEqual(event, { actor_kind: 'identity_provider', reason: 'signed out at the identity provider' });
    await page.goto(`${server.base}/settings`);
    assert.equal(new URL(page.url()).pathname, '/login');
  });
});

test('a logout at the provider closes the page that is open here', async () => {
  await visit(browser, server.base, async (page, context) => {
    const heard = page.waitForResponse((answer) => answer.url().endsWith('/events'));
    await signIn(page, 'u-alice');
    await signedIn(page, 'alice@example.com');
    await heard;
    const there = await context.newPage(); // another tab, which is looked at; the first one hears when it is again
    await there.goto(`${idp.issuer}/session/end`);
    await there.getByRole('button', { name: /yes/i }).click();
    await there.waitForURL(/session\/end\/success/);
    await page.bringToFront();
    await page.getByRole('heading', { name: 'Your session has ended' }).waitFor();
    await page.getByRole('link', { name: 'Sign in again' }).click();
    await page.getByRole('link', { name: 'Sign in' }).click();
    await page.getByLabel('Subject').waitFor();
  });
});

test('the back channel takes nothing but a logout token', async () => {
  for (const [body, type] of [['', undefined], ['logout_token=x', undefined], ['logout_token=a&logout_token=b', undefined], ['{}', 'application/json']]) {
    const answer = await fetch(`${server.base}/oidc/default/backchannel`, { method: 'POST', body, headers: { 'content-type': type ?? 'application/x-www-form-urlencoded' } });
    assert.equal(answer.status, 400);
    assert.equal(answer.headers.get('cache-control'), 'no-store');
    assert.equal((await answer.json()).error, 'invalid_request');
  }
  assert.equal((await fetch(`${server.base}/oidc/other/backchannel`, { method: 'POST' })).status, 404);
});

test('nobody is led to another site, and another site signs nobody in', async () => {
  for (const to of ['https://evil.example.com', '//evil.example.com', '/\\evil.example.com', 'javascript:alert(1)', '/oidc/default/start', '/%2f/evil.example.com']) {
    await visit(browser, server.base, async (page) => {
      await page.goto(`/oidc/default/start?return_to=${encodeURIComponent(to)}`);
      await atProvider(page, 'u-bob');
      await signedIn(page, 'bob@example.com');
      assert.equal(new URL(page.url()).origin, server.base);
      assert.equal(new URL(page.url()).pathname, '/settings');
    });
  }
  const answer = await fetch(`${server.base}/oidc/default/start`, { headers: { 'sec-fetch-site': 'cross-site' }, redirect: 'manual' });
  assert.equal(answer.headers.get('location'), '/login?connection=default');
  assert.deepEqual(answer.headers.getSetCookie(), []);
});

test('the provider rotates its keys, goes down and comes back: whoever is in stays in', async () => {
  await visit(browser, server.base, async (page) => {
    await signIn(page, 'u-bob');
    await signedIn(page, 'bob@example.com');
    idp.rotate();
    const before = idp.asked['/jwks'];
    await new Promise((resolve) => { setTimeout(resolve, 10_000); }); // keys are asked for once in ten seconds
    await visit(browser, server.base, async (other) => {
      await signIn(other, 'u-alice');
      await signedIn(other, 'alice@example.com');
    });
    assert.equal(idp.asked['/jwks'], before + 1);
    idp.down(true);
    await page.reload();
    await signedIn(page, 'bob@example.com');
    idp.down(false);
  });
});

test('a provider that never answered makes a clear page', async () => {
  const port = await freePort();
  const lost = await tenure(port, { TENURE_OIDC_ISSUER: `http://localhost:${await freePort()}`, TENURE_OIDC_CLIENT_ID: 'tenure', TENURE_OIDC_CLIENT_SECRET: secret });
  try {
    const answer = await fetch(`${lost.base}/oidc/default/start`);
    assert.equal(answer.status, 503);
    assert.match(await answer.text(), /identity provider cannot be reached/);
    assert.equal((await fetch(`${lost.base}/readyz`)).status, 200);
  } finally {
    await lost.stop();
  }
});

test('a connection that is set up wrongly says so, to the person and in the log', async () => {
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const own = await provider(people, [{ client_id: 'tenure', client_secret: secret, redirect_uris: [`${base}/oidc/default/callback`] }]);
  const settings = { TENURE_OIDC_ISSUER: own.issuer, TENURE_OIDC_CLIENT_ID: 'tenure', TENURE_OIDC_CLIENT_SECRET: secret };
  // told sees the page and finds its request in the log.
  const told = async (wrong, page, cause) => {
    await page.getByRole('heading', { name: 'Sign-in is set up wrongly' }).waitFor();
    const text = await page.locator('main').innerText();
    assert.match(text, /an administrator has to mend it/);
    const [, id] = text.match(/500 · connection_misconfigured · request (\S+)/);
    const line = await eventually(() => wrong.log().split('\n').find((one) => one.includes(id)), 'the log has the request');
    assert.equal(JSON.parse(line).level, 'ERROR');
    assert.match(JSON.parse(line).error, cause);
    assert.doesNotMatch(wrong.log(), new RegExp(secret));
    await page.getByRole('link', { name: 'Back to sign-in' }).click();
    await page.getByRole('link', { name: 'Sign in' }).waitFor();
  };
  try {
    for (const [changed, cause, asks] of [
      [{ TENURE_OIDC_CLIENT_SECRET: 'another-secret-than-that' }, /does not take the client's id and secret.*invalid_client/, true],
      [{ TENURE_OIDC_ISSUER: `${own.issuer}/` }, /calls itself/],
      [{ TENURE_OIDC_ISSUER: `${own.issuer}/tenant` }, /answers 404/],
    ]) {
      const wrong = await tenure(port, { ...settings, ...changed });
      try {
        await visit(browser, base, async (page) => {
          await page.goto('/settings');
          await page.getByRole('link', { name: 'Sign in' }).click();
          if (asks) await atProvider(page, 'u-alice');
          await told(wrong, page, cause);
        });
      } finally {
        await wrong.stop();
      }
    }
  } finally {
    await own.stop();
  }
});

test('a form that is sent when the session is over leads to the sign-in and back, without a script', async () => {
  await visit(browser, server.base, async (page) => {
    await signIn(page, 'u-bob');
    await signedIn(page, 'bob@example.com');
    await page.getByLabel('Name', { exact: true }).fill('Too late');
    await page.context().clearCookies();
    await page.getByRole('button', { name: 'Generate token' }).click();
    await page.getByRole('heading', { name: 'Sign in first' }).waitFor();
    assert.doesNotMatch(await page.locator('main').innerText(), /proxy|access token/);
    await page.locator('main').getByRole('link', { name: 'Sign in' }).click();
    assert.equal(new URL(page.url()).pathname, '/login');
    await page.getByRole('link', { name: 'Sign in' }).waitFor();
  }, { javaScriptEnabled: false });
});

test('where there are several connections, the e-mail address chooses', async () => {
  const port = await freePort();
  const base = `http://127.0.0.1:${port}`;
  const own = await provider(people, [{ client_id: 'tenure', client_secret: secret, redirect_uris: [`${base}/oidc/default/callback`] }]);
  const several = await tenure(port, {
    TENURE_OIDC_ISSUER: own.issuer, TENURE_OIDC_CLIENT_ID: 'tenure', TENURE_OIDC_CLIENT_SECRET: secret, TENURE_OIDC_DOMAINS: 'Example.com',
  });
  try {
    await several.sql(`INSERT INTO tenants (id, name, created_at) VALUES ('t2', 'Second', '2026-01-01T00:00:00Z');
      INSERT INTO oidc_connections (id, tenant_id, name, issuer, client_id, secret_sealed, data_key, scopes, user_name_claim, created_at)
      VALUES ('c2', 't2', 'second', 'https://idp.invalid', 'x', x'00', x'00', 'openid', 'email', '2026-01-01T00:00:00Z');
      INSERT INTO oidc_domains (domain, connection_id) VALUES ('second.example', 'c2')`);
    await visit(browser, base, async (page) => {
      await page.goto('/settings');
      const choose = async (address) => {
        await page.getByLabel('E-mail address').fill(address);
        await page.getByRole('button', { name: 'Continue' }).click();
      };
      await choose('a@example.com@nowhere.example').catch(() => {}); // the browser itself may refuse it
      assert.equal(new URL(page.url()).origin, base);
      await choose('alice@EXAMPLE.com');
      await page.getByLabel('Subject').waitFor(); // by itself, past the policy that lets no form end elsewhere
      await atProvider(page, 'u-alice');
      await signedIn(page, 'alice@example.com');
    });
    for (const email of ['@example.com', 'x@example.com@second.example', 'x', '']) {
      const answer = await fetch(`${base}/login`, { method: 'POST', body: new URLSearchParams({ email }) });
      assert.equal(answer.status, 404, email);
    }
    const named = await fetch(`${base}/login?connection=second`);
    assert.match(await named.text(), /Sign in with second/);
    // Another tenant's provider is down, and its secret is not one: that is its own matter.
    assert.equal((await fetch(`${base}/oidc/second/start`)).status, 500);
  } finally {
    await several.stop();
    await own.stop();
  }
});
