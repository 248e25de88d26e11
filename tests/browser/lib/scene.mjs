// scene: rowtail.js in a page, whose requests go through a front (front.mjs) to a stack.

import assert from 'node:assert/strict';

import { closePage, openPage } from './chromium.mjs';
import { follow } from './follower.mjs';
import { Front } from './front.mjs';
import { until } from './process.mjs';
import { Stack } from './stack.mjs';

// Minutes in the field.
const TIMES = { interval: 200, streamAgain: 60_000, maxRetry: 400 };

/** For answers that are held back; a stream that passes may take longer on a busy machine. */
export const SOON = { timeout: 400 };

class Scene {
  /** The rows that insert() has sent. */
  sent = [];

  static async open(browser, how) {
    const scene = new Scene();
    scene.stack = await Stack.open(how);
    scene.front = await Front.open(scene.stack.web);
    scene.page = await openPage(browser, scene.front.origin);
    return scene;
  }

  /** Another tab of the same browser. */
  async tab() {
    const page = await this.page.context().newPage();
    page.on('pageerror', (error) => this.page.problems.push(error.stack));
    await page.goto(this.page.url());
    return page;
  }

  /** Starts rowtail.js. parameters: of the URL. settings: its options. options: of clients.start(), and `page`. */
  follow(parameters = {}, settings = {}, { page = this.page, ...options } = {}) {
    return follow(page, 'rowtail', `/events?${new URLSearchParams(parameters)}`,
      { settings: { ...TIMES, ...settings }, ...options });
  }

  /** Inserts texts, which has() expects. */
  insert(...rows) {
    this.sent.push(...rows);
    return this.stack.insert(...rows);
  }

  /** Everything that was inserted has come once, in order, and nothing else. */
  async has(client, sent = this.sent) {
    await client.receives(sent.length);
    assert.deepEqual(await client.data(), sent);
    const { positions } = await client.log();
    assert.ok(positions.every(Boolean), 'lastEventId is the position of each event');
  }

  async close() {
    await closePage(this.page);
    await this.front.close();
    await this.stack.close();
  }
}

/** A test in a scene of its own. browser: a function. how: of Stack.open(). */
export function inScene(browser, how, test) {
  return async () => {
    const scene = await Scene.open(browser(), how);
    try {
      await test(scene);
      assert.deepEqual(scene.page.problems, []);
    } finally {
      await scene.close();
    }
  };
}

export const log = (client, what) => client.log().then((all) => all[what]);
export const last = async (client, what) => (await log(client, what)).at(-1);
/** Waits until events come so: 'stream', 'polling', 'shared'. */
export const opensAs = (client, transport) =>
  until(`events come by ${transport}`, async () => await last(client, 'transports') === transport);
export const isTold = (client, status) => until(`an error of status ${status}`, async () =>
  (await log(client, 'errors')).some((error) => error.status === status));
