// The Overview, open streams, System, and what a page hears of its session's end.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { accessible, fits, launch, serve, shot, visit } from './harness.mjs';

let browser;
let server;
let provider;

const admin = 'ada@example.com';
const scim = 'scim-token-of-the-default-tenant-0123456789';

before(async () => {
  // A provider that goes on answering until its client leaves.
  provider = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const tick = setInterval(() => response.write('data: {"choices":[{"delta":{"content":"on and on "}}]}\n\n'), 100);
    response.on('close', () => clearInterval(tick));
  });
  await new Promise((resolve) => { provider.listen(0, '127.0.0.1', resolve); });
  server = await serve('teams', {
    TENURE_ADMINS: admin, TENURE_SCIM_TOKEN: scim,
    OPENAI_API_KEY: 'sk-of-the-simulated-provider', OPENAI_BASE_URL: `http://127.0.0.1:${provider.address().port}/v1`,
  });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
  provider?.closeAllConnections();
  provider?.close();
});

async function mint(user, name) {
  const answer = await fetch(`${server.base}/api/v1/tokens`, {
    method: 'POST', headers: { 'content-type': 'application/json', 'x-user-id': user }, body: JSON.stringify({ name }),
  });
  assert.equal(answer.status, 201);
  return (await answer.json()).token;
}

// ask opens a stream; its text is complete when it has ended.
async function ask(token, model = 'gpt-4o') {
  const answer = await fetch(`${server.base}/v1/chat/completions`, {
    method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: 'Hello' }] }),
  });
  assert.equal(answer.status, 200);
  return answer.text();
}

// provision makes a person known by SCIM, and gives what changes them.
async function provision(userName) {
  const headers = { 'content-type': 'application/scim+json', authorization: `Bearer ${scim}` };
  const answer = await fetch(`${server.base}/scim/v2/Users`, {
    method: 'POST', headers, body: JSON.stringify({ schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'], userName, active: true }),
  });
  assert.equal(answer.status, 201);
  const { id } = await answer.json();
  return async () => {
    const done = await fetch(`${server.base}/scim/v2/Users/${id}`, {
      method: 'PATCH', headers,
      body: JSON.stringify({ schemas: ['urn:ietf:params:scim:api:messages:2.0:PatchOp'], Operations: [{ op: 'replace', path: 'active', value: false }] }),
    });
    assert.ok(done.ok);
  };
}

const row = (page, text) => page.locator('#live').getByRole('row').filter({ hasText: text });

// hears waits until the page listens.
const hears = (page) => page.waitForResponse((answer) => answer.url().endsWith('/events') && answer.status() === 200);

test('a stream appears by itself, is cut after asking, and its token stays', async () => {
  const token = await mint('bob@example.com', 'VS Code MacBook');
  await visit(browser, server, { user: admin }, async (page) => {
    await page.goto('/admin');
    await page.locator('#live').getByText('No request to a model is running').waitFor();
    await page.evaluate(() => { window.same = true; });
    const stream = ask(token);
    await row(page, 'bob@example.com').waitFor({ timeout: 5000 });
    await row(page, 'bob@example.com').getByRole('link', { name: 'Cut' }).focus();
    await page.waitForTimeout(2500); // the list is put in place anew: the focus stays
    assert.match(await page.evaluate(() => document.activeElement.textContent), /^Cut/);
    await shot(page, 'overview-stream');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Cut the stream of bob@example.com?' }).waitFor();
    await page.getByRole('button', { name: 'Cut' }).click();
    await page.getByRole('status').filter({ hasText: /The stream of bob@example.com is cut: 1 stream ended in [\d.]+ ms/ }).waitFor();
    assert.match(await stream, /ended_by_administrator/);
    assert.ok(await page.evaluate(() => window.same), 'the page was loaded anew');
    const models = await fetch(`${server.base}/v1/models`, { headers: { authorization: `Bearer ${token}` } });
    assert.notEqual(models.status, 401);
    const told = page.getByRole('row').filter({ hasText: 'stream' }).filter({ hasText: admin }).first();
    for (let tries = 0; tries < 20 && !(await told.isVisible()); tries++) { // it is written behind
      await page.waitForTimeout(500);
      await page.goto('/admin');
    }
    assert.ok(await told.isVisible());
  });
});

test('without JavaScript the list has a Refresh link, and Cut asks on a page of its own', async () => {
  const token = await mint('carol@example.com', 'Open WebUI');
  const stream = ask(token);
  await visit(browser, server, { user: admin, javaScriptEnabled: false }, async (page) => {
    await page.goto('/admin');
    await page.getByRole('link', { name: 'Refresh' }).click();
    await row(page, 'carol@example.com').getByRole('link', { name: 'Cut' }).click();
    await page.getByRole('button', { name: 'Cut' }).click();
    await page.getByRole('status').filter({ hasText: 'is cut: 1 stream ended' }).waitFor();
    await page.getByText('The figures').first().click();
    await shot(page, 'overview-without-javascript');
  });
  assert.match(await stream, /ended_by_administrator/);
});

test('a SCIM deactivation closes an open page within a second', async () => {
  const deactivate = await provision('dave@example.com');
  await visit(browser, server, { user: 'dave@example.com' }, async (page) => {
    const heard = hears(page);
    await page.goto('/settings');
    await heard;
    await deactivate();
    await page.getByText('Your organisation has ended your access').waitFor({ timeout: 1000 });
    await page.getByRole('heading', { name: 'Your session has ended' }).waitFor();
    await accessible(page, 'ended');
    await shot(page, 'ended-deactivated');
  });
});

test('a session that ends elsewhere closes its page, and signing out does not close over its answer', async () => {
  const user = 'erin@example.com';
  await visit(browser, server, { user }, async (page) => {
    const heard = hears(page);
    await page.goto('/settings');
    await heard;
    await visit(browser, server, { user }, async (other) => {
      const otherHeard = hears(other);
      await other.goto('/settings/sessions');
      await otherHeard;
      const here = other.getByRole('row').filter({ hasText: 'Chrome on Linux' }).filter({ hasNotText: 'this browser' });
      await here.getByRole('link', { name: 'End' }).click();
      await other.getByRole('button', { name: 'End session' }).click();
      await page.getByText('It was ended from somewhere else').waitFor({ timeout: 2000 });
      await page.getByRole('link', { name: 'Sign in again' }).click();
      await page.getByRole('heading', { name: 'Access tokens', level: 1 }).waitFor();

      await other.getByRole('button', { name: 'Sign out' }).click();
      await other.getByRole('status').filter({ hasText: 'You are signed out' }).waitFor();
      await other.waitForTimeout(500);
      assert.ok(!other.url().includes('/ended'), other.url());
    });
  });
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1280, 360]) {
    test(`the pages are accessible and fit: ${colorScheme}, ${width} pixels`, async () => {
      const user = `${colorScheme}${width}@example.com`;
      const tokens = [await mint(user, 'VS Code on my MacBook Pro'), await mint('ci@example.com', 'nightly evaluation')];
      const streams = tokens.map((token, i) => ask(token, ['gpt-4o', 'gpt-4o-mini-2024-07-18'][i]));
      const options = { user: admin, colorScheme, viewport: { width, height: 800 } };
      await visit(browser, server, options, async (page) => {
        const look = async (name) => {
          await accessible(page, name);
          await fits(page, name);
          await shot(page, `${name}-${colorScheme}-${width}`);
        };
        await page.goto('/admin');
        await row(page, user).waitFor();
        await look('overview');
        await row(page, user).getByRole('link', { name: 'Cut' }).click();
        await page.getByRole('button', { name: 'Cut' }).waitFor();
        await look('cut');
        await page.getByRole('button', { name: 'Cut' }).click();
        await page.getByRole('status').filter({ hasText: 'is cut' }).waitFor();
        await page.goto(`/admin/streams?q=${encodeURIComponent('nightly')}`);
        await look('streams');
        await page.getByRole('link', { name: 'Cut' }).first().click();
        await page.getByRole('button', { name: 'Cut' }).click();
        await page.getByRole('status').filter({ hasText: 'is cut' }).waitFor();
        await page.goto('/admin/system');
        await look('system');
        await page.goto('/admin/keys');
        await look('keys');
        await page.goto('/ended?why=expired');
        await look('ended');
      });
      await Promise.all(streams);
    });
  }
}
