// The recipes of deploy/demo/recipes, each copied into a page.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { Demo } from './lib/demo.mjs';
import { until } from './lib/process.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

describe('recipes', { concurrency: 3 }, () => {
  it('state first, then the stream', inOwnDemo('snapshot.py', snapshotAndStream));
  it('fetch the state again after a gap', inOwnDemo('gap.html', fetchesAgain));
});

// A demo in which nobody else inserts rows or misses deleted ones.
function inOwnDemo(recipe, test) {
  return async () => {
    const demo = await Demo.open();
    try {
      await withPage(demo.url, `recipes/${recipe}`, (page) => test(page, demo));
    } finally {
      await demo.close();
      demo.removeDirectory();
    }
  };
}

async function withPage(origin, path, test) {
  const page = await openPage(browser, origin, path);
  try {
    await test(page);
    assert.deepEqual(page.problems, []);
  } finally {
    await closePage(page);
  }
}

// The page's stock as { item: version }, and the table's.
function shownVersions(page) {
  return page.locator('#stock li').evaluateAll((lines) => Object.fromEntries(
    lines.map(({ dataset }) => [dataset.item, Number(dataset.version)])));
}

async function storedVersions(demo) {
  const [json] = await demo.database.sql('SELECT json_group_object(item, version) FROM stock');
  return JSON.parse(json);
}

// The table changes all the time, so the page is right if it agrees with some moment.
function showsWhatIsStored(page, demo) {
  return until('the page shows what the table holds', async () => {
    const stored = JSON.stringify(await storedVersions(demo));
    return JSON.stringify(await shownVersions(page)) === stored;
  });
}

async function snapshotAndStream(page, demo) {
  // Like a slow network: many rows arrive between state and stream.
  await page.route('**/events?*', async (route) => {
    const [before] = await demo.database.sql('SELECT max(id) FROM events');
    await until('rows between state and stream', async () =>
      Number(await demo.database.sql('SELECT max(id) FROM events')) > Number(before) + 3);
    await route.continue();
  });
  await page.reload();
  const rendered = await shownVersions(page);
  assert.deepEqual(Object.keys(rendered), ['lantern', 'teapot', 'umbrella']);
  await until('the stream has moved the page on', async () =>
    JSON.stringify(await shownVersions(page)) !== JSON.stringify(rendered));
  await showsWhatIsStored(page, demo);
}

async function fetchesAgain(page, demo) {
  await showsWhatIsStored(page, demo);
  assert.equal(await page.locator('#fetched').textContent(), '1');
  // Before lighttpd has restarted rowtail, rows are inserted and pruned.
  demo.killRowtail();
  await demo.database.sql('UPDATE stock SET version = version + 1; DELETE FROM events');
  await page.getByText('2', { exact: true }).waitFor();
  await showsWhatIsStored(page, demo);
}
