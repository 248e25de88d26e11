// The page that README.md shows, as the demo's site serves it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, it } from 'node:test';

import { closePage, openPage } from './lib/chromium.mjs';
import { PROJECT } from './lib/database.mjs';
import { demoForTests } from './lib/demo.mjs';

const read = (name) => readFileSync(path.join(PROJECT, name), 'utf8');
// With EventSource, and with rowtail.js.
const PAGES = [...read('README.md').matchAll(/^```html\n(.*?)^```$/gms)].map(([, lines]) => lines);

describe('the page of README.md', () => {
  const opened = demoForTests();

  for (const [name, lines] of Object.entries({ EventSource: PAGES[0], 'rowtail.js': PAGES[1] })) {
    it(`shows rows by the lines that README.md gives, with ${name}`, () => showsRows(lines));
  }

  it('is the page of the quick start', () => {
    assert.equal(PAGES.length, 2);
    assert.ok(read('deploy/demo/try/index.html').includes(PAGES[0]));
  });

  async function showsRows(lines) {
    const { browser, demo } = opened;
    const page = await openPage(browser, 'about:blank', '');
    await page.route('**/try.html', (route) => route.fulfill({ contentType: 'text/html', body: lines }));
    await page.route('**/rowtail.js', (route) => route.fulfill({
      contentType: 'text/javascript', body: read('deploy/browser/rowtail.js'),
    }));
    const streaming = page.waitForResponse(/events\?channel=orders/);
    await page.goto(`${demo.url}try.html`);
    await streaming;
    const [first, , third] = await demo.database.insert(
      { channel: 'orders/42', data: 'paid' },
      { channel: 'other', data: 'for others' },
      { channel: 'orders/43', data: '<b>packed</b>' },
    );
    await page.locator('#list li').nth(1).waitFor();
    assert.deepEqual(await page.locator('#list li').allTextContents(),
      [`${first}: paid`, `${third}: <b>packed</b>`]);
    assert.deepEqual(page.problems, []);
    await closePage(page);
  }
});
