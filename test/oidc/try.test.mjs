// The guide's trial on one machine, as it is printed.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { test } from 'node:test';

import { atProvider, eventually, freePort, launch, tenure, visit } from './stand.mjs';

test('the provider to try with prints what starts Tenure, and signs its people in', async () => {
  const port = await freePort();
  const child = spawn(process.execPath, [join(import.meta.dirname, 'try.mjs'), String(await freePort()), `http://127.0.0.1:${port}`]);
  let printed = '';
  child.stdout.on('data', (text) => { printed += text; });
  let server;
  let browser;
  try {
    await eventually(() => printed.includes('Ctrl-C'), 'the provider is there');
    const settings = Object.fromEntries([...printed.matchAll(/(TENURE_\w+)=(\S+)/g)].map(([, name, value]) => [name, value]));
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
  } finally {
    await browser?.close();
    await server?.stop();
    child.kill();
  }
});
