// One's own access tokens and sessions, in teams mode.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { accessible, fits, launch, serve, shot, visit } from './harness.mjs';

let browser;
let server;

before(async () => {
  server = await serve('teams');
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const token = /^tpat_[0-9A-Za-z]{46}$/;

// generate fills in the form and gives the token that the page reveals.
async function generate(page, name) {
  await page.goto('/settings');
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('button', { name: 'Generate token' }).click();
  const secret = await page.locator('#secret').textContent();
  assert.match(secret, token);
  return secret;
}

const row = (page, name) => page.getByRole('row').filter({ hasText: name });

async function revoke(page, name) {
  await row(page, name).getByRole('link', { name: 'Revoke' }).click();
  await page.getByRole('heading', { name: `Revoke “${name}”?` }).waitFor();
  await page.getByRole('button', { name: 'Revoke' }).click();
}

async function models(secret) {
  const answer = await fetch(`${server.base}/v1/models`, { headers: { authorization: `Bearer ${secret}` } });
  return answer.status;
}

test('a token is generated, shown once, copied, listed and revoked', async () => {
  await visit(browser, server, { user: 'alice@example.com', permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
    const secret = await generate(page, 'VS Code');
    assert.notEqual(await models(secret), 401);
    assert.ok(!page.url().includes(secret));

    await page.locator('.secret').getByRole('button', { name: 'Copy' }).click();
    await page.locator('.secret').getByRole('button', { name: 'Copied' }).waitFor();
    assert.equal(await page.evaluate(() => navigator.clipboard.readText()), secret);
    await page.getByText('Claude Code', { exact: true }).click();
    const panel = page.locator('.panel:visible');
    await panel.getByRole('button', { name: 'Copy' }).click();
    const snippet = await page.evaluate(() => navigator.clipboard.readText());
    assert.ok(snippet.includes(`ANTHROPIC_BASE_URL=${server.base}\n`) && snippet.includes(`ANTHROPIC_AUTH_TOKEN=${secret}`), snippet);
    await shot(page, 'reveal');

    await page.getByRole('link', { name: 'Done' }).click();
    await page.locator('#secret').waitFor({ state: 'detached' });
    assert.ok(!(await page.content()).includes(secret));
    const cells = await row(page, 'VS Code').getByRole('cell').allTextContents();
    assert.equal(cells[0], `${secret.slice(0, 9)}…`);
    assert.match(await row(page, 'VS Code').locator('time').last().getAttribute('title'), /UTC$/);

    await revoke(page, 'VS Code');
    assert.match(await page.getByRole('status').textContent(), /“VS Code” is revoked: 1 token ended in [\d.]+ ms\./);
    assert.equal(await models(secret), 401);
    await page.getByText('Ended tokens (1)').click();
    await row(page, 'revoked by you').waitFor();
    await shot(page, 'revoked');
  });
});

test('a token is not generated twice by loading its page again, nor shown by going back', async () => {
  await visit(browser, server, { user: 'bob@example.com' }, async (page) => {
    const secret = await generate(page, 'Laptop');
    await page.reload();
    assert.equal(await page.getByRole('link', { name: 'Revoke' }).count(), 1);
    assert.ok(!(await page.content()).includes(secret));

    const second = await generate(page, 'Desktop');
    await page.getByRole('link', { name: 'Done' }).click();
    await page.locator('#secret').waitFor({ state: 'detached' });
    await page.goBack();
    assert.ok(!(await page.content()).includes(second));
    assert.equal(await page.getByRole('link', { name: 'Revoke' }).count(), 2);
  });
});

test('with a script, an act puts a page in its place and loads none anew; no secret is kept in the browser', async () => {
  await visit(browser, server, { user: 'grace@example.com' }, async (page) => {
    await page.goto('/settings');
    await page.evaluate(() => { window.same = true; });
    await page.getByLabel('Name', { exact: true }).fill('VS Code');
    await page.getByRole('button', { name: 'Generate token' }).click();
    await page.locator('#secret').waitFor();
    await page.getByRole('link', { name: 'Done' }).click();
    await page.locator('#secret').waitFor({ state: 'detached' });
    await revoke(page, 'VS Code');
    await page.getByRole('status').filter({ hasText: '1 token ended' }).waitFor();
    assert.ok(await page.evaluate(() => window.same), 'the page was loaded anew');
    await page.waitForFunction(() => document.activeElement.closest('#main') !== null); // the focus is on what is new
    const kept = await page.evaluate(() => JSON.stringify({ ...sessionStorage }) + JSON.stringify({ ...localStorage }));
    assert.ok(!kept.includes('tpat_'), kept);
  });
});

test('everything works without JavaScript', async () => {
  await visit(browser, server, { user: 'carol@example.com', javaScriptEnabled: false }, async (page) => {
    const secret = await generate(page, 'VS Code');
    assert.equal(await page.getByRole('button', { name: 'Copy' }).count(), 0);
    await page.getByText('Python', { exact: true }).click();
    assert.ok((await page.locator('.panel:visible').textContent()).includes(secret));
    await page.getByRole('link', { name: 'Done' }).click();
    assert.ok(!(await page.content()).includes(secret));
    await revoke(page, 'VS Code');
    assert.match(await page.getByRole('status').textContent(), /1 token ended/);
    assert.equal(await models(secret), 401);
    await page.getByText('Ended tokens (1)').click();
    await row(page, 'revoked by you').waitFor();
    await shot(page, 'without-javascript');
  });
});

test('what was wrong stands beside its field', async () => {
  await visit(browser, server, { user: 'dave@example.com', refusals: 1 }, async (page) => {
    await page.goto('/settings');
    await page.getByLabel('Expires').selectOption('7d');
    await page.locator('form.generate').evaluate((form) => { form.noValidate = true; });
    await page.getByRole('button', { name: 'Generate token' }).click();
    await page.locator('#name-wrong').waitFor();
    const name = page.getByLabel('Name', { exact: true });
    assert.equal(await name.getAttribute('aria-invalid'), 'true');
    assert.ok(await name.evaluate((field) => field === document.activeElement));
    assert.match(await page.locator('#name-wrong').textContent(), /name of 1 to 100 bytes/);
    assert.equal(await page.getByLabel('Expires').inputValue(), '7d');
    await accessible(page, 'refused form');
    await shot(page, 'refused');
  });
});

test('a field that takes bytes counts bytes', async () => {
  await visit(browser, server, { user: 'dave@example.com' }, async (page) => {
    await page.goto('/settings');
    const name = page.getByLabel('Name', { exact: true });
    const wrong = () => name.evaluate((field) => field.validationMessage);
    await name.fill('ü'.repeat(50));
    assert.equal(await wrong(), '');
    await name.fill('ü'.repeat(51));
    assert.match(await wrong(), /takes 100 bytes, and has 102/);
    await page.getByRole('button', { name: 'Generate token' }).click();
    assert.equal(await page.locator('#secret').count(), 0);
    await name.fill('Laptop');
    assert.equal(await wrong(), '');
    await page.getByRole('button', { name: 'Generate token' }).click();
    await page.locator('#secret').waitFor();
  });
});

test('sessions are listed and ended', async () => {
  const user = 'erin@example.com';
  await visit(browser, server, { user }, async (page) => {
    await page.goto('/settings/sessions');
    assert.equal(await page.getByText('this browser').count(), 1);
    await visit(browser, server, { user }, async (other) => {
      await other.goto('/settings');
    });
    await page.reload();
    const others = page.getByRole('row').filter({ hasText: 'Chrome on Linux' }).filter({ hasNotText: 'this browser' });
    assert.equal(await others.count(), 1);
    await others.getByRole('link', { name: 'End' }).click();
    await page.getByRole('button', { name: 'End session' }).click();
    await page.getByRole('status').filter({ hasText: /1 session ended in [\d.]+ ms/ }).waitFor();
    assert.equal(await others.count(), 0);

    await page.getByRole('button', { name: 'Sign out' }).click();
    await page.getByRole('status').filter({ hasText: 'You are signed out: 1 session ended' }).waitFor();
    await accessible(page, 'signed out');
  });
});

test('the theme follows the system, and a switch that is remembered', async () => {
  const ground = (page) => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await visit(browser, server, { user: 'frank@example.com', colorScheme: 'dark' }, async (page) => {
    await page.goto('/settings');
    const dark = await ground(page);
    await page.getByRole('button', { name: 'Theme: system' }).click();
    await page.getByRole('button', { name: 'Theme: light' }).waitFor();
    assert.notEqual(await ground(page), dark);
    await page.reload();
    assert.notEqual(await ground(page), dark);
    assert.deepEqual(await page.evaluate(() => Object.entries(localStorage)), [['theme', 'light']]);
    await page.emulateMedia({ colorScheme: 'light' });
    await page.getByRole('button', { name: 'Theme: light' }).click();
    assert.equal(await ground(page), dark);
  });
});

for (const colorScheme of ['light', 'dark']) {
  for (const width of [1280, 360]) {
    test(`the pages are accessible and fit: ${colorScheme}, ${width} pixels`, async () => {
      const options = { user: `${colorScheme}${width}@example.com`, colorScheme, viewport: { width, height: 800 }, refusals: 1 };
      await visit(browser, server, options, async (page) => {
        const look = async (name) => {
          await accessible(page, name);
          await fits(page, name);
          await shot(page, `${name}-${colorScheme}-${width}`);
        };
        await page.goto('/settings');
        await look('empty');
        await generate(page, 'A token with a very long name that says where it is used, by whom, and since when, in 100 bytes.');
        await look('reveal');
        await generate(page, 'Claude Code');
        await page.goto('/settings');
        await row(page, 'Claude Code').getByRole('link', { name: 'Revoke' }).click();
        await look('confirm');
        await page.getByRole('button', { name: 'Revoke' }).click();
        await page.getByText('Ended tokens (1)').click();
        await look('settings');
        await page.goto('/nowhere');
        await look('nowhere');
        await page.goto('/login');
        await look('login');
      });
    });
  }
}
