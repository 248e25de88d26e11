// The recipes of deploy/demo/recipes, each copied into a page.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { Demo, demoForTests } from './lib/demo.mjs';
import { answer, Front, PASS } from './lib/front.mjs';
import { sleep, until } from './lib/process.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

describe('recipes', { concurrency: 3 }, () => {
  it('state first, then the stream', inOwnDemo('snapshot.py', snapshotAndStream));
  it('fetch the state again after a gap', inOwnDemo('gap.html', fetchesAgain));
  it('a live table follows every change, without fetching its state again', inOwnDemo('live-table.html', followsChanges));
});

// The pages that show each new order, by the libraries as published. All go through the same outages at once, each behind a
// front of its own.
const LIVE = ['htmx-2.html', 'htmx-4.html', 'turbo.html', 'datastar.html', 'react.html', 'vue.html', 'orders.php'];

describe('recipes with new orders and jobs', { concurrency: 3 }, () => {
  const opened = demoForTests();

  it('lose nothing and repeat nothing when rowtail is killed, and after 503 and 401', async () => {
    const { demo } = opened;
    const pages = await Promise.all([...LIVE, 'live-table.html'].map((name) => openRecipe(name)));
    try {
      const lists = pages.filter(({ name }) => LIVE.includes(name));
      await Promise.all(lists.map((one) => hasOrdersUpTo(one, demo, 'at first')));

      demo.killRowtail();
      await newOrder(demo, 'while rowtail is down');
      await Promise.all(lists.map((one) => hasOrdersUpTo(one, demo, 'after a kill')));

      for (const status of [503, 401]) {
        await refuseAll(pages, demo, status);
        await Promise.all(lists.map((one) => hasOrdersUpTo(one, demo, `after ${status}`)));
      }
      await hasTable(pages.at(-1).page, demo, 'after all of this');
      const datastar = pages.find(({ name }) => name === 'datastar.html').page;
      await until('Datastar shows the signal', async () => {
        const [data] = await demo.database.sql("SELECT data FROM events WHERE event = 'datastar-merge-signals' ORDER BY id DESC LIMIT 1");
        return data === `signals {"total":${await datastar.locator('#total').textContent()}}`;
      });
      pages.forEach(({ name, page }) => assert.deepEqual(page.problems, [], name));
    } finally {
      await Promise.all(pages.map(async ({ page, front }) => {
        await closePage(page);
        await front.close();
      }));
    }
  });

  it('htmx 4 does not show the sentence of a refusal, and begins later', async () => {
    const front = await Front.open({ port: opened.demo.port });
    front.act = answer(401, 'Not now.', 'text/plain');
    const page = await openPage(opened.browser, front.origin, '/recipes/htmx-4.html');
    try {
      await until('it has asked', () => front.asked.length > 0);
      await sleep(200);
      assert.equal(await page.locator('#orders').textContent(), '');
      front.act = PASS;
      await page.locator('#orders li').first().waitFor();
    } finally {
      await closePage(page);
      await front.close();
    }
  });

  it('htmx stops when it is denied', async () => {
    const denied = 'event: denied\ndata: {"reason":"revoked"}\nid: 1\n\n';
    await Promise.all(['htmx-2.html', 'htmx-4.html'].map(async (name) => {
      const { page, front } = await openRecipe(name);
      try {
        await until(`${name} has asked`, () => front.asked.length > 0);
        front.act = answer(200, denied, 'text/event-stream');
        opened.demo.killRowtail();
        await until(`${name} is denied`, () => front.asked.length > 1);
        await sleep(2500);
        assert.equal(front.asked.length, 2, name);
      } finally {
        await closePage(page);
        await front.close();
      }
    }));
  });

  for (const language of ['PHP', 'Python']) {
    it(`a job started in ${language} is followed over a kill and a reload, and has an end`, async () => {
      const { demo } = opened;
      const { page, front } = await openRecipe('job.html');
      try {
        page.ends = 0;
        page.on('response', (response) => { page.ends += response.status() === 204; });
        await page.fill('[name=steps]', '8');
        await page.click(`text=Start in ${language}`);
        await hasDone(page, 2);
        demo.killRowtail();
        await hasDone(page, 4);
        await page.reload();
        await page.getByText('Finished, 8 steps.').waitFor();
        const [job] = /\d+$/.exec(page.url());
        assert.deepEqual(await demo.database.sql(`SELECT event FROM events WHERE channel = 'jobs/${job}' ORDER BY id`),
          [...Array(7).fill('progress'), 'end']);
        await stops(page, front);
        await page.reload();
        await page.getByText('Finished, 8 steps.').waitFor();
        await stops(page, front);
        assert.deepEqual(page.problems, []);
      } finally {
        await closePage(page);
        await front.close();
      }
    });
  }

  async function openRecipe(name) {
    const front = await Front.open({ port: opened.demo.port });
    return { name, front, page: await openPage(opened.browser, front.origin, `/recipes/${name}`) };
  }
});

const CHANGES = {
  insert: "INSERT INTO orders(customer, item, amount) VALUES ('<b>A & Co', 'teapot', 1)",
  update: "UPDATE orders SET state = 'lost' WHERE id = (SELECT max(id) FROM orders)",
  'a new key': 'UPDATE orders SET id = id + 1000 WHERE id = (SELECT max(id) FROM orders)',
  replace: "REPLACE INTO orders(id, customer, item, amount) SELECT max(id), 'B', 'kettle', 2 FROM orders",
  bulk: `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
    INSERT INTO orders(customer, item, amount) SELECT 'bulk', 'lantern', i FROM n;
    UPDATE orders SET amount = amount + 1`,
  delete: "DELETE FROM orders WHERE customer = 'bulk'",
};

let orders = 0;
async function newOrder(demo, customer) {
  await demo.database.sql(`INSERT INTO orders(customer, item, amount)
    VALUES ('${customer} <i>&amp;', 'kettle', ${++orders})`);
}

// Ends every stream, and answers each page's next requests with a status. Orders are inserted meanwhile.
async function refuseAll(pages, demo, status) {
  const refused = pages.map(({ front }) => {
    front.asked.length = 0;
    front.act = answer(status, 'Not now.', 'text/plain');
    return front;
  });
  demo.killRowtail();
  await until(`${status} for each page`, () => refused.every((front) => front.asked.length > 0));
  await newOrder(demo, `while it is ${status}`);
  refused.forEach((front) => { front.act = PASS; });
}

function hasDone(page, steps) {
  return until(`${steps} steps are shown`, async () => await page.locator('#progress').evaluate(({ value }) => value) >= steps);
}

// EventSource reconnects once, is answered 204, and never asks again; the demo's reconnection time is 1.5 s at most.
async function stops(page, front) {
  await until('an answer of 204', () => page.ends > 0);
  page.ends = 0;
  const asked = front.asked.length;
  await sleep(2500);
  assert.equal(front.asked.length, asked);
}

/** The page lists every order from its first to the newest, once and in order, as text. */
function hasOrdersUpTo({ name, page }, demo, when) {
  return until(`${name} has every order once, ${when}`, async () => {
    const [newest] = await demo.database.sql("SELECT seq FROM sqlite_sequence WHERE name = 'orders'");
    const shown = await page.locator('#orders li').evaluateAll((lines) => lines.map(({ dataset, textContent, children }) => {
      if (children.length > 0 || !textContent.startsWith(`${dataset.id}: `)) {
        throw new Error(`no text: ${textContent}`);
      }
      return Number(dataset.id);
    }));
    shown.forEach((id, i) => assert.equal(id, shown[0] + i, `${name}, ${when}: ${shown}`));
    return shown.at(-1) === Number(newest);
  }, 30_000);
}

function hasTable(page, demo, when) {
  return until(`the page shows what the table holds: ${when}`, async () => {
    const stored = await demo.database.sql(
      "SELECT id || '|' || customer || '|' || item || '|' || amount || '|' || state FROM orders");
    const shown = await page.locator('#orders tr').evaluateAll((lines) => lines.map(({ cells }) =>
      [...cells].map(({ textContent }) => textContent).join('|')));
    return JSON.stringify(shown.sort()) === JSON.stringify(stored.sort());
  });
}

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

async function followsChanges(page, demo) {
  let fetched = 0;
  await until('the table is there', () => page.locator('#orders tr').count());
  page.on('request', (request) => { fetched += request.url().includes('snapshot.py'); });
  for (const [what, change] of Object.entries(CHANGES)) {
    await demo.database.sql(change);
    await hasTable(page, demo, what);
  }
  demo.killRowtail();
  await demo.database.sql(Object.values(CHANGES).join(';'));
  await hasTable(page, demo, 'all of these while rowtail is down');
  assert.equal(fetched, 0);
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
