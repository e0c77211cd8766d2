// Administration: service accounts, requests, workspaces, providers, connectors
// and policies, as each role sees them and with and without JavaScript.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { accessible, fits, launch, serve, shot, visit } from './harness.mjs';

const root = 'root@example.com';
const second = 'second@example.com';
const scim = 'a-token-of-the-identity-provider';

let browser;
let server;
let provider;
const accepted = ['sk-the-first-0123456789', 'sk-the-second-0123456789', 'sk-the-third-0123456789'];

before(async () => {
  provider = createServer((request, response) => {
    response.writeHead(accepted.some((key) => request.headers.authorization === `Bearer ${key}`) ? 200 : 401).end('{"data":[]}');
  });
  await new Promise((resolve) => { provider.listen(0, '127.0.0.1', resolve); });
  server = await serve('teams', {
    TENURE_ADMINS: `${root},${second}`, TENURE_SCIM_TOKEN: scim, TENURE_SECRET_ADDRESSES: 'env://MODEL_*', MODEL_KEY: 'sk-that-is-kept-elsewhere',
  });
  browser = await launch();
  for (const user of [root, second, 'alice@example.com', 'bob@example.com']) await call(user, 'GET', '/api/v1/me');
  for (const name of ['Engineering', 'Engineering leads', 'Sales']) {
    await fetch(`${server.base}/scim/v2/Groups`, {
      method: 'POST', headers: { authorization: `Bearer ${scim}`, 'content-type': 'application/scim+json' },
      body: JSON.stringify({ schemas: ['urn:ietf:params:scim:schemas:core:2.0:Group'], displayName: name }),
    });
  }
});

after(async () => {
  await browser?.close();
  await server?.stop();
  provider?.close();
});

async function call(user, method, path, body) {
  const answer = await fetch(server.base + path, {
    method, headers: { 'x-user-id': user, 'content-type': 'application/json' }, body: body && JSON.stringify(body),
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.status === 204 ? null : answer.json();
}

async function models(secret) {
  const answer = await fetch(`${server.base}/v1/models`, { headers: { authorization: `Bearer ${secret}` } });
  return answer.status;
}

const row = (page, name) => page.getByRole('row').filter({ hasText: name });
const told = (page, text) => page.getByRole('status').filter({ hasText: text }).waitFor();
const press = (page, name) => page.getByRole('button', { name, exact: true }).click();
const follow = (page, name) => page.getByRole('main').getByRole('link', { name, exact: true }).click();
const go = (page, name) => page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name, exact: true }).click();

for (const scripted of [true, false]) {
  const about = scripted ? 'with a script' : 'without JavaScript';
  const options = { javaScriptEnabled: scripted };
  const named = (name) => `${name} ${scripted ? 'A' : 'B'}`;

  test(`a workspace is made, peopled, changed and deleted: ${about}`, async () => {
    await visit(browser, server, { user: root, refusals: scripted ? 1 : 0, ...options }, async (page) => {
      await page.goto('/settings');
      await go(page, 'Workspaces');
      await follow(page, 'New workspace');
      await page.getByLabel('Name', { exact: true }).fill(named('Research'));
      await page.getByLabel('Models').fill('gpt-4o*\nanthropic/*');
      await press(page, 'Create workspace');
      await told(page, 'Nobody is in it yet');

      await follow(page, 'Add somebody');
      await page.getByLabel('Find people by name').fill('ALICE');
      await press(page, 'Search');
      await page.getByText('1 found.').waitFor();
      await press(page, 'Add');
      await told(page, 'alice@example.com is a member');
      await row(page, 'alice@example.com').getByRole('link', { name: 'Role of alice@example.com' }).click();
      await page.getByLabel('workspace_admin').check();
      await press(page, 'Save');
      await told(page, 'alice@example.com is a workspace_admin');

      await follow(page, 'Add a group');
      await page.getByLabel('Find groups by name').fill('leads');
      await press(page, 'Search');
      await page.getByRole('radio', { name: 'Engineering leads' }).check();
      await page.getByLabel('viewer').check();
      await press(page, 'Add');
      await told(page, 'Whoever is in the group “Engineering leads” is a viewer here.');
      await row(page, 'Engineering leads').getByRole('link', { name: 'Remove Engineering leads' }).click();
      await press(page, 'Remove and end 0 tokens');
      await told(page, 'The group “Engineering leads” is removed');

      await call('alice@example.com', 'POST', '/api/v1/tokens', { name: 'Laptop', workspace: named('Research') });
      await row(page, 'alice@example.com').getByRole('link', { name: 'Remove alice@example.com' }).click();
      await page.getByText('Their 1 live token in this workspace ends for good').waitFor();
      await press(page, 'Remove and end 1 token');
      assert.match(await page.getByRole('status').textContent(), /alice@example.com is removed: 1 token ended in [\d.]+ ms\./);

      await follow(page, 'Change');
      await page.getByLabel('About').fill('Where new models are tried.');
      await press(page, 'Save');
      await told(page, 'is saved');
      if (scripted) {
        await follow(page, 'Change');
        await page.getByLabel('Name', { exact: true }).fill('default');
        await press(page, 'Save');
        await page.getByText('exists already').waitFor();
        assert.equal(await page.getByLabel('Name', { exact: true }).getAttribute('aria-invalid'), 'true');
        assert.equal(await page.getByLabel('Name', { exact: true }).inputValue(), 'default');
        await follow(page, 'Cancel');
      }
      await follow(page, 'Delete');
      await press(page, 'Delete workspace and end 0 tokens');
      await told(page, `“${named('Research')}” is deleted`);
      assert.equal(await row(page, named('Research')).count(), 0);
    });
  });

  test(`a service account is made, gets a token that is rotated and revoked, and ends: ${about}`, async () => {
    await visit(browser, server, { user: root, ...options }, async (page) => {
      await page.goto('/admin/service-accounts');
      await follow(page, 'New service account');
      await page.getByLabel('Name', { exact: true }).fill(named('nightly'));
      await page.getByLabel('What it is for').fill('Writes the nightly report.\nRuns in ops-1.');
      await page.getByLabel('Owner').fill('alice@example.com');
      await press(page, 'Create service account');
      await told(page, 'Generate its first token below');

      await follow(page, 'Generate token');
      await page.getByLabel('Name', { exact: true }).fill('ops-1');
      await page.getByRole('checkbox', { name: /^chat/ }).check();
      await page.getByRole('checkbox', { name: /^models/ }).check();
      await press(page, 'Generate token');
      const secret = await page.locator('#secret').textContent();
      assert.match(secret, /^tsvc_[0-9A-Za-z]{46}$/);
      assert.notEqual(await models(secret), 401);
      await follow(page, 'Done');
      await page.locator('#secret').waitFor({ state: 'detached' });
      assert.ok(!(await page.content()).includes(secret));

      await row(page, 'ops-1').getByRole('link', { name: 'Rotate ops-1' }).click();
      await page.getByLabel('No overlap').check();
      await press(page, 'Rotate');
      const next = await page.locator('#secret').textContent();
      assert.notEqual(next, secret);
      assert.equal(await models(secret), 401);
      assert.notEqual(await models(next), 401);
      await follow(page, 'Done');
      await page.locator('#secret').waitFor({ state: 'detached' });

      await page.getByRole('link', { name: 'Revoke ops-1' }).click();
      await press(page, 'Revoke');
      assert.match(await page.getByRole('status').textContent(), /“ops-1” is revoked: 1 token ended in [\d.]+ ms\./);
      assert.equal(await models(next), 401);

      await follow(page, 'Change');
      await page.getByLabel('Owner').fill('bob@example.com');
      await press(page, 'Save');
      await told(page, 'bob@example.com answers for');
      await follow(page, 'End account');
      await press(page, 'End account');
      await told(page, 'The account is ended: 1 service account ended in');
      await page.getByText('come to its end').waitFor();
    });
  });

  test(`a token with a scope of administration needs two people: ${about}`, async () => {
    const account = await call(root, 'POST', '/api/v1/admin/service-accounts', {
      workspace: 'default', name: named('auditor'), description: 'Copies the audit log.', owner: root,
    });
    await visit(browser, server, { user: root, ...options }, async (page) => {
      for (const name of [named('log copy'), named('not needed')]) {
        await page.goto(`/admin/service-accounts/${account.id}/tokens/new`);
        await page.getByLabel('Name', { exact: true }).fill(name);
        await page.getByRole('checkbox', { name: /^audit.read/ }).check();
        await page.getByLabel('Why').fill('The archive needs it.');
        await press(page, 'Generate token');
        await told(page, 'waits for a second person');
      }
      assert.equal(await row(page, named('log copy')).getByRole('link', { name: /Approve/ }).count(), 0);
      await row(page, named('not needed')).getByRole('link', { name: /Withdraw/ }).click();
      await press(page, 'Withdraw the request');
      await told(page, 'is withdrawn');
    });
    await visit(browser, server, { user: second, ...options }, async (page) => {
      await page.goto('/settings');
      await go(page, 'Requests');
      await row(page, named('log copy')).getByRole('link', { name: /Approve/ }).click();
      await page.getByRole('heading', { name: `Approve “${named('log copy')}”?` }).waitFor();
      await page.locator('.facts').getByText('The archive needs it.').waitFor();
      await press(page, 'Approve');
      await told(page, `${root} collects the token`);
    });
    await visit(browser, server, { user: root, ...options }, async (page) => {
      await page.goto('/admin/requests');
      await row(page, named('log copy')).getByRole('link', { name: /Collect/ }).click();
      await press(page, 'Collect the token');
      assert.match(await page.locator('#secret').textContent(), /^tsvc_/);
      await follow(page, 'Done');
      await row(page, named('log copy')).getByText('collected').waitFor();
    });
  });

  test(`a provider's key is typed once and never shown: ${about}`, async () => {
    const key = 'sk-a-key-that-is-typed-once';
    await visit(browser, server, { user: root, refusals: 1, ...options }, async (page) => {
      await page.goto('/settings');
      await go(page, 'Providers');
      await follow(page, 'Add provider');
      await page.getByLabel('Name', { exact: true }).fill(scripted ? 'openai' : 'other');
      await page.getByLabel('Base URL').fill('ftp://x');
      await page.getByLabel('Key', { exact: true }).fill(key);
      await press(page, 'Add provider');
      await page.getByText('The base URL must be http or https').waitFor();
      assert.equal(await page.getByLabel('Base URL').getAttribute('aria-invalid'), 'true');
      assert.equal(await page.getByLabel('Key', { exact: true }).inputValue(), '');
      await page.getByLabel('Base URL').fill('');
      await page.getByLabel('Key', { exact: true }).fill(key);
      await press(page, 'Add provider');
      await told(page, 'is there');
      assert.ok(!(await page.content()).includes(key));
      await page.getByText('…once').waitFor();
      await page.getByRole('link', { name: /^Delete/ }).click();
      await press(page, 'Delete provider and its key');
      await told(page, 'its key forgotten');
    });
  });

  test(`a provider is given the address of its key: ${about}`, async () => {
    await visit(browser, server, { user: root, refusals: 2, ...options }, async (page) => {
      await page.goto('/admin/providers/new');
      await page.getByLabel('Name', { exact: true }).fill(scripted ? 'kept' : 'kept-too');
      await press(page, 'Add provider');
      await page.getByText('The key must be').waitFor();
      await page.getByLabel('Or where the key is kept').fill('vault://secret/tenure/openai#api_key');
      await press(page, 'Add provider');
      await page.getByText('This tenant may not name').waitFor();
      await page.getByLabel('Or where the key is kept').fill('env://MODEL_KEY');
      await press(page, 'Add provider');
      await told(page, 'is there');
      await page.getByText('env://MODEL_KEY').waitFor();
      await page.getByText('…here').waitFor();
      assert.ok(!(await page.content()).includes('sk-that-is'));
      if (scripted) await shot(page, 'provider-by-address');
      await page.getByRole('link', { name: /^Delete/ }).click();
      await page.getByText('The key itself stays where it is.').waitFor();
      await press(page, 'Delete provider and its key');
    });
  });

  test(`a provider's key is rotated, tested and retired: ${about}`, async () => {
    const name = scripted ? 'rotated' : 'rotated-too';
    await visit(browser, server, { user: root, refusals: 1, ...options }, async (page) => {
      await page.goto('/admin/providers/new');
      await page.getByLabel('Name', { exact: true }).fill(name);
      await page.getByLabel('Base URL').fill(`http://127.0.0.1:${provider.address().port}/v1`);
      await page.getByLabel('Key', { exact: true }).fill(accepted[0]);
      await press(page, 'Add provider');
      await follow(page, name);
      await page.getByRole('heading', { name, level: 1 }).waitFor();
      await follow(page, 'Rotate key');
      await page.getByLabel('Key', { exact: true }).fill('sk-that-nobody-accepts');
      await press(page, 'Check and rotate');
      await page.locator('#key-wrong').waitFor();
      await page.getByLabel('Key', { exact: true }).fill(accepted[1]);
      await press(page, 'Check and rotate');
      await told(page, 'version 2 of “default” is in use');
      await row(page, 'v1').getByText('last resort').waitFor();
      await row(page, 'v2').getByRole('button', { name: /^Test/ }).click();
      await told(page, 'accepts the key “default”');
      if (scripted) {
        await accessible(page, 'a provider');
        await fits(page, 'a provider');
        await shot(page, 'provider');
      }
      await row(page, 'v1').getByRole('link', { name: /^Retire/ }).click();
      await press(page, 'Retire it');
      await told(page, 'Version 1 of “default” is retired');
      const one = page.url().match(/.*\/providers\/[^/]+/)[0];
      const keys = `${new URL(one).pathname.replace('/admin', '/api/v1/admin')}/keys`;
      await call(root, 'POST', keys, { key: 'sk-that-nobody-accepts' });
      await page.goto(one);
      await row(page, 'v3').getByRole('button', { name: /^Use/ }).click();
      await told(page, 'Version 3 of “default” is not used');
      await row(page, 'v3').getByRole('link', { name: /^Discard/ }).click();
      await press(page, 'Discard it');
      await told(page, 'Version 3 of “default” is retired');
      await call(root, 'POST', keys, { key: accepted[2] });
      await page.goto(one);
      await row(page, 'v4').getByRole('button', { name: /^Use/ }).click();
      await told(page, 'version 4 of “default” is in use');
      for (const key of accepted) assert.ok(!(await page.content()).includes(key));
      await follow(page, 'Delete');
      await press(page, 'Delete provider and its key');
    });
  });

  test(`a price is previewed, set, changed and removed: ${about}`, async () => {
    const pattern = scripted ? 'model-of-ours*' : 'another-of-ours*';
    await visit(browser, server, { user: root, refusals: 1, ...options }, async (page) => {
      await page.goto('/settings');
      await go(page, 'Prices');
      await follow(page, 'Set a price');
      await page.getByRole('textbox', { name: 'Models' }).fill(pattern);
      await page.getByLabel('Input', { exact: true }).fill('2.50');
      await page.getByLabel('Output', { exact: true }).fill('10');
      await press(page, 'Preview');
      await page.getByText('nothing that was used in the last 30 days').waitFor();
      assert.equal(await page.getByLabel('Input', { exact: true }).inputValue(), '2.50');
      if (scripted) {
        await accessible(page, 'the preview of a price');
        await fits(page, 'the preview of a price');
      }
      await press(page, 'Set price');
      await told(page, `The price of “${pattern}” counts from`);
      await row(page, pattern).getByText('in force').waitFor();
      await row(page, pattern).getByRole('link', { name: /^Change/ }).click();
      await page.getByLabel('Output', { exact: true }).fill('ten');
      await press(page, 'Change price');
      await page.locator('#output-wrong').waitFor();
      await page.getByLabel('Output', { exact: true }).fill('12');
      await press(page, 'Change price');
      await row(page, pattern).getByText('12.00').waitFor();
      await row(page, pattern).getByRole('link', { name: /^Remove/ }).click();
      await press(page, 'Remove price');
      await told(page, `The price of “${pattern}” is removed`);
    });
  });

  test(`a connector is made, rotated and deleted: ${about}`, async () => {
    await visit(browser, server, { user: root, ...options }, async (page) => {
      await page.goto('/settings');
      await go(page, 'SCIM connectors');
      await follow(page, 'New connector');
      await page.getByLabel('Name', { exact: true }).fill(named('Okta'));
      await press(page, 'Create connector');
      const secret = await page.locator('#secret').textContent();
      assert.match(secret, /^tscim_[0-9A-Za-z]{46}$/);
      assert.equal(await page.locator('#base').textContent(), `${server.base}/scim/v2`);
      await follow(page, 'Done');
      await page.locator('#secret').waitFor({ state: 'detached' });
      await follow(page, 'Rotate');
      await press(page, 'Rotate');
      assert.notEqual(await page.locator('#secret').textContent(), secret);
      await follow(page, 'Done');
      await follow(page, 'Delete');
      await press(page, 'Delete and end 2 tokens');
      assert.match(await page.getByRole('status').textContent(), /is deleted: 2 tokens ended in [\d.]+ ms\./);
    });
  });

  test(`policies are changed, with what was wrong beside its field: ${about}`, async () => {
    await visit(browser, server, { user: root, refusals: 1, ...options }, async (page) => {
      await page.goto('/settings');
      await go(page, 'Policies');
      await follow(page, 'Change');
      await page.getByLabel('pat_max_lifetime').fill('a while');
      await page.getByLabel('service_token_max_lifetime').fill('200d');
      await press(page, 'Save');
      await page.getByText('is no length of time').waitFor();
      assert.equal(await page.getByLabel('pat_max_lifetime').getAttribute('aria-invalid'), 'true');
      assert.equal(await page.getByLabel('service_token_max_lifetime').inputValue(), '200d');
      await page.getByLabel('pat_max_lifetime').fill('180d');
      await press(page, 'Save');
      await told(page, '2 values are in force');
      await row(page, 'pat_max_lifetime').getByText(root).waitFor();
      await follow(page, 'Change');
      await page.getByLabel('pat_max_lifetime').fill('365d');
      await page.getByLabel('service_token_max_lifetime').fill('365d');
      await press(page, 'Save');
      await told(page, '2 values are in force');
      assert.equal(await row(page, 'pat_max_lifetime').getByText(root).count(), 0);
    });
  });
}

test('each role sees its own', async () => {
  const ws = await call(root, 'POST', '/api/v1/admin/workspaces', { name: 'Support' });
  const bob = (await call('bob@example.com', 'GET', '/api/v1/me')).user?.id ?? 'bob@example.com';
  await call(root, 'PUT', `/api/v1/admin/workspaces/${ws.id}/members/${bob}`, { role: 'workspace_admin' });
  const links = (page) => page.getByRole('navigation', { name: 'Pages' }).getByRole('link').allTextContents();
  await visit(browser, server, { user: 'alice@example.com', refusals: 3 }, async (page) => {
    await page.goto('/settings');
    for (const name of ['Workspaces', 'Service accounts', 'Requests', 'Providers', 'SCIM connectors', 'Policies']) {
      assert.ok(!(await links(page)).includes(name), name);
    }
    for (const path of ['/admin/providers', '/admin/policies', `/admin/workspaces/${ws.id}`]) {
      const answer = await page.goto(path);
      assert.ok([403, 404].includes(answer.status()), `${path} ${answer.status()}`);
    }
  });
  await visit(browser, server, { user: 'bob@example.com' }, async (page) => {
    await page.goto('/settings');
    assert.ok((await links(page)).includes('Workspaces'));
    assert.ok(!(await links(page)).includes('Providers'));
    await go(page, 'Workspaces');
    assert.equal(await page.getByRole('link', { name: 'New workspace' }).count(), 0);
    await follow(page, 'Support');
    assert.equal(await page.getByRole('link', { name: 'Delete', exact: true }).count(), 0);
    await follow(page, 'Add somebody');
    await page.getByLabel('Person').fill('alice@example.com');
    await press(page, 'Add');
    await told(page, 'alice@example.com is a member');
    await go(page, 'Service accounts');
    await follow(page, 'New service account');
    const options = page.getByRole('main').getByLabel('Workspace', { exact: true }).locator('option');
    await options.first().waitFor({ state: 'attached' });
    assert.deepEqual(await options.allTextContents(), ['Support']);
  });
});

for (const [colorScheme, width] of [['light', 1280], ['dark', 360]]) {
  test(`a service token is revealed, accessible and fitting: ${colorScheme}, ${width} pixels`, async () => {
    const account = await call(root, 'POST', '/api/v1/admin/service-accounts', {
      workspace: 'default', name: `nightly evaluation ${colorScheme}`, description: 'Asks the new models every night.', owner: root,
    });
    await visit(browser, server, { user: second, colorScheme, viewport: { width, height: 800 } }, async (page) => {
      await page.goto(`/admin/service-accounts/${account.id}/tokens/new`);
      await page.getByLabel('Name', { exact: true }).fill('desk');
      await page.getByRole('checkbox', { name: /^chat/ }).check();
      await press(page, 'Generate token');
      await page.locator('#secret').waitFor();
      await shot(page, `service-reveal-${colorScheme}-${width}`);
    });
  });
}
