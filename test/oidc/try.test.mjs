// The guide's trial on one machine, as it is printed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

import { atProvider, eventually, freePort, launch, tenure, visit } from './stand.mjs';

// shell runs a command as it is shown, and gives what it prints.
function shell(command) {
  const child = spawn('bash', ['-c', command], { stdio: ['ignore', 'pipe', 'ignore'] });
  let out = '';
  child.stdout.on('data', (text) => { out += text; });
  return { ended: new Promise((resolve) => { child.on('close', () => resolve(out)); }), out: () => out };
}

test('the provider to try with prints what starts Tenure, signs its people in, and answers what the pages show', async () => {
  const port = await freePort();
  const child = spawn(process.execPath, [join(import.meta.dirname, 'try.mjs'), String(await freePort()), `http://127.0.0.1:${port}`]);
  let printed = '';
  child.stdout.on('data', (text) => { printed += text; });
  let server;
  let browser;
  try {
    await eventually(() => printed.includes('Ctrl-C'), 'the provider is there', 120_000); // the simulator is built first
    const settings = Object.fromEntries([...printed.matchAll(/([A-Z_]+)=(\S+)/g)].map(([, name, value]) => [name, value]));
    assert.equal(settings.TENURE_LISTEN, `127.0.0.1:${port}`);
    delete settings.TENURE_HOME; // one of the test's own
    server = await tenure(port, settings);
    browser = await launch();
    for (const [name, role] of [['grace', 'super_admin'], ['alice', 'member']]) {
      await visit(browser, server.base, async (page) => {
        await page.goto('/');
        await page.getByRole('link', { name: 'Sign in' }).click();
        await atProvider(page, name);
        await page.locator('.who', { hasText: `${name}@example.com` }).waitFor();
        const me = await page.evaluate(() => fetch('/api/v1/me').then((answer) => answer.json()));
        assert.equal(me.role, role);
      });
    }

    // The commands that are shown with a token answer as they are; an administrator
    // sees the stream, and cuts it.
    let stream;
    await visit(browser, server.base, async (page) => {
      await page.goto('/settings');
      await page.getByRole('link', { name: 'Sign in' }).click();
      await atProvider(page, 'alice');
      await page.getByLabel('Name', { exact: true }).fill('Laptop');
      await page.getByRole('button', { name: 'Generate token' }).click();
      await page.locator('#secret').waitFor();
      assert.doesNotMatch(await page.locator('main').innerText(), /YOUR_|no model provider/);
      assert.match(await shell(await page.locator('#code-curl').textContent()).ended, /"choices":/);
      stream = shell(await page.locator('#code-curl-stream').textContent());
      await eventually(() => /"content":"/.test(stream.out()), 'the stream begins');
    });
    await visit(browser, server.base, async (page) => {
      await page.goto('/admin');
      await page.getByRole('link', { name: 'Sign in' }).click();
      await atProvider(page, 'grace');
      await page.locator('#live').getByRole('row').filter({ hasText: 'alice@example.com' }).getByRole('link', { name: 'Cut' }).click();
      await page.getByRole('button', { name: 'Cut' }).click();
      await page.getByRole('status').filter({ hasText: 'is cut: 1 stream ended' }).waitFor();
    });
    assert.match(await stream.ended, /ended_by_administrator/);
  } finally {
    await browser?.close();
    await server?.stop();
    child.kill();
  }
});
