// My beliefs: one is written down, found, changed, kept against another, exported and erased.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { accessible, contradict, fits, launch, serve, shot, visit } from './harness.mjs';

let browser;
let server;

before(async () => {
  server = await serve('teams', { TENURE_ADMINS: 'grace@example.com,heidi@example.com' });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const press = (page, name) => page.getByRole('main').getByRole('button', { name, exact: true }).click();
const follow = (page, name) => page.getByRole('main').getByRole('link', { name, exact: true }).click();
const told = (page, text) => page.getByRole('status').filter({ hasText: text }).waitFor();
const row = (page, text) => page.locator('section[aria-labelledby=beliefs] tbody tr').filter({ hasText: text });

async function write(page, name, content) {
  await page.goto('/beliefs/new');
  await page.getByLabel('Where it holds').fill('project:billing');
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('textbox', { name: 'What holds' }).fill(content);
  await press(page, 'Save');
  await told(page, 'is saved');
}

for (const scripted of [true, false]) {
  test(`beliefs are written down, found, changed, kept and erased: ${scripted ? 'with a script' : 'without JavaScript'}`, async () => {
    await visit(browser, server, { user: 'alice@example.com', javaScriptEnabled: scripted, refusals: scripted ? 1 : 0 }, async (page) => {
      await page.goto('/settings');
      await page.getByRole('link', { name: 'My beliefs' }).click();
      await page.getByText('You have none.').waitFor();
      if (scripted) await shot(page, 'beliefs-none');
      await write(page, 'Database', 'We use MySQL.');
      await follow(page, 'Change');
      await page.getByRole('textbox', { name: 'What holds' }).fill('We use PostgreSQL.');
      await press(page, 'Save');
      await told(page, 'in the place of what was said before');
      await page.getByRole('link', { name: 'We use MySQL.' }).waitFor(); // in its history
      if (scripted) {
        await accessible(page, 'one belief');
        await fits(page, 'one belief');
        await shot(page, 'belief');
      }
      await follow(page, 'Delete');
      await press(page, 'Delete for good');
      await told(page, 'is deleted');
      await contradict(server, () => write(page, 'Indentation', 'Tabs, of course.'), () => write(page, 'Indentation', 'Spaces, of course.'));
      await write(page, 'Editor', 'Any that speaks OpenAI.');

      await page.goto('/beliefs');
      await page.getByLabel('Search').fill('OPENAI');
      await press(page, 'Find');
      await row(page, 'Editor').waitFor();
      await row(page, 'Indentation').first().waitFor({ state: 'detached' });
      assert.match(page.url(), /q=OPENAI/);

      await page.goto('/beliefs');
      await page.getByText('Contradiction:').waitFor();
      if (scripted) {
        await accessible(page, 'a contradiction');
        await fits(page, 'a contradiction');
        await shot(page, 'beliefs');
      }
      await press(page, 'Keep this one (Tabs, of course.)');
      await told(page, '“Indentation” holds no more: “Spaces, of course.”');
      assert.equal(await page.getByText('Contradiction:').count(), 0);

      await page.goto('/beliefs');
      const download = page.waitForEvent('download');
      await follow(page, 'Export all');
      const file = JSON.parse(await readFile(await (await download).path(), 'utf8'));
      assert.deepEqual(file.beliefs.map((b) => b.name).sort(), ['Editor', 'Indentation', 'Indentation']);

      await follow(page, 'Erase all');
      if (scripted) {
        await page.getByLabel('Type “erase”').fill('yes');
        await press(page, 'Erase all');
        await page.getByText('nothing was erased').waitFor();
      }
      await page.getByLabel('Type “erase”').fill('erase');
      await press(page, 'Erase all');
      await told(page, 'Erased: 3 beliefs');
      await page.getByText('You have none.').waitFor();
    });
  });
}

// What a page does to be told of beliefs: all that it hears, and how it ends, in the page itself.
const listen = (page, base) => page.evaluate((url) => new Promise((resolve) => {
  window.heard = [];
  const socket = new WebSocket(`${url}/v1/ws/beliefs`, ['tenure.beliefs.v1']);
  socket.onmessage = ({ data }) => {
    const message = JSON.parse(data);
    window.heard.push(message);
    if (message.type === 'ready') socket.send(JSON.stringify({ v: 1, type: 'subscribe', id: '1', scope: 'project:billing' }));
    if (message.type === 'ack') resolve('subscribed');
  };
  socket.onclose = ({ code }) => {
    window.ended(code);
    resolve('closed');
  };
}), base.replace('http', 'ws'));

test('a page of our own is told of beliefs by the WebSocket until its person is gone; one of another origin opens none', async () => {
  const context = await browser.newContext({ baseURL: server.base, extraHTTPHeaders: { 'x-user-id': 'wilma@example.com' } });
  const foreign = createServer((_, res) => res.setHeader('content-type', 'text/html').end('<title>Elsewhere</title>'));
  try {
    const ends = [];
    await context.exposeBinding('ended', ({ page: of }, code) => ends.push({ of, code }));
    const page = await context.newPage();
    await page.goto('/beliefs');
    await page.goto('/healthz'); // which stays when the session ends
    assert.equal(await listen(page, server.base), 'subscribed');

    const other = await context.newPage();
    await write(other, 'Database', 'We use PostgreSQL.');
    await page.waitForFunction(() => window.heard.some((m) => m.type === 'belief.upserted' && m.belief.content === 'We use PostgreSQL.'));

    await new Promise((resolve) => { foreign.listen(0, '127.0.0.1', resolve); });
    await other.goto(`http://127.0.0.1:${foreign.address().port}/`); // with the same cookies
    assert.equal(await listen(other, server.base), 'closed');
    assert.deepEqual(await other.evaluate(() => window.heard), []);
    assert.deepEqual(ends.map((e) => e.of), [other]);

    server.sql("UPDATE users SET active = FALSE WHERE user_name = 'wilma@example.com';");
    for (let tries = 0; ends.length < 2 && tries < 100; tries++) await new Promise((resolve) => { setTimeout(resolve, 50); });
    assert.equal(ends[1]?.code, 4401);
  } finally {
    await context.close();
    foreign.close();
  }
});

test('by an exception an administrator reads what the beliefs of another say, which the other sees', async () => {
  const call = async (user, method, path, body) => {
    const answer = await fetch(server.base + path, { method, headers: { 'x-user-id': user, 'content-type': 'application/json' }, body: body && JSON.stringify(body) });
    assert.ok(answer.ok, `${path}: ${answer.status} ${await answer.clone().text()}`);
    return answer.json();
  };
  await call('heidi@example.com', 'GET', '/api/v1/me');
  const { id } = await call('yuki@example.com', 'GET', '/api/v1/me');
  await call('yuki@example.com', 'POST', '/api/v1/beliefs', {
    workspace: 'default', scope: 'project:billing', type: 'decision', name: 'Database', content: 'We use PostgreSQL 17, because of its row-level security.', why: 'Each tenant has a wall of its own.',
  });
  const look = async (page, where) => {
    await page.setViewportSize({ width: 360, height: 800 });
    await accessible(page, where);
    await fits(page, where);
    await shot(page, where.replaceAll(' ', '-'));
    await page.setViewportSize({ width: 1280, height: 800 });
  };
  await visit(browser, server, { user: 'grace@example.com' }, async (page) => {
    await page.goto(`/admin/people/${id}`);
    await follow(page, 'Read them by an exception');
    await page.getByText('You have none in force for yuki@example.com').waitFor();
    const risk = { likelihood: 'low', impact: 'high' };
    const asked = await call('grace@example.com', 'POST', '/api/v1/admin/exceptions', {
      title: 'Case 4711', rule: 'beliefs_read', subject_kind: 'user', subject: 'yuki@example.com', owner: 'grace@example.com', reason: 'A court asks.', controls: 'Two read it together.',
      risk_before: risk, risk_after: risk, plan: 'The case ends.', expires_at: new Date(Date.now() + 20 * 86400e3).toISOString(),
    });
    await call('heidi@example.com', 'POST', `/api/v1/admin/exceptions/${asked.id}/approve`, { reason: 'The order is here.' });
    await page.reload();
    await page.getByText('because of its row-level security').waitFor();
    await look(page, 'beliefs of another');
  });
  await visit(browser, server, { user: 'yuki@example.com' }, async (page) => {
    await page.goto('/beliefs');
    await page.getByText('grace@example.com may read it').waitFor();
    await look(page, 'beliefs that another reads');
  });
});
