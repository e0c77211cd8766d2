// Administration: people, their tokens, and the audit log.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { accessible, fits, launch, serve, shot, visit } from './harness.mjs';

const admin = 'grace@example.com';
const bob = 'bob@example.com';
let browser;
let server;

// call asks the API as somebody.
async function call(user, method, path, body) {
  const answer = await fetch(server.base + path, {
    method,
    headers: { 'x-user-id': user, 'content-type': 'application/json' },
    body: body && JSON.stringify(body),
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.json();
}

const mint = async (user, name) => (await call(user, 'POST', '/api/v1/tokens', { name })).token;
const idOf = async (user) => (await call(admin, 'GET', `/api/v1/admin/users?user_name=${user}`)).items[0].id;

async function models(token) {
  const answer = await fetch(`${server.base}/v1/models`, { headers: { authorization: `Bearer ${token}` } });
  return answer.status;
}

before(async () => {
  server = await serve('teams', { TENURE_ADMINS: admin });
  browser = await launch();
  for (const user of [admin, 'alice@example.com', bob, 'carol.with.a.long.name@subsidiary.example.com', 'dave@example.com']) {
    await call(user, 'GET', '/api/v1/me');
  }
  for (const name of ['VS Code MacBook', 'Open WebUI', 'nightly evaluation']) await mint(bob, name);
  await mint('alice@example.com', 'Claude Code');
  await call(admin, 'POST', `/api/v1/admin/users/${await idOf('dave@example.com')}/deactivate`);
  await call(admin, 'POST', '/api/v1/admin/workspaces', { name: 'research' });
  await call(admin, 'POST', '/api/v1/admin/service-accounts', { workspace: 'default', name: 'ci-bot', description: 'runs the evaluations', owner: bob });
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const row = (page, name) => page.getByRole('row').filter({ hasText: name });
const notice = (page, text) => page.getByRole('status').filter({ hasText: text }).waitFor();

async function open(page, name) {
  await page.goto(`/admin/people?q=${name}`);
  await page.getByRole('link', { name }).click();
  await page.getByRole('heading', { level: 1, name }).waitFor();
}

for (const [look, options] of [['light', { colorScheme: 'light' }], ['narrow', { colorScheme: 'dark', viewport: { width: 320, height: 700 } }]]) {
  test(`what is found, opened and asked is seen: ${look}`, async () => {
    await visit(browser, server, { user: admin, ...options }, async (page) => {
      for (const [name, path] of [
        ['people-none', '/admin/people?q=nobody'], ['bulk', '/admin/tokens/revoke?person=bob@example.com'], ['audit-none', '/admin/audit?what=tenant'],
      ]) {
        await page.goto(path);
        await shot(page, `${name}-${look}`);
        await fits(page, name);
        await accessible(page, name);
      }
      await page.goto('/admin/audit?what=token');
      await page.locator('.event summary').first().click();
      await shot(page, `audit-event-${look}`);
    });
  });
}

for (const [about, options] of [['with a script', {}], ['without JavaScript', { javaScriptEnabled: false }]]) {
  test(`a person is found, and everything of theirs is ended: ${about}`, async () => {
    const user = `erin.${about.length}@example.com`;
    const one = await mint(user, 'Laptop');
    const two = await mint(user, 'Desktop');
    await visit(browser, server, { user: admin, ...options }, async (page) => {
      await page.goto('/admin/people');
      await page.getByLabel('Search').fill(user.slice(1, 9).toUpperCase());
      await page.getByRole('button', { name: 'Find' }).click();
      await page.waitForURL(/q=/);
      assert.equal(await page.locator('tbody tr').count(), 1);
      await page.getByRole('link', { name: user }).click();
      await page.getByRole('heading', { level: 1, name: user }).waitFor();

      await row(page, 'Desktop').getByRole('link', { name: 'Revoke' }).click();
      await page.getByRole('heading', { name: 'Revoke “Desktop”?' }).waitFor();
      await page.getByRole('button', { name: 'Revoke' }).click();
      await notice(page, '“Desktop” is revoked: 1 token ended in');
      assert.equal(await models(two), 401);
      await page.getByRole('heading', { level: 1, name: user }).waitFor(); // back on the person's page

      await page.getByRole('link', { name: 'Add to a workspace' }).click();
      await page.getByRole('combobox', { name: 'Workspace' }).selectOption('research');
      await page.getByRole('radio', { name: 'viewer' }).check();
      await page.getByRole('button', { name: 'Add, or change the role' }).click();
      await notice(page, 'is viewer in the workspace research');
      await row(page, 'research').getByRole('link', { name: 'Remove' }).click();
      await page.getByRole('button', { name: 'Remove' }).click();
      await notice(page, 'Removed from research');

      await visit(browser, server, { user }, async (theirs) => {
        await theirs.goto('/settings');
      });
      await page.getByLabel('Role in the tenant').selectOption('auditor');
      await page.getByRole('button', { name: 'Change role' }).focus();
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: `Make ${user} auditor?` }).waitFor();
      if (options.javaScriptEnabled !== false) await accessible(page, 'role'); // axe is a script
      await page.getByRole('button', { name: 'Change role and end 1 session' }).click();
      await notice(page, 'is auditor in the tenant, from the next request on: 1 session ended in');

      await visit(browser, server, { user }, async (theirs) => {
        await theirs.goto('/settings');
      });
      await open(page, user);
      await page.getByRole('link', { name: 'End all sessions' }).click();
      await page.getByText('Their tokens stay as they are.').waitFor();
      await page.getByRole('button', { name: 'End 1 session' }).click();
      await notice(page, '1 session ended in');

      await page.getByRole('link', { name: 'Deactivate and end 1 token', exact: true }).click();
      await page.getByText('1 token end').waitFor();
      await page.getByRole('button', { name: 'Deactivate and end 1 token' }).click();
      await notice(page, 'is deactivated: 1 token ended in');
      assert.equal(await models(one), 401);

      await page.getByRole('link', { name: 'Reactivate' }).click();
      await page.getByRole('button', { name: 'Reactivate' }).click();
      await notice(page, 'is active again. Nothing that had ended has come back.');
      assert.equal(await models(one), 401);
    });
  });

  test(`many tokens are revoked after a look at them: ${about}`, async () => {
    const user = `frank.${about.length}@example.com`;
    const tokens = [await mint(user, 'old 1'), await mint(user, 'old 2')];
    const kept = await mint(user, 'new');
    await visit(browser, server, { user: admin, refusals: 0, ...options }, async (page) => {
      await page.goto('/admin/tokens');
      await page.getByLabel('Name').fill('old*');
      await page.getByLabel('Person').fill(user);
      await page.getByRole('button', { name: 'Find' }).click();
      await page.getByRole('link', { name: 'Revoke all of these…' }).click();
      await page.getByRole('heading', { name: 'Revoke 2 tokens?' }).waitFor();
      assert.equal(await page.locator('tbody tr').count(), 2);
      await page.getByLabel('Why').fill('left on a shared machine');
      await page.getByRole('button', { name: 'Revoke 2 tokens' }).click();
      await notice(page, 'Revoked: 2 tokens ended in');
      for (const token of tokens) assert.equal(await models(token), 401);
      assert.notEqual(await models(kept), 401);
    });
  });

  test(`one request is followed in the audit log: ${about}`, async () => {
    await visit(browser, server, { user: admin, ...options }, async (page) => {
      await page.goto('/admin/audit');
      await page.getByLabel('Who').fill(bob);
      await page.getByLabel('What').fill('token');
      await page.getByRole('button', { name: 'Find' }).click();
      await page.waitForURL(/what=token/);
      assert.equal(await page.locator('tbody tr').count(), 3);
      await page.locator('.event summary').first().click();
      assert.match(await page.locator('.event[open]').textContent(), /asserted identity/);
      await page.getByRole('link', { name: /follow/ }).first().click();
      await page.getByText('Following request').waitFor();
      assert.equal(await page.locator('tbody tr').count(), 1);
    });
  });
}

test('what was wrong stands beside its field', async () => {
  const id = await idOf(bob);
  await visit(browser, server, { user: admin, refusals: 2 }, async (page) => {
    await page.goto(`/admin/people/${id}`);
    await row(page, 'ci-bot').getByRole('link', { name: 'Assign' }).click();
    await page.getByRole('textbox', { name: 'New owner' }).fill('dave@example.com');
    await page.getByRole('button', { name: 'Assign' }).click();
    assert.match(await page.locator('#owner-wrong').textContent(), /active person/);
    await accessible(page, 'refused owner');
    await shot(page, 'owner-refused');
    await page.getByRole('textbox', { name: 'New owner' }).fill('alice@example.com');
    await page.getByRole('button', { name: 'Assign' }).click();
    await notice(page, 'alice@example.com answers for the service account “ci-bot” now.');
    await page.goto('/admin/audit?workspace=nowhere');
    assert.match(await page.locator('#workspace-wrong').textContent(), /no workspace/);
    await page.waitForFunction(() => document.activeElement.id === 'workspace');
  });
});
