// My beliefs: one is written down, found, changed, kept against another, exported and erased.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { after, before, test } from 'node:test';

import { accessible, contradict, fits, launch, serve, shot, visit } from './harness.mjs';

let browser;
let server;

before(async () => {
  server = await serve('teams');
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const press = (page, name) => page.getByRole('main').getByRole('button', { name, exact: true }).click();
const follow = (page, name) => page.getByRole('main').getByRole('link', { name, exact: true }).click();
const told = (page, text) => page.getByRole('status').filter({ hasText: text }).waitFor();
const row = (page, text) => page.locator('section[aria-labelledby=beliefs] tbody tr').filter({ hasText: text });

async function write(page, name, content) {
  await page.goto('/beliefs/new');
  await page.getByLabel('Where it holds').fill('project:billing');
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('textbox', { name: 'What holds' }).fill(content);
  await press(page, 'Save');
  await told(page, 'is saved');
}

for (const scripted of [true, false]) {
  test(`beliefs are written down, found, changed, kept and erased: ${scripted ? 'with a script' : 'without JavaScript'}`, async () => {
    await visit(browser, server, { user: 'alice@example.com', javaScriptEnabled: scripted, refusals: scripted ? 1 : 0 }, async (page) => {
      await page.goto('/settings');
      await page.getByRole('link', { name: 'My beliefs' }).click();
      await page.getByText('You have none.').waitFor();
      if (scripted) await shot(page, 'beliefs-none');
      await write(page, 'Database', 'We use MySQL.');
      await follow(page, 'Change');
      await page.getByRole('textbox', { name: 'What holds' }).fill('We use PostgreSQL.');
      await press(page, 'Save');
      await told(page, 'in the place of what was said before');
      await page.getByRole('link', { name: 'We use MySQL.' }).waitFor(); // in its history
      if (scripted) {
        await accessible(page, 'one belief');
        await fits(page, 'one belief');
        await shot(page, 'belief');
      }
      await follow(page, 'Delete');
      await press(page, 'Delete for good');
      await told(page, 'is deleted');
      await contradict(server, () => write(page, 'Indentation', 'Tabs, of course.'), () => write(page, 'Indentation', 'Spaces, of course.'));
      await write(page, 'Editor', 'Any that speaks OpenAI.');

      await page.goto('/beliefs');
      await page.getByLabel('Search').fill('OPENAI');
      await press(page, 'Find');
      await row(page, 'Editor').waitFor();
      await row(page, 'Indentation').first().waitFor({ state: 'detached' });
      assert.match(page.url(), /q=OPENAI/);

      await page.goto('/beliefs');
      await page.getByText('Contradiction:').waitFor();
      if (scripted) {
        await accessible(page, 'a contradiction');
        await fits(page, 'a contradiction');
        await shot(page, 'beliefs');
      }
      await press(page, 'Keep this one (Tabs, of course.)');
      await told(page, '“Indentation” holds no more: “Spaces, of course.”');
      assert.equal(await page.getByText('Contradiction:').count(), 0);

      await page.goto('/beliefs');
      const download = page.waitForEvent('download');
      await follow(page, 'Export all');
      const file = JSON.parse(await readFile(await (await download).path(), 'utf8'));
      assert.deepEqual(file.beliefs.map((b) => b.name).sort(), ['Editor', 'Indentation', 'Indentation']);

      await follow(page, 'Erase all');
      if (scripted) {
        await page.getByLabel('Type “erase”').fill('yes');
        await press(page, 'Erase all');
        await page.getByText('nothing was erased').waitFor();
      }
      await page.getByLabel('Type “erase”').fill('erase');
      await press(page, 'Erase all');
      await told(page, 'Erased: 3 beliefs');
      await page.getByText('You have none.').waitFor();
    });
  });
}
