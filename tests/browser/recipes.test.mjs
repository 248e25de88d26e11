// The recipes of deploy/demo/recipes, each copied into a page.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { Demo } from './lib/demo.mjs';
import { until } from './lib/process.mjs';
import { Stack } from './lib/stack.mjs';

const STREAM = '/events?channel=stock/*';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

describe('recipes', { concurrency: 3 }, () => {
  let demo;
  before(async () => { demo = await Demo.open(); });
  after(async () => {
    await demo.close();
    demo.removeDirectory();
  });

  const inDemo = (recipe, test) => () =>
    withPage(demo.url, `recipes/${recipe}`, (page) => test(page, demo));
  it('survive a reload', inDemo('reload.html', survivesReload));
  it('one stream for all tabs', inDemo('one-stream.html', sharesOneStream));
  it('one stream without SharedWorker', inDemo('denied.html', streamsWithoutWorker));
  it('state first, then the stream', inOwnDemo('snapshot.py', snapshotAndStream));
  it('fetch the state again after a gap', inOwnDemo('gap.html', fetchesAgain));

  it('stop when access is revoked', async () => {
    const stack = await Stack.open({ settings: [] });
    try {
      await stack.database.sql("INSERT INTO grants(subject, channel) VALUES ('*', 'weather')");
      await withPage(stack.origin, '/recipes/denied.html', (page) => stopsWhenDenied(page, stack));
    } finally {
      await stack.close();
    }
  });
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

async function survivesReload(page, demo) {
  const numbers = () => page.locator('#chat li').evaluateAll((lines) => lines.map(({ value }) => value));
  const say = (n) => demo.database.insert(
    { channel: 'chat', event: 'chat', data: JSON.stringify({ n, from: 'test', text: 'hello' }) });
  await say(1_000_001);
  await until('the first is shown', async () => (await numbers()).includes(1_000_001));
  await page.goto('about:blank');
  await say(1_000_002);
  await page.goBack();
  await say(1_000_003);
  await until('the third is shown', async () => (await numbers()).includes(1_000_003));
  assert.deepEqual((await numbers()).filter((n) => n > 1_000_000), [1_000_001, 1_000_002, 1_000_003]);
}

async function sharesOneStream(page, demo) {
  const url = page.url();
  const tabs = [page];
  // Seven tabs with separate streams would be one more than HTTP/1.1 allows.
  while (tabs.length < 7) {
    const tab = await page.context().newPage();
    await tab.goto(url);
    tabs.push(tab);
  }
  await Promise.all(tabs.map((tab) => tab.getByText('Live.').waitFor()));
  const ids = await demo.database.insert(
    ...[1, 2, 3].map((n) => ({ channel: 'stock/test', event: 'stock', data: `row ${n}` })));
  for (const tab of tabs) {
    await tab.getByText('row 3', { exact: true }).waitFor();
    const shown = await tab.locator('#rows li').evaluateAll((lines) => lines.map(({ value }) => value));
    assert.deepEqual(ids.map((id) => shown.filter((value) => value === id).length), [1, 1, 1]);
  }
}

async function streamsWithoutWorker(page, demo) {
  const [position] = await demo.database.insert({ channel: 'stock/alone', event: 'stock', data: 'before' });
  await page.evaluate(async ([stream, from]) => {
    delete globalThis.SharedWorker;
    const { oneStream } = await import('./one-stream.js');
    globalThis.got = [];
    oneStream(stream, {
      types: ['stock'], position: from, record: ({ data }) => globalThis.got.push(data),
    });
  }, [STREAM, position - 1]);
  await demo.database.insert({ channel: 'stock/alone', event: 'stock', data: 'after' });
  await until('both rows', () => page.evaluate(() => globalThis.got.includes('after')));
  assert.deepEqual(await page.evaluate(() => globalThis.got.filter((data) => !data.startsWith('{'))),
    ['before', 'after']);
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

async function stopsWhenDenied(page, stack) {
  await page.getByText('Live.').waitFor();
  await stack.insert({ channel: 'weather', data: 'sunny' });
  await page.getByText('sunny').waitFor();
  await stack.database.sql('DELETE FROM grants');
  await page.getByText('Your access was revoked.').waitFor();
  await page.reload();
  await page.getByText('You may not read this.').waitFor();
}
