// What is one's own, in teams mode: a token that is narrowed and rotated, examples
// that work, sessions elsewhere, activity, and the workspace at the top.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { accessible, fits, launch, serve, shot, visit } from './harness.mjs';

let browser;
let server;
let models; // a provider that lists one model of each protocol
let lab; // a workspace of everybody below

const people = ['light1280', 'light360', 'dark1280', 'dark360', 'noscript', 'alice', 'bob'].map((name) => `${name}@example.com`);

async function api(method, path, body, user = 'grace@example.com') {
  const answer = await fetch(server.base + path, {
    method, headers: { 'x-user-id': user, 'content-type': 'application/json' }, body: body && JSON.stringify(body),
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.status === 204 ? null : answer.json();
}

before(async () => {
  models = createServer((request, response) => {
    response.setHeader('content-type', 'application/json');
    const id = request.headers['x-api-key'] ? 'claude-of-the-test' : 'gpt-of-the-test';
    if (request.method === 'POST') {
      response.end(JSON.stringify({ id: 'x', object: 'chat.completion', choices: [{ index: 0, message: { role: 'assistant', content: 'Hello to you' }, finish_reason: 'stop' }] }));
      return;
    }
    response.end(JSON.stringify({ object: 'list', data: [{ id, type: 'model', object: 'model', created: 1767225600, created_at: '2026-01-01T00:00:00Z' }], has_more: false }));
  });
  await new Promise((resolve) => { models.listen(0, '127.0.0.1', resolve); });
  const upstream = `http://127.0.0.1:${models.address().port}`;
  server = await serve('teams', {
    TENURE_ADMINS: 'grace@example.com', OPENAI_API_KEY: 'sk-openai-of-the-test', OPENAI_BASE_URL: `${upstream}/v1`,
    ANTHROPIC_API_KEY: 'sk-anthropic-of-the-test', ANTHROPIC_BASE_URL: upstream,
  });
  await api('GET', '/api/v1/me');
  lab = await api('POST', '/api/v1/admin/workspaces', { name: 'Research' });
  for (const user of people) {
    const me = await api('GET', '/api/v1/me', undefined, user);
    await api('PUT', `/api/v1/admin/workspaces/${lab.id}/members/${me.id}`, { role: 'member' });
  }
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
  models?.close();
});

const token = /^tpat_[0-9A-Za-z]{46}$/;
const row = (page, name) => page.getByRole('row').filter({ hasText: name });

async function generate(page, name) {
  await page.goto('/settings');
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('button', { name: 'Generate token' }).click();
  const secret = await page.locator('#secret').textContent();
  assert.match(secret, token);
  return secret;
}

async function narrow(page) {
  await page.goto('/settings');
  await page.getByLabel('Name', { exact: true }).fill('Nightly run');
  await page.getByLabel('In the workspace').selectOption({ label: 'Research' });
  await page.getByLabel('Expires').selectOption('7d');
  await page.getByRole('checkbox', { name: 'messages' }).uncheck();
  await page.getByRole('checkbox', { name: 'beliefs' }).uncheck();
  await page.getByText('Narrow it further').click();
  await page.getByLabel('Models', { exact: true }).fill('gpt-*');
  await page.getByLabel('Networks').fill('127.0.0.0/8');
  await page.getByRole('button', { name: 'Generate token' }).click();
  assert.match(await page.locator('#secret').textContent(), token);
}

async function rotate(page, name, overlap) {
  await page.goto('/settings');
  await row(page, name).getByRole('link', { name: 'Rotate' }).click();
  await page.getByRole('heading', { name: `Rotate “${name}”?` }).waitFor();
  if (overlap) await page.getByLabel('The present secret ends').selectOption(overlap);
  await page.getByRole('button', { name: 'Rotate' }).click();
  return page.locator('#secret').textContent();
}

test('the example that is shown works, with a model that the workspace has', async () => {
  await visit(browser, server, { user: 'alice@example.com' }, async (page) => {
    const secret = await generate(page, 'curl');
    await page.locator('label[for=in-curl]').click();
    const shown = await page.locator('#code-curl').textContent();
    const body = shown.match(/-d '(\{.*\})'/)[1];
    assert.equal(JSON.parse(body).model, 'gpt-of-the-test');
    const answer = await fetch(shown.match(/curl (\S+)/)[1], {
      method: 'POST', body, headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
    });
    assert.equal(answer.status, 200);
    assert.equal((await answer.json()).choices[0].message.content, 'Hello to you');
    await page.getByText('Claude Code', { exact: true }).click();
    assert.ok((await page.locator('#code-claude').textContent()).includes('ANTHROPIC_MODEL=claude-of-the-test'));
    assert.equal(await page.locator('.lacks').count(), 0);
  });
});

test('a rotated token has two secrets until the overlap ends', async () => {
  const models = (secret) => fetch(`${server.base}/v1/models`, { headers: { authorization: `Bearer ${secret}` } }).then((a) => a.status);
  await visit(browser, server, { user: 'bob@example.com' }, async (page) => {
    const first = await generate(page, 'Laptop');
    const second = await rotate(page, 'Laptop', '1h');
    assert.deepEqual([await models(first), await models(second)], [200, 200]);
    await page.goto('/settings');
    await row(page, 'old secret').waitFor();
    await page.getByRole('link', { name: 'Rotate Laptop' }).click();
    await page.getByLabel('The present secret ends').selectOption('0');
    await page.getByRole('button', { name: 'Rotate' }).click();
    assert.match(await page.locator('#secret').textContent(), token);
    assert.equal(await models(second), 401);
  });
});

test('other sessions end, and the page of the one that ended says so', async () => {
  const user = 'alice@example.com';
  await visit(browser, server, { user }, async (page) => {
    await page.goto('/settings/sessions');
    await visit(browser, server, { user }, async (other) => {
      await other.goto('/settings/sessions');
      await other.getByText('this browser').waitFor();
      await page.reload();
      await page.getByRole('link', { name: 'End all others' }).click();
      await page.getByRole('button', { name: /^End \d+ sessions?$/ }).click();
      await page.getByRole('status').filter({ hasText: /Everywhere else: \d+ sessions? ended in [\d.]+ ms/ }).waitFor();
      assert.equal(await page.getByRole('link', { name: 'End all others' }).count(), 0);
      await page.getByText('this browser').waitFor();
    });
  });
});

test('everything works without JavaScript', async () => {
  await visit(browser, server, { user: 'noscript@example.com', javaScriptEnabled: false }, async (page) => {
    await narrow(page);
    await rotate(page, 'Nightly run');
    await page.locator('#place').selectOption({ label: 'Research' });
    await page.getByRole('button', { name: 'Switch' }).click();
    assert.equal(await page.locator('#place option[selected]').textContent(), 'Research');
    await page.goto('/settings/sessions');
    await page.getByText('this browser').waitFor();
    await page.goto('/settings/activity');
    await row(page, 'Token rotated').waitFor();
    await shot(page, 'activity-noscript');
  });
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1280, 360]) {
    test(`one's own pages are accessible and fit: ${colorScheme}, ${width} pixels`, async () => {
      const options = { user: `${colorScheme}${width}@example.com`, colorScheme, viewport: { width, height: 800 }, refusals: 1 };
      await visit(browser, server, options, async (page) => {
        const look = async (name) => {
          await accessible(page, name);
          await fits(page, name);
          await shot(page, `mine-${name}-${colorScheme}-${width}`);
        };
        await page.goto('/settings');
        await look('empty');
        await narrow(page);
        await look('narrowed');
        await generate(page, 'Claude Code');
        await page.getByText('Python', { exact: true }).click();
        await look('python');
        await page.goto('/settings');
        await row(page, 'Claude Code').getByRole('link', { name: 'Rotate' }).click();
        await look('rotate');
        await page.getByRole('button', { name: 'Rotate' }).click();
        await page.locator('#secret').waitFor();
        await page.getByText('Narrow it further').waitFor({ state: 'detached' });
        await page.goto('/settings');
        await look('tokens');
        await page.goto('/settings'); // axe leaves styles behind, which htmx would carry over
        await page.getByText('Narrow it further').click();
        await page.getByLabel('Name', { exact: true }).fill('Office');
        await page.getByLabel('Networks').fill('the office');
        await page.getByRole('button', { name: 'Generate token' }).click();
        await page.locator('#cidrs-wrong').waitFor();
        assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'Office');
        await look('refused');
        await page.goto('/settings/sessions');
        await look('sessions');
        await page.goto('/settings/sessions/end-others');
        await look('end-others');
        await page.locator('#place').selectOption({ label: 'Research' });
        await page.getByRole('button', { name: 'Switch' }).click();
        await page.locator('#place option[selected]').filter({ hasText: 'Research' }).waitFor({ state: 'attached' });
        await page.goto('/settings/activity');
        await look('activity');
      });
    });
  }
}
