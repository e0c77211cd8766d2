// The dashboard in single mode: the root token signs in and is rotated.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { accessible, fits, launch, serve, shot, visit } from './harness.mjs';

let browser;
let server;

before(async () => {
  server = await serve('single');
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

async function signIn(page, token) {
  await page.goto('/');
  assert.equal(new URL(page.url()).pathname, '/login');
  await page.getByLabel('Root token').fill(token);
  await page.getByRole('button', { name: 'Sign in' }).click();
}

for (const [about, options] of [
  ['light', { colorScheme: 'light' }],
  ['dark, on a phone', { colorScheme: 'dark', viewport: { width: 360, height: 800 } }],
  ['without JavaScript', { javaScriptEnabled: false }],
]) {
  test(`one signs in with the root token and rotates it: ${about}`, async () => {
    // The token that this installation printed, or the one of the test before.
    server.root ??= server.stdout().match(/troot_[0-9A-Za-z]{46}/)?.[0];
    assert.ok(server.root, 'a fresh installation prints its root token');
    const scripted = options.javaScriptEnabled !== false;
    await visit(browser, server, { ...options, refusals: scripted ? 2 : 1 }, async (page) => {
      const look = async (name) => {
        if (scripted) {
          await accessible(page, name);
          await fits(page, name);
        }
        await shot(page, `single-${name}-${about.replace(/\W+/g, '-')}`);
      };
      await signIn(page, 'troot_not-the-token');
      assert.match(await page.locator('#token-wrong').textContent(), /not the root token/);
      assert.equal(await page.getByLabel('Root token').inputValue(), '');
      await look('login');

      await signIn(page, server.root);
      await page.getByRole('heading', { name: 'Root token' }).waitFor();
      assert.ok(!(await page.content()).includes(server.root));
      assert.equal(await page.getByRole('button', { name: 'Generate token' }).count(), 0);
      await look('settings');

      await page.getByRole('link', { name: 'Rotate' }).click();
      await look('confirm');
      await page.getByRole('button', { name: 'Rotate' }).click();
      const fresh = await page.locator('#secret').textContent();
      assert.match(fresh, /^troot_[0-9A-Za-z]{46}$/);
      await look('rotated');

      const old = server.root;
      server.root = fresh;
      await page.getByRole('link', { name: 'Sign in with the new token' }).click();
      if (scripted) {
        await signIn(page, old);
        assert.match(await page.locator('#token-wrong').textContent(), /not the root token/);
      }
      await signIn(page, fresh);
      await page.getByRole('heading', { name: 'Root token' }).waitFor();
      await page.getByRole('button', { name: 'Sign out' }).click();
      assert.match(await page.getByRole('status').textContent(), /You are signed out/);
    });
    assert.ok(!server.stderr().includes(server.root), 'the log has the root token');
  });
}

test('there are no personal tokens', async () => {
  const headers = { authorization: `Bearer ${server.root}`, 'sec-fetch-site': 'same-origin' };
  const answer = await fetch(`${server.base}/settings/tokens`, { method: 'POST', headers, body: new URLSearchParams({ name: 'x', expires_in: '7' }) });
  assert.equal(answer.status, 404);
});
