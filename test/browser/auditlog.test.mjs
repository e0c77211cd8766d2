// The page Audit says how far the log is verified, and what is wrong with it.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { accessible, fits, launch, serve, shot, visit } from './harness.mjs';

const root = 'root@example.com';
let browser;
let server;

before(async () => {
  server = await serve('teams', { TENURE_ADMINS: root });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test('the log is verified when somebody asks, and what a hand has changed is named', async () => {
  await visit(browser, server, { user: root }, async (page) => {
    await page.goto('/admin/audit');
    const verified = page.locator('#verified');
    await verified.getByText(/Verified to event \d/).waitFor({ timeout: 20_000 }).catch(async () => {
      await page.reload(); // it had not been verified yet
      await verified.getByText(/Verified to event \d/).waitFor();
    });
    await shot(page, 'audit-verified');

    // Another replica is at it, and far from done.
    const now = new Date().toISOString();
    server.sql(`UPDATE meta SET value = replace(value, '"run":null', '"run":{"id":"x","whole":true,"since":"${now}","seen":"${now}","done":18204,"all":50000}') WHERE key = 'audit.verified'`);
    await page.reload();
    await verified.getByRole('progressbar').waitFor();
    assert.match(await verified.textContent(), /Verifying, 18\u202f204 of 50\u202f000 events/);
    await accessible(page, 'while it is verified');
    await shot(page, 'audit-verifying');

    // It goes on for long, and nothing was verified meanwhile.
    server.sql(`UPDATE meta SET value = replace(value, '"at":"20', '"at":"19') WHERE key = 'audit.verified'`);
    await page.reload();
    await verified.getByText('Not verified since').waitFor();
    await accessible(page, 'not verified for long');
    await shot(page, 'audit-not-verified');
    server.sql(`UPDATE meta SET value = '' WHERE key = 'audit.verified'`);

    // The page goes on by itself, and asks no more when it is over.
    await verified.getByRole('button', { name: 'Verify now' }).waitFor({ timeout: 20_000 });
    assert.equal(await verified.getAttribute('hx-get'), null);

    while (!server.sql('SELECT seq FROM audit_leaves WHERE place = 1').trim()) await new Promise((done) => { setTimeout(done, 200); }); // it has its place within 5 s
    server.sql(`UPDATE audit_events SET actor = 'mallory' WHERE seq = (SELECT seq FROM audit_leaves WHERE place = 1)`);
    await page.reload(); // without what the look at it has left on its elements
    await verified.getByRole('button', { name: 'Verify now' }).click();
    await verified.getByText('The log was changed.').waitFor({ timeout: 20_000 });
    assert.match(await verified.textContent(), /At place 1 \(event [0-9a-f-]+\) its event was changed/);
    await accessible(page, 'what is wrong');
    await shot(page, 'audit-changed');
    await page.setViewportSize({ width: 390, height: 800 });
    await fits(page, 'what is wrong, on a phone');
    await shot(page, 'audit-changed-phone');
  });
});
