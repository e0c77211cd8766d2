// Manners: the keyboard alone does everything, instants are in the reader's zone, a
// phone's navigation opens on demand, what the Overview counts is one click away,
// and a secret that was shown once is nowhere afterwards.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { launch, serve, visit } from './harness.mjs';

const admin = 'grace@example.com';

let browser;
let server;

before(async () => {
  server = await serve('teams', { TENURE_ADMINS: admin });
  browser = await launch({ ignoreDefaultArgs: ['--disable-back-forward-cache'] }); // as people have it
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const row = (page, name) => page.getByRole('row').filter({ hasText: name });

async function mint(user, name) {
  const answer = await fetch(`${server.base}/api/v1/tokens`, {
    method: 'POST', headers: { 'content-type': 'application/json', 'x-user-id': user }, body: JSON.stringify({ name }),
  });
  assert.equal(answer.status, 201);
}

// tabTo goes on with the Tab key until what is asked for has the focus. Wherever it
// stops, one sees where one is.
async function tabTo(page, what) {
  for (let i = 0; i < 80; i++) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const e = document.activeElement;
      const { outlineStyle, outlineWidth } = getComputedStyle(e.matches('.tabs > input') ? e.nextElementSibling : e);
      return { name: e.labels?.[0]?.textContent ?? e.textContent.trim(), seen: e === document.body || outlineStyle !== 'none' && outlineWidth !== '0px' };
    });
    assert.ok(at.seen, `nobody sees that “${at.name}” has the focus`);
    if (at.name === what) return;
  }
  assert.fail(`the Tab key does not come to “${what}”`);
}

const focused = (page, selector) => page.waitForFunction((s) => document.activeElement?.matches(s), selector);

test('the keyboard alone generates a token, sets it up, and revokes it', async () => {
  await visit(browser, server, { user: 'alice@example.com', permissions: ['clipboard-read', 'clipboard-write'] }, async (page) => {
    const { keyboard } = page;
    await page.goto('/settings');
    await tabTo(page, 'Skip to the content');
    await keyboard.press('Enter');
    await tabTo(page, 'Name');
    await keyboard.type('Desk');
    await keyboard.press('Enter');
    await focused(page, '.reveal h3'); // told to whoever does not see it
    await tabTo(page, 'Copy');
    await keyboard.press('Enter');
    await page.locator('.secret [aria-live]').filter({ hasText: 'Copied' }).waitFor();
    await tabTo(page, 'VS Code');
    await keyboard.press('ArrowRight');
    await page.locator('#code-openwebui').waitFor();
    await tabTo(page, 'Done');
    await keyboard.press('Enter');
    await page.locator('#secret').waitFor({ state: 'detached' });
    await focused(page, '#main');
    await tabTo(page, 'Revoke Desk');
    await keyboard.press('Enter');
    await page.getByRole('heading', { name: 'Revoke “Desk”?' }).waitFor();
    await focused(page, '#main, #main *');
    await tabTo(page, 'Revoke');
    await keyboard.press('Enter');
    await focused(page, '.notice[role=status]');
    assert.match(await page.evaluate(() => document.activeElement.textContent), /“Desk” is revoked: 1 token ended/);
    await tabTo(page, 'Ended tokens (1)');
    await keyboard.press('Enter');
    await row(page, 'revoked by you').waitFor();
  });
});

test('a phone’s navigation opens on demand, by the keyboard too, and is there without JavaScript', async () => {
  const options = { user: admin, viewport: { width: 320, height: 800 } };
  const people = (page) => page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'People' });
  await visit(browser, server, options, async (page) => {
    await page.goto('/admin');
    assert.ok(!await people(page).isVisible());
    await tabTo(page, 'Menu');
    await page.keyboard.press('Enter');
    await tabTo(page, 'People');
    await page.keyboard.press('Escape');
    await focused(page, '[data-menu]'); // back where one was
    assert.ok(!await people(page).isVisible());
    await page.keyboard.press('Enter');
    await people(page).click();
    await page.getByRole('heading', { name: 'People', level: 1 }).waitFor();
    assert.ok(!await people(page).isVisible());
  });
  await visit(browser, server, { ...options, javaScriptEnabled: false }, async (page) => {
    await page.goto('/admin');
    assert.ok(await people(page).isVisible());
    assert.equal(await page.getByRole('button', { name: 'Menu' }).count(), 0);
  });
});

test('instants are in the reader’s zone, with UTC beside; without JavaScript they are in UTC', async () => {
  await mint('bob@example.com', 'Laptop');
  server.sql(`UPDATE audit_events SET at = '2026-01-02T20:30:40.123000Z' WHERE object = 'Laptop';`);
  const options = { user: admin, timezoneId: 'Asia/Kathmandu', locale: 'de-DE' };
  await visit(browser, server, options, async (page) => {
    await page.goto('/admin/audit?about=Laptop');
    const at = page.locator('tbody time').first();
    assert.match(await at.textContent(), /^3 Jan( 2026)? 02:15:40/);
    assert.match(await at.getAttribute('title'), /^Sat, 3 Jan 2026, 02:15:40 GMT\+5:45 \(Fri, 2 Jan 2026, 20:30:40 UTC\)$/);
    await page.getByRole('columnheader', { name: 'When, your time' }).waitFor();
    await page.goto('/admin/tokens');
    assert.match(await row(page, 'Laptop').locator('time').first().getAttribute('title'), /GMT\+5:45 \(.* UTC\)$/);
  });
  await visit(browser, server, { ...options, javaScriptEnabled: false }, async (page) => {
    await page.goto('/admin/audit?about=Laptop');
    assert.match(await page.locator('tbody time').first().textContent(), /^2 Jan( 2026)? 20:30:40/);
    await page.getByRole('columnheader', { name: 'When, UTC' }).waitFor();
  });
});

test('what the Overview warns of is listed where it leads, as many as it counts', async () => {
  for (const name of ['old 1', 'old 2', 'short 1']) await mint('carol@example.com', name);
  server.sql(`UPDATE api_tokens SET created_at = '2020-01-02T03:04:05.000000Z' WHERE name LIKE 'old _';
    UPDATE api_tokens SET expires_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now', '+2 days') WHERE name = 'short 1';`);
  await visit(browser, server, { user: admin }, async (page) => {
    for (const [warning, names] of [[/^2 tokens were not used for 90 days$/, ['old 1', 'old 2']], [/^1 token ends within 7 days$/, ['short 1']]]) {
      await page.goto('/admin');
      await page.locator('.warnings li').filter({ has: page.getByText(warning) }).getByRole('link').click();
      await page.getByRole('heading', { name: 'Tokens', level: 1 }).waitFor();
      assert.equal(await page.locator('tbody tr').count(), names.length);
      for (const name of names) await row(page, name).waitFor();
      assert.equal(await page.locator('.filters [aria-current]').count(), 1);
    }
    await page.getByRole('link', { name: 'API documentation' }).click();
    await page.waitForURL('**/api/docs');
    await page.goto('/admin');
  });
});

test('a secret that was shown once is not in the page, the history, the storage or the log', async () => {
  await visit(browser, server, { user: 'dave@example.com' }, async (page) => {
    const generate = async (name) => {
      await page.goto('/settings');
      const answered = page.waitForResponse((answer) => answer.request().method() === 'POST');
      await page.getByLabel('Name', { exact: true }).fill(name);
      await page.getByRole('button', { name: 'Generate token' }).click();
      const answer = await answered;
      assert.equal(answer.headers()['cache-control'], 'no-store');
      assert.ok(!answer.url().includes('tpat_'));
      return page.locator('#secret').textContent();
    };
    const nowhere = async (secret) => {
      const kept = await page.evaluate(async () => document.documentElement.outerHTML + location.href + document.referrer + JSON.stringify([
        history.state, { ...localStorage }, { ...sessionStorage }, document.cookie, performance.getEntries(), await caches?.keys?.(), await indexedDB.databases(),
      ]));
      assert.ok(!kept.includes(secret), kept);
    };
    const back = async (secret) => {
      await page.goBack();
      await page.getByRole('heading', { level: 1 }).waitFor();
      await nowhere(secret);
      await page.goForward();
      await nowhere(secret);
    };

    const one = await generate('by a link');
    await page.getByRole('navigation', { name: 'Pages' }).getByRole('link', { name: 'Sessions' }).click();
    await page.getByRole('heading', { name: 'Sessions', level: 1 }).waitFor();
    await nowhere(one);
    await back(one);

    const two = await generate('by the address');
    await page.goto('/settings/activity');
    await nowhere(two);
    await back(two);

    const three = await generate('to another page');
    await page.goto('about:blank');
    await page.goBack();
    await page.getByRole('heading', { level: 1 }).waitFor();
    await nowhere(three);

    const four = await generate('loaded anew');
    await page.reload();
    await nowhere(four);
    for (const secret of [one, two, three, four]) assert.ok(!(server.stdout() + server.stderr()).includes(secret));
  });
});
