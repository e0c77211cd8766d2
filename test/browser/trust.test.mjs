// The trust page: a stranger reads it and asks for evidence, an administrator answers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { accessible, fits, launch, serve, shot, visit } from './harness.mjs';

const root = 'root@example.com';

let browser;
let server;

before(async () => {
  server = await serve('teams', { TENURE_ADMINS: root });
  const answer = await fetch(`${server.base}/api/v1/admin/policy`, {
    method: 'PATCH', headers: { 'x-user-id': root, 'content-type': 'application/json' },
    body: JSON.stringify({ trust_page: 'public', trust_owner: 'Security, security@example.com' }),
  });
  assert.equal(answer.status, 200);
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

for (const [about, options] of [
  ['light', { colorScheme: 'light' }],
  ['dark, at 320 pixels', { colorScheme: 'dark', viewport: { width: 320, height: 640 } }],
  ['without JavaScript', { javaScriptEnabled: false }],
]) {
  test(`a stranger asks for evidence, and an administrator answers: ${about}`, async () => {
    const scripted = options.javaScriptEnabled !== false;
    const name = `Ada (${about})`;
    const look = async (page, where) => {
      if (scripted) await accessible(page, where); // axe is a script
      await fits(page, where);
      await shot(page, `${where}-${about.replaceAll(/\W+/g, '-')}`);
    };
    await visit(browser, server, { ...options, refusals: 1 }, async (page) => {
      await page.goto('/trust');
      await page.getByRole('row').filter({ hasText: 'There are no passwords here' }).waitFor();
      assert.equal(await page.getByRole('navigation', { name: 'Pages' }).count(), 0);
      await look(page, 'trust');
      await page.getByLabel('Your name').fill(name);
      await page.getByLabel('E-mail address').fill('ada@example.com');
      await page.getByRole('button', { name: 'Ask for it' }).click();
      await page.getByText('Choose at least one kind of evidence').waitFor();
      assert.equal(await page.getByLabel('Your name').inputValue(), name); // nothing is lost
      await look(page, 'trust-refused');
      await page.getByLabel('Joiners, movers and leavers, with times').check();
      await page.getByRole('button', { name: 'Ask for it' }).click();
      await page.getByText('The answer goes to ada@example.com').waitFor();
    });
    await visit(browser, server, { ...options, user: root }, async (page) => {
      await page.goto('/admin/trust');
      await page.getByRole('heading', { name: 'Who asks for evidence' }).waitFor();
      await look(page, 'trust-admin');
      await page.getByRole('row').filter({ hasText: name }).getByRole('link', { name: 'Answer' }).click();
      await page.getByLabel('What you sent them').fill('the bundle of the fourth quarter');
      await page.getByRole('button', { name: 'Answer', exact: true }).click();
      await page.getByRole('row').filter({ hasText: name }).getByText('answered').waitFor();
      await page.getByRole('button', { name: 'I read it, and it is true' }).click();
      await page.getByText('Noted: you read the page').waitFor();
    });
  });
}
