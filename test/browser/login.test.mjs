// The sign-in page where people sign in at identity providers. That they come back
// signed in is for test/oidc; here the provider is nobody.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, test } from 'node:test';

import { accessible, fits, launch, serve, shot, visit } from './harness.mjs';

let browser;
let server;

before(async () => {
  server = await serve('teams', {
    TENURE_OIDC_ISSUER: 'http://127.0.0.1:9', TENURE_OIDC_CLIENT_ID: 'tenure', TENURE_OIDC_CLIENT_SECRET: 'a-secret-of-the-client',
  });
  const run = (args, input) => execFileSync(process.env.TENURE_BIN, [...args, '--home', server.home], { input });
  run(['tenant', 'create', 'acme']);
  run(['oidc', 'create', 'acme', '--tenant', 'acme', '--issuer', 'https://login.acme.example', '--client-id', 'tenure', '--domain', 'acme.com'], 'hidden');
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

for (const [about, options] of [
  ['light', { colorScheme: 'light' }],
  ['dark', { colorScheme: 'dark' }],
  ['light, at 320 pixels', { colorScheme: 'light', viewport: { width: 320, height: 640 } }],
  ['dark, at 320 pixels', { colorScheme: 'dark', viewport: { width: 320, height: 640 } }],
  ['without JavaScript', { javaScriptEnabled: false }],
]) {
  test(`the sign-in page leads to each provider: ${about}`, async () => {
    const scripted = options.javaScriptEnabled !== false;
    await visit(browser, server, { ...options, refusals: 1 }, async (page) => {
      const look = async (name) => {
        if (scripted) await accessible(page, name); // axe is a script
        await fits(page, name);
        await shot(page, `${name}-${about.replaceAll(/\W+/g, '-')}`);
      };
      await page.goto('/admin/drift?x=1');
      assert.equal(page.url(), `${server.base}/login?return_to=${encodeURIComponent('/admin/drift?x=1')}`);
      const button = page.getByRole('link', { name: 'Sign in', exact: true });
      assert.equal(await button.getAttribute('href'), `/oidc/default/start?return_to=${encodeURIComponent('/admin/drift?x=1')}`);
      await look('login');

      await page.goto('/login?connection=acme');
      await page.getByRole('link', { name: 'Sign in with acme' }).waitFor();
      assert.equal(await page.getByLabel('E-mail address at work').count(), 0);
      await look('login-named');

      await page.goto('/login');
      await page.getByLabel('E-mail address at work').fill('alice');
      await page.locator('form.login').evaluate((form) => { form.noValidate = true; }).catch(() => {});
      await page.getByRole('button', { name: 'Continue' }).click();
      await page.getByText('Nobody signs in here by an address of that domain').waitFor();
      assert.equal(await page.getByLabel('E-mail address at work').getAttribute('aria-invalid'), 'true');
      await page.getByRole('link', { name: 'Sign in', exact: true }).waitFor();
      await look('login-refused');
    });
  });
}
