// The demo as a visitor sees it: started, viewed, disconnected, resumed, stopped.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { describe, it } from 'node:test';

import { closePage, openPage } from './lib/chromium.mjs';
import { PROJECT } from './lib/database.mjs';
import { Demo, demoForTests, runDemo } from './lib/demo.mjs';
import { freePort, makeDirectory, processesWith, removeDirectory, sleep, start, until } from './lib/process.mjs';

const DRAW_MS = 250; // more than in deploy/demo/page/demo.js
const CLIENTS = ['rowtail', 'fetch', 'shared', 'post'];

// Tests that share a demo, each with its own page.
function onDemo(name, tests) {
  describe(name, { concurrency: 3 }, () => {
    const opened = demoForTests();

    for (const [what, test] of Object.entries(tests)) {
      it(what, async () => {
        const { browser, demo } = opened;
        const page = await openPage(browser, demo.url, '');
        try {
          await everyClient(page, ({ state }) => state === 'live');
          await test(page, demo);
          assert.deepEqual(page.problems, []);
        } finally {
          await closePage(page);
        }
      });
    }
  });
}

onDemo('the demo page', {
  'shows rows that anyone inserts': showsRows,
  'resumes four clients with nothing lost or repeated': cutsAndResumes,
  'resumes one client alone, by keyboard': cutsByKeyboard,
  'fits a phone': fitsPhone,
  'shares one stream among tabs': sharesStream,
});

// Separate, since the other tests count rows.
onDemo('the demo page of a pruned log', {
  'tells of a gap when rows were pruned meanwhile': tellsOfGap,
});

describe('the demo program', { concurrency: 3 }, () => {
  for (const [signal, status] of [['SIGINT', 0], ['SIGTERM', 143], ['SIGHUP', 129]]) {
    it(`leaves nothing behind after ${signal}`, async () => {
      const demo = await Demo.open();
      await until('rows are inserted', async () =>
        Number(await demo.database.sql('SELECT count(*) FROM events')) > 2);
      assert.deepEqual(await demo.close(signal), { code: status, signal: null });
      assert.deepEqual(readdirSync(demo.dir), []);
      assert.deepEqual(processesWith(demo.dir), []);
      demo.removeDirectory();
    });
  }

  it('leaves nothing behind when make demo is terminated', async () => {
    const dir = makeDirectory();
    const port = await freePort();
    // What make would build is there.
    const make = start('make', ['-C', PROJECT, 'demo', 'MAKE=true', `PORT=${port}`],
      { env: { ...process.env, TMPDIR: dir } });
    await until(() => `the demo's URL; make says: ${make.output()}`,
      () => make.output().includes(`http://127.0.0.1:${port}/`));
    await make.stop('SIGTERM');
    assert.deepEqual(readdirSync(dir), []);
    assert.deepEqual(processesWith(dir), []);
    removeDirectory(dir);
  });

  it('says that its port is in use', async () => {
    const demo = await Demo.open();
    try {
      const second = runDemo(demo.port, demo.dir);
      const { code } = await second.closed;
      assert.equal(code, 1);
      assert.match(second.output(), new RegExp(`port ${demo.port} is taken`));
      assert.equal(readdirSync(demo.dir).length, 1);
    } finally {
      await demo.close();
      demo.removeDirectory();
    }
  });

  it('says that a port is invalid', async () => {
    const { closed, output } = runDemo('80 80', '/tmp');
    assert.equal((await closed).code, 1);
    assert.match(output(), /PORT=80 80 is no port/);
  });
});

// The contents of the page's cards: { client: { state, position, received, late, lost, repeated,
// note } }.
function cards(page) {
  return page.evaluate(() => Object.fromEntries(
    [...document.querySelectorAll('[data-client]')].map((card) => {
      const number = (name) =>
        Number(card.querySelector(`[data-value="${name}"]`).textContent.replaceAll(',', ''));
      return [card.dataset.client, {
        state: card.dataset.state,
        position: number('position'),
        received: number('received'),
        late: number('late'),
        lost: number('lost'),
        repeated: number('repeated'),
        note: card.querySelector('.note').textContent,
      }];
    })));
}

// Waits until every card is as wanted, and returns the cards.
async function everyClient(page, wanted, keys = CLIENTS) {
  let seen;
  await until(() => `cards: ${JSON.stringify(seen)}`, async () => {
    seen = await cards(page);
    return keys.every((key) => wanted(seen[key]));
  });
  return seen;
}

// The rows between two ids that the page follows; the others are for the recipes.
async function countFollowed(demo, after, upTo) {
  return Number(await demo.database.sql(`SELECT count(*) FROM events WHERE id > ${after} AND id <= ${upTo} AND
    (channel LIKE 'stock/%' OR channel IN ('weather', 'chat', 'default'))`));
}

async function showsRows(page, demo) {
  const [id] = await demo.database.insert('hello, <b>you</b>');
  const row = page.locator(`#rows tr[data-id="${id}"]`);
  await row.waitFor();
  assert.deepEqual((await row.locator('td').allTextContents()).slice(0, 4),
    [String(id), 'default', 'message', 'hello, <b>you</b>']);
  await until('rows of the inserting program', async () =>
    (await page.locator('#channels li').allTextContents()).some((text) => text.startsWith('stock/')));
  assert.match(await page.textContent('#command'), /^sqlite3 \/.*\/events\.db "INSERT INTO events/);
  assert.equal(await page.locator('#empty').isVisible(), false);
}

async function cutsAndResumes(page, demo) {
  await everyClient(page, ({ received }) => received > 0);
  await page.click('#cut-all');
  await everyClient(page, ({ state }) => state === 'cut');
  // A card's numbers are updated a few times a second, its state at once.
  await sleep(DRAW_MS * 2);
  const cut = await cards(page);
  const [first] = await demo.database.sql('SELECT max(id) FROM events');
  await until('rows that nobody hears', async () => await countFollowed(demo, first, Number.MAX_SAFE_INTEGER) >= 5);
  assert.deepEqual(await cards(page), cut);

  await page.click('#cut-all');
  const seen = await everyClient(page, ({ state, position, late }) =>
    state === 'live' && position >= Number(first) + 5 && late >= 5);
  for (const key of CLIENTS) {
    assert.deepEqual([seen[key].lost, seen[key].repeated], [0, 0], key);
    assert.equal(seen[key].received - cut[key].received,
      await countFollowed(demo, cut[key].position, seen[key].position), key);
  }
}

async function cutsByKeyboard(page, demo) {
  const button = page.locator('[data-client="fetch"] button');
  await button.focus();
  await page.keyboard.press('Space');
  await everyClient(page, ({ state }) => state === 'cut', ['fetch']);
  await everyClient(page, ({ state }) => state === 'live', ['rowtail', 'shared', 'post']);
  const [id] = await demo.database.insert('while fetch was cut');
  await page.keyboard.press('Enter');
  const { fetch } = await everyClient(page, ({ position, late }) => position >= id && late > 0, ['fetch']);
  assert.deepEqual([fetch.lost, fetch.repeated], [0, 0]);
  await until('what was missed is said', async () =>
    /fetch, streaming resumed: \d+ missed/.test(await page.textContent('#news')));
}

async function tellsOfGap(page, demo) {
  const button = page.locator('[data-client="rowtail"] button');
  await button.click();
  await everyClient(page, ({ state }) => state === 'cut', ['rowtail']);
  const [id] = await demo.database.insert('pruned before it is read');
  await demo.database.sql(`DELETE FROM events WHERE id = ${id}`);
  await button.click();
  const { rowtail } = await everyClient(page, ({ note }) => note.includes('pruned'), ['rowtail']);
  assert.match(rowtail.note, /reported a gap/);
  assert.equal(rowtail.repeated, 0);
}

async function fitsPhone(page) {
  await page.setViewportSize({ width: 360, height: 740 });
  await page.locator('#rows tbody tr').first().waitFor();
  assert.equal(await page.evaluate(() => document.documentElement.scrollWidth), 360);
  const unnamed = await page.locator('button, select, a, canvas').evaluateAll((elements) =>
    elements.filter((element) => !(element.getAttribute('aria-label') ?? element.textContent).trim())
      .map((element) => element.outerHTML));
  assert.deepEqual(unnamed, []);
}

async function sharesStream(page, demo) {
  // A browser opens at most six connections to a host; two tabs of this page would need seven.
  await page.locator('[data-client="fetch"] button').click();
  await page.locator('[data-client="post"] button').click();
  const second = await page.context().newPage();
  await second.goto(demo.url);
  await everyClient(second, ({ state, received }) => state === 'live' && received > 0, ['shared']);
  // The first tab disconnects and returns with an older position: it gets the rows that it missed,
  // and the other tab gets nothing twice.
  await page.locator('[data-client="shared"] button').click();
  const { shared: before } = await everyClient(page, ({ state }) => state === 'cut', ['shared']);
  const [id] = await demo.database.insert('missed by one tab');
  await everyClient(second, ({ position }) => position >= id, ['shared']);
  await page.locator('[data-client="shared"] button').click();
  for (const tab of [page, second]) {
    const { shared } = await everyClient(tab, ({ position }) => position > id, ['shared']);
    assert.deepEqual([shared.lost, shared.repeated], [0, 0]);
    if (tab === page) {
      assert.equal(shared.received - before.received, await countFollowed(demo, before.position, shared.position));
    }
  }
}
