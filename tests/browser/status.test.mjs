// The status page in a browser: what it shows, what it loads, and how it is used.
//
// `make pictures` also takes its pictures for README.md (PICTURES=1), after a minute of rows.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';

import { launch } from './lib/chromium.mjs';
import { Database, PROJECT } from './lib/database.mjs';
import { compressed, sizeOf } from './lib/png.mjs';
import { freePort, makeDirectory, removeDirectory, sleep, until } from './lib/process.mjs';
import { Rowtail } from './lib/rowtail.mjs';

const TAKE = Boolean(process.env.PICTURES);
const SIZE = { width: 1200, height: 1000 };
const LARGEST_BYTES = 150_000;
const SECRET = 'do-not-show-this-token';

const fileOf = (scheme) => path.join(PROJECT, `deploy/pictures/status-${scheme}.png`);

class Scene {
  static async open() {
    const scene = new Scene();
    scene.dir = makeDirectory();
    const [http, pages] = [await freePort(), await freePort()];
    scene.url = `http://127.0.0.1:${pages}`;
    scene.streams = `http://127.0.0.1:${http}/events`;
    scene.database = await Database.create(scene.dir);
    scene.rowtail = new Rowtail(scene.dir, scene.database,
      ['--public', '--pages', `127.0.0.1:${pages}`], `127.0.0.1:${http}`);
    await scene.rowtail.start();
    scene.ends = new AbortController();
    return scene;
  }

  /** Opens a stream, and reads it until the scene closes. */
  async follow(query) {
    const { body } = await fetch(`${this.streams}?${query}`, {
      signal: this.ends.signal,
      headers: { Accept: 'text/event-stream', Authorization: `Bearer ${SECRET}` },
    });
    body.pipeTo(new WritableStream()).catch(() => {});
  }

  async close() {
    this.ends.abort();
    await this.rowtail.stop();
    await this.database.close();
    removeDirectory(this.dir);
  }
}

async function openStatus(browser, scene, options = {}) {
  const context = await browser.newContext({ viewport: SIZE, ...options });
  const page = await context.newPage();
  page.problems = [];
  page.requests = [];
  page.on('pageerror', (error) => page.problems.push(error.stack));
  page.on('console', (message) => page.problems.push(message.text()));
  page.on('request', (request) => page.requests.push(request.url()));
  await page.goto(`${scene.url}/status`);
  return page;
}

const fact = async (page, name) => (await page.locator(`td[data-fact=${name}]`).textContent()).trim();
const points = (page, chart) => page.locator(`figure:nth-of-type(${chart}) path`).first()
  .evaluate((line) => line.getAttribute('d').split(/[ML]/).length - 1).catch(() => 0);
const chart = (page, title) => page.locator('figure', { hasText: title });

describe('the status page', () => {
  let browser;
  let scene;
  before(async () => {
    [browser, scene] = await Promise.all([launch(), Scene.open()]);
    await scene.follow('channel=orders/*');
    await scene.follow('channel=orders/*');
    await scene.follow(`channel=%3Cb%3Enews&access_token_=${SECRET}`);
  });
  after(async () => {
    await browser.close();
    await scene.close();
  });

  async function onPage(options, test) {
    const page = await openStatus(browser, scene, options);
    try {
      await test(page);
      assert.deepEqual(page.problems, []);
      assert.deepEqual(page.requests.filter((url) => url !== `${scene.url}/status`), []);
    } finally {
      await page.context().close();
    }
  }

  it('renews its facts and draws lines that grow, from its own server alone', () => onPage({}, async (page) => {
    await until('a line', async () => await points(page, 1) >= 2);
    const [streams, before] = [await fact(page, 'streams'), await points(page, 1)];
    assert.equal(streams, '3');
    await scene.database.insert({ channel: 'orders/1', data: 'x' }, { channel: 'orders/2', data: 'y' });
    await until('the new rows', async () => await fact(page, 'records_sent_total') === '4');
    await until('more points', async () => await points(page, 1) > before);
    assert.equal(await fact(page, 'log_newest_id'), '2');
    const channels = await page.locator('#channels tr').allInnerTexts();
    assert.deepEqual(channels.map((row) => row.split(/\s+/)), [['orders/*', '2'], ['<b>news', '1']]);
    assert.match(await page.locator('#log').textContent(), /follows events of/);
    assert.match(await chart(page, 'Latency').textContent(), /median [\d.]+ ms/);
    assert.match(await page.locator('footer').textContent(), /for administrators/);
    assert.doesNotMatch(await page.content(), new RegExp(SECRET));
  }));

  it('is used by keyboard: the span of the charts, and a time in a chart', () => onPage({}, async (page) => {
    await until('a line', async () => await points(page, 1) >= 3);
    await page.locator('input[value=minute]').focus();
    await page.keyboard.press('ArrowRight');
    assert.equal(await page.locator('input[value=hour]').isChecked(), true);
    assert.match(await chart(page, 'Streams').textContent(), /1 h ago/);
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('Tab');
    assert.equal(await page.evaluate(() => document.activeElement.tagName), 'FIGURE');
    await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('ArrowLeft');
    assert.match(await page.locator('figure:focus').getAttribute('aria-label'), /^Streams: .*3 .*2 s ago/);
    await page.keyboard.press('Escape');
    assert.doesNotMatch(await page.locator('figure:focus').getAttribute('aria-label'), /\d s ago/);
  }));

  it('says that the log cannot be read, and that rowtail is gone', async () => {
    const other = await Scene.open();
    const page = await openStatus(browser, other);
    try {
      await other.database.sql('DROP TABLE events');
      await until('the reason', async () => /events/.test(await page.locator('#state.bad').textContent()));
      await other.rowtail.stop();
      await until('an old page', async () => /does not answer/.test(await page.locator('#state.bad').textContent()));
    } finally {
      await page.context().close();
      await other.close();
    }
  });

  it('is tables without JavaScript, that load again by themselves', () => onPage({ javaScriptEnabled: false }, async (page) => {
    assert.equal(await fact(page, 'streams'), '3');
    assert.equal(await page.locator('#charts').isVisible(), false);
    assert.equal(await page.locator('noscript meta[http-equiv=refresh]').count(), 1);
    assert.equal(await page.locator('td[data-reason=memory]').first().isVisible(), false);
  }));

  it('has colours of its own in the dark', async () => {
    const brightness = {};
    for (const colorScheme of ['light', 'dark']) {
      await onPage({ colorScheme }, async (page) => {
        const colours = await page.evaluate(() => {
          const { backgroundColor, color } = getComputedStyle(document.body);
          return [backgroundColor, color].map((c) => c.match(/\d+/g).map(Number).reduce((a, b) => a + b));
        });
        brightness[colorScheme] = colours[0] - colours[1];
      });
    }
    assert.ok(brightness.light > 300 && brightness.dark < -300, JSON.stringify(brightness));
  });

  it('fits a phone', () => onPage({ viewport: { width: 360, height: 640 } }, async (page) => {
    await until('a line', async () => await points(page, 1) >= 2);
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth));
    if (TAKE) {
      writeFileSync(path.join(PROJECT, 'build/status-phone.png'), await page.screenshot({ fullPage: true }));
    }
  }));

  // After the other tests, which count streams and rows.
  it('has pictures in README.md', async () => {
    if (TAKE) {
      await takePictures();
    }
    for (const scheme of ['light', 'dark']) {
      const png = readFileSync(fileOf(scheme));
      assert.ok(png.length < LARGEST_BYTES, `${png.length} bytes`);
      assert.deepEqual(sizeOf(png), SIZE);
    }
  });

  // Traffic as it could be: about a hundred streams that come and go, and rows in bursts.
  async function liveAMinute() {
    for (let i = 0; i < 640; i++) {
      if (i % 6 === 0 && (i < 200 || i > 400)) {
        await scene.follow(`channel=${['orders/*', 'news', `user/${i}`][i / 6 % 3]}`);
      }
      const rows = Math.round(5 + 3 * Math.sin(i / 40) + (i % 150 < 12 ? 9 : 0));
      await scene.database.insert(...Array.from({ length: rows }, (_, row) =>
        ({ channel: row % 3 ? `orders/${i}` : 'news', data: `row ${row}` })));
      await sleep(100);
    }
  }

  async function takePictures() {
    const page = await openStatus(browser, scene);
    await liveAMinute();
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await page.evaluate(() => {
        for (const cell of document.querySelectorAll('td[data-fact=db], #log')) {
          cell.textContent = cell.textContent.replaceAll(/\/\S*rowtail-browser-[^/]*/g, '/srv/events');
        }
      });
      writeFileSync(fileOf(colorScheme), compressed(await page.screenshot({ animations: 'disabled', scale: 'css' })));
    }
    await page.context().close();
  }
});
