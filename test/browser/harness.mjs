// What the tests stand on: the built program in a fresh home, and pages that
// note whatever must not happen while they are open.
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import AxeBuilder from '@axe-core/playwright';
import { chromium } from 'playwright-core';

const output = join(import.meta.dirname, 'output'); // of pictures; git does not keep it
process.on('exit', () => { if (shots) console.log(`${shots} pictures in ${output}`); });
let shots = 0;

export async function launch(options = {}) {
  await mkdir(output, { recursive: true });
  return chromium.launch({
    ...options,
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', '--disable-quic', '--no-first-run',
      '--disable-background-networking', '--disable-component-update', '--disable-sync'],
  });
}

export function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

// serve starts `tenure serve`, with further settings, and waits until it is ready.
export async function serve(mode, settings = {}) {
  assert.ok(process.env.TENURE_BIN, 'TENURE_BIN must name the program to test');
  const home = await mkdtemp(join(tmpdir(), 'tenure-browser-'));
  const listen = `127.0.0.1:${await freePort()}`;
  const base = `http://${listen}`;
  const child = spawn(process.env.TENURE_BIN, ['serve'], {
    env: { PATH: process.env.PATH, HOME: home, TENURE_MODE: mode, TENURE_LISTEN: listen, TENURE_HOME: join(home, 'data'), ...settings },
  });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (text) => { stdout += text; });
  child.stderr.on('data', (text) => { stderr += text; });
  const ended = new Promise((resolve) => { child.on('close', resolve); });
  const stop = async () => {
    child.kill();
    await ended;
    await rm(home, { recursive: true, force: true });
  };
  for (let tries = 0; ; tries++) {
    const ready = await fetch(`${base}/readyz`).then((answer) => answer.ok, () => false);
    if (ready) {
      return {
        base,
        home: join(home, 'data'),
        stop: async () => {
          await stop();
          assert.doesNotMatch(stderr, /t(pat|svc|scim)_[0-9A-Za-z]{46}/, 'the log has a token');
        },
        stdout: () => stdout,
        stderr: () => stderr,
        // sql changes the database by hand, as nothing that the program offers can.
        sql: (text) => execFileSync('sqlite3', ['-bail', '-cmd', '.timeout 10000', join(home, 'data', 'tenure.db')], { input: text }).toString(),
      };
    }
    if (tries === 200 || child.exitCode !== null) {
      await stop();
      assert.fail(`tenure does not serve:\n${stderr}`);
    }
    await new Promise((resolve) => { setTimeout(resolve, 50); });
  }
}

// visit opens a page and runs fn with it. Nothing may go wrong meanwhile: no
// error on the console, no breach of the policy, no request to another host. The
// page on which it ends must fit its window and hinder nobody. `refusals` is how many answers with an error status are expected.
export async function visit(browser, server, { user, refusals = 0, permissions = [], ...options }, fn) {
  const context = await browser.newContext({
    baseURL: server.base,
    viewport: { width: 1280, height: 800 },
    extraHTTPHeaders: user ? { 'x-user-id': user } : {},
    ...options,
  });
  await context.grantPermissions(permissions, { origin: server.base });
  const faults = [];
  const refused = [];
  context.on('page', (page) => {
    page.on('console', (message) => {
      if (message.type() !== 'error') return;
      if (/the server responded with a status of 4\d\d/.test(message.text())) refused.push(message.location().url);
      else faults.push(message.text());
    });
    page.on('pageerror', (error) => faults.push(String(error)));
    page.on('request', (request) => {
      const url = new URL(request.url());
      if (url.protocol.startsWith('http') && url.origin !== server.base) faults.push(`request to ${url.origin}`);
    });
  });
  const page = await context.newPage();
  page.setDefaultTimeout(10_000);
  await page.addInitScript(() => addEventListener('securitypolicyviolation', (event) => {
    console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`);
  }));
  try {
    await fn(page);
    if (options.javaScriptEnabled !== false && page.url().startsWith(server.base)) {
      await accessible(page, `the last page, ${page.url()}`);
      await fits(page, `the last page, ${page.url()}`);
    }
    assert.deepEqual(faults, []);
    assert.equal(refused.length, refusals, `answers with an error status: ${refused.join(', ')}`);
  } finally {
    await context.close();
  }
}

// contradict has two beliefs of one name written that say otherwise of it, and flags both, as
// the drawing out of the second makes them. To write the second down takes the place of the
// first, which is therefore found by another name meanwhile.
export async function contradict(server, first, second) {
  const newest = (n) => `(SELECT id FROM beliefs ORDER BY id DESC LIMIT ${n})`;
  await first();
  server.sql(`UPDATE beliefs SET name_hash = 'another' WHERE id IN ${newest(1)};`);
  await second();
  server.sql(`UPDATE beliefs SET version = version + 1, name_hash = (SELECT b.name_hash FROM beliefs b WHERE b.id IN ${newest(1)}),
      contradicts = (SELECT b.id FROM beliefs b WHERE b.id IN ${newest(2)} AND b.id <> beliefs.id)
    WHERE id IN ${newest(2)};`);
}

// shot keeps a picture for people to look at. To hide the caret would leave empty style
// attributes behind, which the next swap of the page would trip over.
export async function shot(page, name) {
  shots++;
  await page.screenshot({ path: join(output, `${name}.png`), fullPage: true, caret: 'initial' });
}

// accessible fails on what hinders somebody seriously, by all rules or by some.
export async function accessible(page, where, rules) {
  const axe = new AxeBuilder({ page });
  const { violations } = await (rules ? axe.withRules(rules) : axe).analyze();
  const grave = violations.filter((v) => v.impact === 'serious' || v.impact === 'critical');
  const told = grave.map((v) => `${v.id}: ${v.help}\n  ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join('\n  ')}`);
  assert.deepEqual(told, [], where);
}

// fits fails when a page is wider than its window.
export async function fits(page, where) {
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.equal(over, 0, `${where} is ${over} pixels too wide`);
}
