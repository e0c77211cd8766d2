// An access review from end to end: opened by one, a token revoked by another, which is
// then dead, its stream cut; closed, and its report.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { accessible, fits, launch, serve, shot, visit } from './harness.mjs';

const admin = 'ada@example.com';
let browser;
let server;
let provider;

before(async () => {
  provider = createServer((request, response) => { // goes on answering until its client leaves
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const tick = setInterval(() => response.write('data: {"choices":[{"delta":{"content":"on and on "}}]}\n\n'), 100);
    response.on('close', () => clearInterval(tick));
  });
  await new Promise((resolve) => { provider.listen(0, '127.0.0.1', resolve); });
  server = await serve('teams', {
    TENURE_ADMINS: admin, OPENAI_API_KEY: 'sk-of-the-simulated-provider', OPENAI_BASE_URL: `http://127.0.0.1:${provider.address().port}/v1`,
  });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
  provider?.closeAllConnections();
  provider?.close();
});

async function call(user, method, path, body) {
  const answer = await fetch(server.base + path, {
    method, headers: { 'x-user-id': user, 'content-type': 'application/json' }, body: body && JSON.stringify(body),
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.json();
}

const chat = (token, stream) => fetch(`${server.base}/v1/chat/completions`, {
  method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
  body: JSON.stringify({ model: 'gpt-4o', stream, messages: [{ role: 'user', content: 'Hello' }] }),
});

test('a review revokes a token, which is then dead, and its stream cut', async () => {
  for (const user of [admin, 'wanda@example.com']) await call(user, 'GET', '/api/v1/me');
  const { token } = await call('bob@example.com', 'POST', '/api/v1/tokens', { name: 'Old laptop' });
  await call(admin, 'PUT', '/api/v1/admin/workspaces/default/members/wanda@example.com', { role: 'workspace_admin' });
  const streaming = (await chat(token, true)).text();

  await visit(browser, server, { user: admin }, async (page) => {
    await page.goto('/admin/reviews');
    await page.getByRole('link', { name: 'New review' }).click();
    await page.getByLabel('Title').fill('Fourth quarter');
    await page.getByRole('button', { name: 'Open review' }).click();
    await page.getByText(/The review is open: \d+ items/).waitFor();
    await shot(page, 'review-open');
    await page.goto('/admin');
    await page.locator('.warnings').getByText(/^Fourth quarter due in 13 d: \d+ of \d+ open$/).waitFor();
  });

  // Wanda heads the workspace: the review is among what is hers, with nothing else of it.
  await visit(browser, server, { user: 'wanda@example.com' }, async (page) => {
    await page.goto('/settings');
    await page.getByRole('link', { name: 'Reviews', exact: true }).click();
    await page.getByRole('link', { name: 'Fourth quarter' }).click();
    const row = page.getByRole('row', { name: /bob@example.com, Old laptop/ });
    await accessible(page, 'a review');
    await fits(page, 'a review');
    await shot(page, 'review-mine');
    await row.getByRole('link', { name: /Decide/ }).click();
    await page.getByLabel('Revoke').check();
    await page.getByLabel('Reason').fill('The laptop is gone');
    await shot(page, 'review-decide');
    await page.keyboard.press('Tab');
    await page.getByRole('button', { name: 'Decide' }).click();
    await page.getByText(/is revoked: it was tried, and dead after/).waitFor();
  });
  assert.match(await streaming, /access_revoked/);
  assert.equal((await chat(token, false)).status, 401);
  assert.equal((await fetch(`${server.base}/v1/models`, { headers: { authorization: `Bearer ${token}` } })).status, 401);

  await visit(browser, server, { user: admin }, async (page) => {
    await page.goto('/admin/reviews');
    await page.getByRole('link', { name: 'Fourth quarter' }).click();
    // One is given to Wanda, whose it is not; another is kept.
    await page.getByLabel('Find').fill('bob@example.com');
    await page.getByLabel('Kind').selectOption('person');
    await page.getByRole('button', { name: 'Find' }).click();
    await page.waitForURL(/kind=person/);
    await page.getByRole('link', { name: 'Decide about bob@example.com' }).click();
    await page.getByRole('link', { name: 'Reassign' }).click();
    await page.getByLabel('Reviewer').fill('wanda@example.com');
    await page.getByLabel('Reason').fill('Knows him');
    await accessible(page, 'to give an item to another reviewer');
    await fits(page, 'to give an item to another reviewer');
    await shot(page, 'review-reassign');
    await page.getByRole('button', { name: 'Reassign' }).click();
    await page.getByText('“bob@example.com” is for wanda@example.com to decide.').waitFor();
    await page.getByLabel('Kind').selectOption('person');
    await page.getByRole('button', { name: 'Find' }).click();
    await page.waitForURL(/kind=person/);
    await page.getByRole('link', { name: 'Decide about wanda@example.com' }).click();
    await page.getByLabel('Keep').check();
    await page.getByLabel('Reason').fill('Heads the workspace');
    await page.getByRole('button', { name: 'Decide' }).click();
    await page.getByText('“wanda@example.com” is kept.').waitFor();
    await page.goto('/admin/reviews');
    await page.getByRole('link', { name: 'Fourth quarter' }).click();
    await page.getByRole('link', { name: 'To be revoked', exact: true }).click();
    await page.getByRole('row', { name: /Old laptop/ }).locator('.stands', { hasText: 'revoked' }).waitFor();
    await page.getByRole('link', { name: 'Close review' }).click();
    await page.getByLabel('Reason').fill('Enough for a test');
    await page.getByRole('button', { name: 'Close review' }).click();
    await page.getByRole('link', { name: 'Report' }).click();
    await page.getByText('items covered').waitFor();
    await accessible(page, 'the report of a review');
    await shot(page, 'review-report');
  });
});
