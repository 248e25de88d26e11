// The pictures in README.md: the demo page, and the drawing of a row's way.
//
// `make pictures` takes new pictures of the demo page (PICTURES=1). Otherwise the test checks that
// the page still looks like them: its size, colours, titles, buttons and labels. Each picture has
// these in a note. The rows on the page differ each time, and are not compared.

import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { after, before, describe, it } from 'node:test';
import { pathToFileURL } from 'node:url';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { PROJECT } from './lib/database.mjs';
import { Demo } from './lib/demo.mjs';
import { compressed, noteOf, sizeOf, withNote } from './lib/png.mjs';
import { sleep, until } from './lib/process.mjs';

const TAKE = Boolean(process.env.PICTURES);
const SIZE = { width: 1200, height: 1000 };
const LARGEST_BYTES = 150_000;
const SCHEMES = ['light', 'dark'];

const fileOf = (scheme) => path.join(PROJECT, `deploy/pictures/demo-${scheme}.png`);

const brightness = (colour) => colour.match(/\d+/g).slice(0, 3).map(Number).reduce((sum, part) => sum + part);

describe('the pictures of the demo page', () => {
  let browser;
  let demo;
  let page;
  before(async () => {
    [browser, demo] = await Promise.all([launch(), Demo.open()]);
    page = await openPage(browser, demo.url, '');
    await page.setViewportSize(SIZE);
    await page.evaluate(() => document.fonts.ready);
    await until('four clients with rows', () => page.evaluate(() =>
      [...document.querySelectorAll('article')].every((card) => card.dataset.state === 'live' &&
        Number(card.querySelector('[data-value="received"]').textContent) > 0)));
    if (TAKE) {
      await liveALittle();
      for (const scheme of SCHEMES) {
        await take(scheme);
      }
    }
  });
  after(async () => {
    await closePage(page);
    await browser.close();
    await demo.close();
    demo.removeDirectory();
  });

  // A minute of rows, during which one client is disconnected and resumes.
  async function liveALittle() {
    await sleep(30_000);
    await page.click('[data-client="fetch"] button');
    await sleep(9_000);
    await page.click('[data-client="fetch"] button');
    await sleep(14_000);
    await demo.database.insert('hello');
    await page.locator('#rows td.data', { hasText: 'hello' }).first().waitFor();
    await page.mouse.move(0, 0);
    await page.evaluate(() => {
      document.activeElement.blur();
      // The path that make demo would show.
      const command = document.querySelector('#command');
      command.textContent = command.textContent.replace(/\/rowtail-browser-[^/]*/, '');
    });
  }

  async function take(scheme) {
    await page.emulateMedia({ colorScheme: scheme });
    await sleep(300); // the charts are drawn ten times a second
    const png = await page.screenshot({ animations: 'disabled', scale: 'css' });
    writeFileSync(fileOf(scheme), withNote(compressed(png), JSON.stringify(await looks())));
  }

  // The page's appearance without the rows.
  function looks() {
    return page.evaluate(() => {
      const texts = (selector) => [...document.querySelectorAll(selector)]
        .filter((element) => element.checkVisibility()).map((element) => element.textContent.trim());
      const { backgroundColor, color } = getComputedStyle(document.body);
      return {
        size: [innerWidth, innerHeight],
        colours: [backgroundColor, color, getComputedStyle(document.querySelector('button.main')).backgroundColor],
        titles: texts('h1, h2, h3, .about').map((text) => text.replace(/[^ -~]/g, '?')),
        buttons: texts('button'),
        labels: texts('dt, th'),
        images: [...document.images].map((image) => [image.width, image.height]),
      };
    });
  }

  for (const scheme of SCHEMES) {
    it(`${scheme}: the picture in README.md shows the page as it is`, async () => {
      const png = readFileSync(fileOf(scheme));
      assert.ok(png.length < LARGEST_BYTES, `${png.length} bytes`);
      assert.deepEqual(sizeOf(png), SIZE);
      await page.emulateMedia({ colorScheme: scheme });
      assert.deepEqual(await looks(), JSON.parse(noteOf(png)), 'The demo page has changed: run `make pictures`');
    });
  }

  it('has colours of its own in the dark', async () => {
    const [light, dark] = SCHEMES.map((scheme) => JSON.parse(noteOf(readFileSync(fileOf(scheme)))).colours);
    assert.ok(brightness(light[0]) > brightness(light[1]), `light: ${light}`);
    assert.ok(brightness(dark[0]) < brightness(dark[1]), `dark: ${dark}`);
  });
});

describe('the drawing of a row’s way', () => {
  let browser;
  before(async () => {
    browser = await launch();
  });
  after(() => browser.close());

  for (const scheme of SCHEMES) {
    it(`${scheme}: every text can be read`, async () => {
      const page = await browser.newPage({ colorScheme: scheme });
      await page.goto(pathToFileURL(path.join(PROJECT, 'deploy/pictures/row.svg')).href);
      const { texts, cards, paper } = await page.evaluate(() => {
        const box = (element) => {
          const { left, top, right, bottom } = element.getBoundingClientRect();
          const name = element.textContent;
          return { name, left, top, right, bottom, fill: getComputedStyle(element).fill };
        };
        const all = (selector) => [...document.querySelectorAll(selector)].map(box);
        return { texts: all('text'), cards: all('.card'), paper: box(document.querySelector('.paper')) };
      });
      const apart = (a, b) => a.right <= b.left || b.right <= a.left || a.bottom <= b.top || b.bottom <= a.top;
      const within = (a, b) => a.left >= b.left && a.right <= b.right && a.top >= b.top && a.bottom <= b.bottom;
      assert.ok(texts.length > 20);
      texts.forEach((text, i) => {
        assert.ok(within(text, paper), `${text.name} is outside`);
        assert.ok(cards.every((card) => apart(text, card) || within(text, card)), `${text.name} crosses an edge`);
        texts.slice(i + 1).forEach((other) => assert.ok(apart(text, other), `${text.name} is over ${other.name}`));
        const [ink, ground] = [text.fill, paper.fill].map(brightness);
        assert.ok(Math.abs(ink - ground) > 200, `${text.name} is ${text.fill} on ${paper.fill}`);
        assert.equal(ink > ground, scheme === 'dark', text.name);
      });
      await page.close();
    });
  }
});
