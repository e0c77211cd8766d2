// The way of a newcomer, from `make demo` on: sign in, make a token, use it as the
// page says, watch its stream, cut it, and end a colleague's access.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { accessible, fits, freePort, launch, shot, visit } from './harness.mjs';

let browser;
let home;
let demo; // the process
let printed = '';
let front; // what the demo says is the dashboard

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'tenure-demo-'));
  const [listen, proxy] = [`127.0.0.1:${await freePort()}`, `127.0.0.1:${await freePort()}`];
  demo = spawn(process.env.TENURE_BIN, ['demo', '--home', join(home, 'data'), '--listen', listen, '--proxy', proxy], {
    env: { PATH: process.env.PATH, HOME: home }, stdio: ['ignore', 'pipe', 'inherit'],
  });
  demo.stdout.on('data', (text) => { printed += text; });
  for (let tries = 0; !printed.includes('Ctrl-C stops the demo'); tries++) {
    assert.ok(tries < 200 && demo.exitCode === null, `the demo does not start: ${printed}`);
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
  front = { base: printed.match(/Dashboard +(\S+)/)[1] };
  browser = await launch();
});

after(async () => {
  await browser?.close();
  if (demo && demo.exitCode === null) {
    demo.kill();
    await once(demo, 'close');
  }
  await rm(home, { recursive: true, force: true });
});

// run gives a command, what it has said and what it says in the end.
function run(program, ...args) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'pipe'], cwd: import.meta.dirname });
  const said = { text: '', child };
  for (const out of [child.stdout, child.stderr]) out.on('data', (text) => { said.text += text; });
  said.end = once(child, 'close').then(() => said.text);
  return said;
}

// script runs a program of the page under the name that it says, with the packages
// that are installed here.
async function script(page, id) {
  const source = await page.locator(`#${id}`).textContent();
  const [name] = (await page.locator(`.panel p:has(+ .snippet #${id})`).innerText()).match(/\S+\.\w*js\b/);
  const file = join(import.meta.dirname, 'output', name);
  await writeFile(file, source);
  try {
    return await run(process.execPath, file).end;
  } finally {
    await rm(file);
  }
}

async function signIn(page, name) {
  await page.goto('/demo/pick');
  await accessible(page, 'who are you?');
  await fits(page, 'who are you?');
  await page.getByRole('button', { name }).click();
  await page.getByRole('heading', { level: 1, name: 'Access tokens' }).waitFor();
}

test('a newcomer signs in, asks a model, watches the stream, cuts it, and ends a colleague’s access', async () => {
  const hers = printed.match(/tpat_[0-9A-Za-z]{46}/)[0];
  await visit(browser, front, {}, async (page) => {
    await page.goto('/');
    await page.getByRole('heading', { name: 'Who are you?' }).waitFor();
    await signIn(page, 'bob@example.com');
    await page.getByText('No live tokens.').waitFor();
    await page.getByLabel('Name', { exact: true }).fill('My laptop');
    await page.getByRole('button', { name: 'Generate token' }).click();
    const token = await page.locator('#secret').textContent();

    // As the page says, in each of the ways that can be run here.
    const code = async (tab, id) => {
      await page.locator('.tabs > label', { hasText: tab }).click();
      return page.locator(`#${id}`).textContent();
    };
    await page.locator('.tabs > label', { hasText: 'Node' }).click();
    assert.match(await script(page, 'code-node'), /^You said: Hello/);
    assert.match(await script(page, 'code-node-anthropic'), /^You said: Hello/);
    const [chat, models] = (await code('curl', 'code-curl')).split('\n\n');
    assert.match(JSON.parse(await run('bash', '-c', chat.replace('curl ', 'curl -s ')).end).choices[0].message.content, /^You said: Hello/);
    assert.ok(JSON.parse(await run('bash', '-c', models.replace('curl ', 'curl -s ')).end).data.length > 0);
    await accessible(page, 'the token');
    await shot(page, 'demo-token');
    const stream = run('bash', '-c', (await code('curl', 'code-curl-stream')).replace('curl ', 'exec curl -s '));

    // The administrator watches it, and cuts it.
    await visit(browser, front, {}, async (desk) => {
      await signIn(desk, 'grace@example.com');
      await desk.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Overview' }).click();
      const row = desk.locator('#live').getByRole('row').filter({ hasText: 'bob@example.com' });
      await row.getByText('My laptop').waitFor();
      await shot(desk, 'demo-overview');
      await row.getByRole('link', { name: 'Cut' }).click();
      await desk.getByRole('heading', { name: 'Cut the stream of bob@example.com?' }).waitFor();
      await desk.getByRole('button', { name: 'Cut' }).click();
      await desk.getByRole('status').filter({ hasText: /1 stream ended in [\d.]+ ms/ }).waitFor();
      assert.match(await stream.end, /"content":" 3".*ended_by_administrator/s);

      // And ends a colleague's access.
      const base = chat.match(/curl (\S+)\/v1/)[1];
      const ask = (bearer) => fetch(`${base}/v1/models`, { headers: { authorization: `Bearer ${bearer}` } }).then((answer) => answer.status);
      assert.equal(await ask(hers), 200);
      await desk.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'People' }).click();
      await desk.getByRole('link', { name: 'alice@example.com' }).click();
      await desk.getByRole('link', { name: 'Deactivate and end 1 token', exact: true }).click();
      await desk.getByRole('button', { name: 'Deactivate and end 1 token' }).click();
      await desk.getByRole('status').filter({ hasText: /is deactivated: 1 token ended in [\d.]+ ms/ }).waitFor();
      assert.equal(await ask(hers), 401);
      assert.equal(await ask(token), 200);
      await shot(desk, 'demo-ended');
    });
  });
});
