// A super admin has audit events sent to a receiver, with a script and without.
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, test } from 'node:test';

import { accessible, fits, launch, serve, shot, visit } from './harness.mjs';

const root = 'root@example.com';
let browser;
let server;
let receiver;
let status = 204;
const got = []; // batches that came

before(async () => {
  receiver = createServer(async (request, response) => {
    let body = '';
    for await (const part of request) body += part;
    got.push({ body, status, signatures: request.headers['webhook-signature'].split(' ').length });
    response.writeHead(status).end();
  });
  await new Promise((resolve) => { receiver.listen(0, '127.0.0.1', resolve); });
  server = await serve('teams', { TENURE_ADMINS: root });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
  receiver?.closeAllConnections();
  receiver?.close();
});

const until = async (done, what) => {
  for (let tries = 0; !done(); tries++) {
    assert.ok(tries < 150, what);
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
};

// make fills in the form of a webhook.
async function make(page, name) {
  await page.getByLabel('Name').fill(name);
  await page.getByLabel('Address').fill(`http://127.0.0.1:${receiver.address().port}/tenure`);
  await page.getByRole('button', { name: 'Make the sink' }).click();
  assert.match(await page.locator('#secret').textContent(), /^whsec_/);
  await page.getByRole('link', { name: 'Done' }).click();
}

test('what a receiver refuses is told in plain words, and sent when its secret is right', async () => {
  status = 401;
  await visit(browser, server, { user: root }, async (page) => {
    await page.goto('/admin/audit/sinks/new?kind=webhook');
    await make(page, 'SIEM');
    await until(() => server.sql(`SELECT count(*) FROM audit_sinks WHERE name = 'SIEM' AND error <> ''`).trim() === '1', 'the error is noted');
    await page.reload();
    await page.getByText('The receiver does not believe who asks.').waitFor();
    await accessible(page, 'refused');
    await shot(page, 'sinks-refused');
    await page.getByRole('link', { name: 'Rotate secret' }).click();
    await shot(page, 'sinks-rotate');
    await page.getByRole('button', { name: 'Rotate' }).click();
    await page.getByText('the secret before signs, too').waitFor();
    await shot(page, 'sinks-rotated');
    status = 204;
    await page.getByRole('button', { name: 'Try now' }).click();
    await until(() => got.some((batch) => batch.status === 204 && batch.signatures === 2 && batch.body.includes('audit_sink.created')), 'the event of its making');
    await page.getByRole('link', { name: 'Sinks', exact: true }).click();
    await page.waitForURL('**/admin/audit/sinks'); // or what is loaded again is the page before
    await until(() => server.sql(`SELECT count(*) FROM audit_sinks WHERE name = 'SIEM' AND error = ''`).trim() === '1', 'the sink is well');
    await page.reload();
    await page.getByRole('row').filter({ hasText: 'SIEM' }).getByText('well').waitFor();
    await shot(page, 'sinks-list');
  });
});

test('a sink is made, paused and deleted without JavaScript, on a phone', async () => {
  await visit(browser, server, { user: root, javaScriptEnabled: false, viewport: { width: 360, height: 740 } }, async (page) => {
    await page.goto('/admin/audit');
    await page.getByRole('link', { name: 'Where events are sent' }).click();
    await page.getByRole('link', { name: 'New sink' }).click();
    for (const kind of ['Syslog', 'OTLP', 'Webhook']) {
      await page.getByLabel(kind).check();
      await page.getByRole('button', { name: 'Go on' }).click();
      await page.getByLabel('Name').waitFor();
      await fits(page, kind);
      await shot(page, `sinks-phone-${kind}`);
      if (kind !== 'Webhook') await page.goBack();
    }
    await make(page, 'Copy');
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByText('is paused').waitFor();
    await fits(page, 'paused');
    await shot(page, 'sinks-phone-paused');
    await page.getByRole('link', { name: 'Delete' }).click();
    await page.getByRole('button', { name: 'Delete the sink' }).click();
    await page.getByText('nothing more is sent to it').waitFor();
    await fits(page, 'the list');
    await shot(page, 'sinks-phone-list');
  });
});
