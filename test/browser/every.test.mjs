// Every page there is (pages.json, which a test of Go holds against the routes), in
// a world that has something on each: found by its links alone, in both colours, on
// a phone and on a desk, from 320 to 3840 pixels; and what each role may not open
// has no link and is refused.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { accessible, contradict, launch, serve, shot, visit } from './harness.mjs';

const root = 'root@example.com';
const second = 'second@example.com';
const scim = 'a-token-of-the-identity-provider';

// Who there is, beside the two super admins.
const people = {
  admin: 'ada@example.com', auditor: 'aron@example.com', lead: 'wanda@example.com', member: 'alice@example.com', viewer: 'victor@example.com',
};

const pages = JSON.parse(await readFile(join(import.meta.dirname, 'pages.json'), 'utf8'));
const patterns = [...pages.walked, ...Object.keys(pages.elsewhere)]
  .sort((a, b) => (a.match(/\{/g)?.length ?? 0) - (b.match(/\{/g)?.length ?? 0)) // the exact ones first
  .map((pattern) => [pattern, new RegExp(`^${pattern.replace(/\{[^}]*\}/g, '[^/]+')}$`)]);

// pageOf is which page a path is, undefined for none of the dashboard's.
const pageOf = (path) => patterns.find(([, shape]) => shape.test(path))?.[0];

let browser;
let server;
let provider;
const streams = []; // held, or they would end
const found = new Map(); // page -> an address of it, as a super admin finds them

before(async () => {
  provider = createServer((request, response) => {
    request.resume();
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    const tick = setInterval(() => response.write('data: {"choices":[{"delta":{"content":"on and on "}}]}\n\n'), 200);
    response.on('close', () => clearInterval(tick));
  });
  await new Promise((resolve) => { provider.listen(0, '127.0.0.1', resolve); });
  server = await serve('teams', {
    TENURE_ADMINS: `${root},${second}`, TENURE_SCIM_TOKEN: scim,
    OPENAI_API_KEY: 'sk-of-the-simulated-provider', OPENAI_BASE_URL: `http://127.0.0.1:${provider.address().port}/v1`,
  });
  browser = await launch();
  await populate();
});

after(async () => {
  await browser?.close();
  await server?.stop();
  provider?.closeAllConnections();
  provider?.close();
});

async function call(user, method, path, body) {
  const answer = await fetch(server.base + path, {
    method, headers: { 'x-user-id': user, 'content-type': 'application/json' }, body: body && JSON.stringify(body),
  });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status} ${await answer.clone().text()}`);
  return answer.status === 204 ? null : answer.json();
}

const idOf = async (user) => (await call(root, 'GET', `/api/v1/admin/users?user_name=${user}`)).items[0].id;
const mint = async (user, name, more = {}) => (await call(user, 'POST', '/api/v1/tokens', { name, ...more })).token;

// ask opens a stream that goes on until it is cut.
async function ask(token) {
  const answer = await fetch(`${server.base}/v1/chat/completions`, {
    method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
    body: JSON.stringify({ model: 'gpt-4o', stream: true, messages: [{ role: 'user', content: 'Hello' }] }),
  });
  assert.equal(answer.status, 200);
  streams.push(answer.text());
}

async function populate() {
  await scimPost('Users', { schemas: ['urn:ietf:params:scim:schemas:core:2.0:User'], userName: 'simon@example.com', displayName: 'Simon Stone', active: true });
  await scimPost('Groups', { schemas: ['urn:ietf:params:scim:schemas:core:2.0:Group'], displayName: 'Engineering' });
  for (const user of [root, second, ...Object.values(people), 'leo@example.com', 'orla@example.com']) await call(user, 'GET', '/api/v1/me');
  for (const role of ['admin', 'auditor']) await call(root, 'PUT', `/api/v1/admin/users/${await idOf(people[role])}/role`, { role });
  const space = await call(root, 'POST', '/api/v1/admin/workspaces', { name: 'Research', about: 'Where new models are tried.', models: ['gpt-4o*'] });
  for (const [user, role] of [[people.lead, 'workspace_admin'], [people.member, 'member'], [people.viewer, 'viewer']]) {
    await call(root, 'PUT', `/api/v1/admin/workspaces/${space.id}/members/${user}`, { role });
  }
  await call(root, 'PUT', `/api/v1/admin/workspaces/${space.id}/groups/Engineering`, { role: 'viewer' });
  await call(root, 'POST', '/api/v1/admin/providers', { name: 'anthropic', kind: 'anthropic', key: 'sk-1234567890123456789' });
  await call(root, 'POST', '/api/v1/admin/scim-connectors', { name: 'Okta' });
  await call(root, 'POST', '/api/v1/admin/audit/holds', { matter: 'Case 4711' });
  await call(root, 'POST', '/api/v1/admin/audit-sinks', { name: 'SIEM', kind: 'webhook', address: 'http://127.0.0.1:1/tenure' });
  const bot = await call(root, 'POST', '/api/v1/admin/service-accounts', {
    workspace: space.id, name: 'nightly evaluation', description: 'Asks the new models every night, and writes the report.', owner: people.member,
  });
  await call(root, 'POST', '/api/v1/admin/service-accounts', { workspace: space.id, name: 'old importer', description: 'Reads the archive.', owner: 'orla@example.com' });
  const tokens = `/api/v1/admin/service-accounts/${bot.id}/tokens`;
  await call(root, 'POST', tokens, { name: 'cluster ops-1', scopes: ['chat', 'messages'], models: ['gpt-4o*'], cidrs: ['203.0.113.0/24'] });
  await call(root, 'POST', tokens, { name: 'audit copy', scopes: ['audit.read'], reason: 'The archive needs it.' });
  await call(second, 'POST', tokens, { name: 'leaver reports', scopes: ['reports.read'], reason: 'People operations ask for them.' });
  const granted = await call(root, 'POST', tokens, { name: 'health', scopes: ['health.read'], reason: 'For the monitoring.' });
  await call(second, 'POST', `/api/v1/admin/token-requests/${granted.request.id}/approve`);
  const risk = { likelihood: 'medium', impact: 'high' };
  const wish = (title, more) => ({
    title, rule: 'token_lifetime', subject_kind: 'user', subject: people.member, owner: people.member, reason: 'The lab is offline for the season.', controls: 'Its network alone.',
    risk_before: risk, risk_after: { likelihood: 'low', impact: 'high' }, plan: 'A new robot with rotation.', expires_at: new Date(Date.now() + 20 * 86400e3).toISOString(), ...more,
  });
  await call(root, 'POST', '/api/v1/admin/exceptions', wish('Robot of the season'));
  await call(second, 'POST', '/api/v1/admin/exceptions', wish('Research cluster', { subject_kind: 'workspace', subject: 'Research' }));
  const excepted = await call(second, 'POST', '/api/v1/admin/exceptions', wish('Lab robot', { rule: 'token_never_expires' }));
  await call(root, 'POST', `/api/v1/admin/exceptions/${excepted.id}/approve`, { reason: 'The network is enough.' });
  await mint(people.member, 'Robot', { exception: excepted.id });
  for (const name of ['VS Code on my MacBook Pro', 'Open WebUI']) await mint(people.member, name);
  await mint(root, 'Claude Code');
  await mint(root, 'Laptop', { expires_in: '3d' });
  await mint('leo@example.com', 'Desk');
  server.sql(`UPDATE api_tokens SET created_at = '2026-01-02T03:04:05.000000000Z' WHERE name = 'Open WebUI';
    INSERT INTO notices (id, tenant_id, at, kind, severity, message, dedupe)
      SELECT 'n1', tenant_id, created_at, 'root_used', 'alert', 'The root token was used.', 'n1' FROM users WHERE user_name = '${root}';`);
  for (const user of ['leo@example.com', 'orla@example.com']) await call(root, 'POST', `/api/v1/admin/users/${await idOf(user)}/deactivate`);
  for (const [pattern, from, everyone] of [['gpt-4o', '2026-01-01', false], ['gpt-4o', '2099-01-01', false], ['anthropic/*', '2026-01-01', true]]) {
    await call(root, 'POST', '/api/v1/admin/prices', { pattern, from, everyone, input: 2_500_000, cache_read: 1_250_000, output: 10_000_000 });
  }
  await call(root, 'POST', '/api/v1/admin/limits', { kind: 'user', subject: people.member, requests_per_minute: 600, tokens_per_day: 1_400_000, spend_per_month: 20_000_000 });
  await call(root, 'POST', '/api/v1/admin/limits', { kind: 'user', subject: root, tokens_per_day: 1_000_000 });
  await call(root, 'POST', '/api/v1/admin/limits', { kind: 'workspace', subject: 'Research', tokens_per_day: 50_000_000 });
  await call(root, 'POST', '/api/v1/admin/limits', { kind: 'service_account', subject: bot.id, workspace: space.id, requests_per_minute: 10 });
  await ask(await mint(people.member, 'Jupyter')); // before their limit is reached
  server.sql(`INSERT INTO model_usage (tenant_id, day, token_id, workspace_id, provider_id, model, user_id, service_account_id, provider,
      requests, input, cache_reads, cache_writes, output, last_at, spend, unpriced)
    SELECT u.tenant_id, unixepoch() / 86400 - d.n, 't-' || u.id, '${space.id}', 'p', m.name, u.id, '', 'openai', 40 - d.n, 30000 * (25 - d.n), 9000, 0, 4000 * (25 - d.n),
      strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), 150000 * m.priced, 3 * (1 - m.priced)
    FROM users u, (WITH RECURSIVE n(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < 20) SELECT n FROM n) d,
      (SELECT 'gpt-4o' AS name, 1 AS priced UNION ALL SELECT 'gpt-4o-mini', 0) m WHERE u.user_name IN ('${people.member}', '${root}');`);
  server.sql(`UPDATE provider_keys SET last_used_at = strftime('%Y-%m-%dT%H:%M:%fZ', 'now'), last_used_user = (SELECT id FROM users WHERE user_name = '${people.member}'),
      last_used_token = (SELECT id FROM api_tokens WHERE name = 'Open WebUI');
    UPDATE model_usage SET key_id = k.id, provider_id = p.id FROM provider_keys k, provider_credentials p WHERE p.id = k.provider_id AND p.name = 'openai' AND model_usage.model = 'gpt-4o';`);
  const believe = (name, content) => call(root, 'POST', '/api/v1/beliefs', { workspace: 'default', scope: 'project:billing', type: 'decision', name, content });
  await contradict(server, () => believe('Database', 'We use MySQL 8.'), () => believe('Database', 'We use PostgreSQL 17, because of its row-level security.'));
  await believe('Indentation', 'Tabs, not spaces.');
  await call(root, 'PATCH', '/api/v1/admin/policy', { trust_page: 'people' });
  const wanted = await fetch(`${server.base}/settings/trust`, {
    method: 'POST', headers: { 'x-user-id': people.member, origin: server.base, 'content-type': 'application/x-www-form-urlencoded' },
    body: new URLSearchParams({ name: 'Mel Member', email: people.member, organisation: 'Example', wants: 'leavers', message: 'For a customer.' }),
  });
  assert.equal(wanted.status, 201, await wanted.clone().text());
  await call(root, 'POST', '/api/v1/admin/reviews', { title: 'Access review, fourth quarter' });
}

async function scimPost(kind, body) {
  const answer = await fetch(`${server.base}/scim/v2/${kind}`, {
    method: 'POST', headers: { authorization: `Bearer ${scim}`, 'content-type': 'application/scim+json' }, body: JSON.stringify(body),
  });
  assert.equal(answer.status, 201);
}

// kindOf is what makes an address worth another visit: the page, and what it is
// asked for.
function kindOf(href) {
  const url = new URL(href, server.base);
  const page = url.origin === server.base ? pageOf(url.pathname) : undefined;
  if (!page || pages.elsewhere[page]) return null;
  const asked = [...url.searchParams.keys()].filter((name) => name !== 'cursor').sort().join(',');
  return { page, kind: asked ? `${page}?${asked}` : page, path: url.pathname + url.search };
}

const nameOf = (kind) => kind.slice(1).replace(/[{}$]/g, '').replace(/\W+/g, '-').replace(/-$/, '');

// The looks in which a page is pictured and judged.
const looks = [['light', 1280], ['dark', 1280], ['light', 360], ['dark', 360]];

async function judge(page, name, faults) {
  const fits = (width) => page.evaluate(() => document.documentElement.scrollWidth - innerWidth)
    .then((over) => over > 0 && faults.push(`${name}: ${over} pixels wider than ${width}`));
  for (const [colorScheme, width] of looks) {
    await page.emulateMedia({ colorScheme });
    await page.setViewportSize({ width, height: 800 });
    await shot(page, `every-${name}-${colorScheme}-${width}`);
    await fits(width);
    if ((colorScheme === 'dark') !== (width === 360)) continue;
    const rules = colorScheme === 'dark' ? ['color-contrast', 'target-size', 'link-in-text-block'] : undefined; // what looks change
    await accessible(page, `${name}, ${colorScheme}, ${width} pixels`, rules).catch((error) => faults.push(error.message));
  }
  for (const width of [320, 3840]) {
    await page.setViewportSize({ width, height: 800 });
    await fits(width);
  }
  const [left, right] = await page.locator('main').evaluate((main) => [main.getBoundingClientRect().left, innerWidth - main.getBoundingClientRect().right]);
  assert.ok(Math.abs(left - right) < 300, `${name}, 3840 pixels: ${left} left of it, ${right} right of it`);
}

test('every page is found by its links, and is well on every screen', async () => {
  await visit(browser, server, { user: people.member }, async (other) => { // whose session can be ended
    await other.goto('/settings');
    await visit(browser, server, { user: root }, async (mine) => {
      await mine.goto('/settings');
      await visit(browser, server, { user: root }, async (page) => {
        const waiting = ['/settings'];
        const seen = new Set(); // addresses
        const kinds = new Set();
        const faults = [];
        while (waiting.length) {
          const { page: which, kind, path } = kindOf(waiting.shift());
          if (seen.has(path)) continue;
          seen.add(path);
          if (kinds.has(kind)) { // one more of a kind: for its links alone
            if (which.includes('{')) waiting.push(...await linksOf(page, path));
            continue;
          }
          kinds.add(kind);
          if (!found.has(which)) found.set(which, path);
          const answer = await page.goto(path);
          assert.equal(answer.status(), 200, path);
          await judge(page, nameOf(kind), faults);
          waiting.push(...await linksOf(page, path));
        }
        assert.deepEqual(faults, []);
        assert.deepEqual(pages.walked.filter((which) => !found.has(which)), [], 'pages without a link to them');
      });
    });
  });
});

// linksOf opens a page and gives the addresses of the dashboard that it leads to.
async function linksOf(page, path) {
  const answer = await page.request.get(path);
  assert.equal(answer.status(), 200, `a link leads to ${path}`);
  return [...(await answer.text()).matchAll(/href="([^"]+)"/g)].map((match) => match[1].replaceAll('&amp;', '&')).filter(kindOf);
}

// walk finds what somebody's links lead to: every one of them opens.
async function walk(browserPage) {
  const reached = new Set();
  const seen = new Set();
  const waiting = ['/settings'];
  while (waiting.length) {
    const { page, kind, path } = kindOf(waiting.shift());
    if (seen.has(path) || !page.includes('{') && seen.has(kind)) continue;
    seen.add(path).add(kind);
    reached.add(page);
    waiting.push(...await linksOf(browserPage, path));
  }
  return reached;
}

// Pages that list what is one's own, or nothing: anybody may open them, and those
// to whom they are of use have a link.
const ones = ['/admin/reviews', '/settings/sessions/end-others', '/admin/exceptions', '/admin/exceptions/new', '/admin/requests', '/admin/workspaces', '/admin/workspaces/{id}'];

for (const role of Object.keys(people)) {
  test(`what is no page of theirs has no link and is refused: ${role}`, async () => {
    await visit(browser, server, { user: people[role] }, async (browserPage) => {
      await browserPage.goto('/settings');
      const reached = await walk(browserPage);
      for (const page of ['/settings', '/settings/sessions', '/settings/activity', '/settings/trust']) assert.ok(reached.has(page), page);
      assert.equal(reached.has('/admin'), role === 'admin' || role === 'auditor');
      assert.equal(reached.has('/admin/workspaces'), role !== 'member' && role !== 'viewer');
      assert.equal(reached.has('/admin/people/{id}/deactivate'), role === 'admin');
      assert.equal(reached.has('/admin/providers/new'), false);
      for (const [page, path] of found) {
        if (reached.has(page) || ones.includes(page)) continue;
        const answer = await browserPage.request.get(path);
        assert.ok([403, 404].includes(answer.status()), `${role}: ${path} has no link, and answers ${answer.status()}`);
      }
    });
  });
}
