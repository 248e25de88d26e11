// deploy/browser/rowtail.js in several tabs that share a stream, and over reloads.

import assert from 'node:assert/strict';
import { renameSync, rmSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';

import { launch } from './lib/chromium.mjs';
import { Database } from './lib/database.mjs';
import { answer, apart, HOLD, PASS } from './lib/front.mjs';
import { makeDirectory, sleep, until } from './lib/process.mjs';
import { inScene, isTold, last, log, opensAs, SOON } from './lib/scene.mjs';

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const SHARED = { share: true };

// Opens tabs one after another; the first has the stream.
async function tabs(at, count, settings = SHARED) {
  const opened = [];
  for (let i = 0; i < count; i++) {
    const page = i === 0 ? at.page : await at.tab();
    const client = await at.follow({}, settings, { page });
    await opensAs(client, i === 0 ? 'stream' : 'shared');
    opened.push({ page, client });
  }
  return opened;
}

const all = (opened, act) => Promise.all(opened.map(({ client }) => act(client)));

const TESTS = {
  'seven tabs share one stream': async (at) => {
    const opened = await tabs(at, 7);
    await at.insert('one', 'two');
    await at.insert('three');
    await all(opened, (client) => at.has(client));
    assert.equal(at.front.count('stream'), 1);
    assert.deepEqual(at.page.problems, []);
  },

  'another tab takes over from one that is closed': async (at) => {
    const [first, ...others] = await tabs(at, 3);
    const writing = setInterval(() => at.insert(`row ${at.sent.length}`), 10);
    await first.client.receives(20);
    await first.page.close();
    await until('another stream', () => at.front.count('stream') === 2);
    await sleep(200);
    clearInterval(writing);
    await at.insert('the last');
    await all(others, (client) => at.has(client));
    assert.deepEqual((await Promise.all(others.map(({ client }) => last(client, 'transports')))).sort(), ['shared', 'stream']);
    at.page = others[0].page;
    at.page.problems = [];
  },

  'another tab takes over from one that calls close()': async (at) => {
    const [first, second] = await tabs(at, 2);
    await at.insert('one');
    await all([first, second], (client) => client.receives(1));
    await first.client.stop();
    await opensAs(second.client, 'stream');
    await at.insert('two');
    await at.has(second.client);
    assert.deepEqual(await first.client.data(), ['one']);
  },

  'another tab takes over from one that is frozen, which follows when it wakes': async (at) => {
    const settings = { ...SHARED, silence: 900 };
    const [first, second] = await tabs(at, 2, settings);
    await at.insert('one');
    await all([first, second], (client) => client.receives(1));
    // A debugger's stop is a freeze that takes the page's timers along.
    const session = await first.page.context().newCDPSession(first.page);
    await session.send('Debugger.enable');
    await session.send('Debugger.pause');
    const paused = new Promise((resolve) => { session.once('Debugger.paused', resolve); });
    const stuck = first.page.evaluate(() => 1).catch(() => {});
    await paused;
    await at.insert('two');
    await second.client.receives(2);
    await opensAs(second.client, 'stream');
    await at.insert('three');
    await second.client.receives(3);
    await session.send('Debugger.resume');
    await stuck;
    await at.has(first.client);
    await at.insert('four');
    await all([first, second], (client) => at.has(client));
    await opensAs(first.client, 'shared');
  },

  'a tab with an older position gets what it lacks': async (at) => {
    await at.insert('one', 'two');
    const { client: first } = (await tabs(at, 1))[0];
    const second = await at.follow({}, { ...SHARED, position: 0 }, { page: await at.tab() });
    await at.has(second);
    await at.insert('three');
    await at.has(second);
    await at.has(first, ['three']);
    assert.equal(at.front.count('stream'), 1);
  },

  'a tab gets nothing twice that comes by a poll and from another tab': async (at) => {
    const [{ client: first }] = await tabs(at, 1);
    const [position] = await at.insert('one');
    at.front.act = apart(PASS, (request, response, pass) => setTimeout(pass, 500));
    const second = await at.follow({}, { ...SHARED, position }, { page: await at.tab() });
    await until('its poll', () => at.front.count('poll') === 1);
    await at.insert('two');
    await second.receives(1);
    await opensAs(second, 'shared');
    await sleep(700);
    await at.insert('three');
    await at.has(first);
    await at.has(second, ['two', 'three']);
  },

  'all tabs get what came while the program was down': async (at) => {
    const opened = await tabs(at, 3, { ...SHARED, silence: 900 });
    await at.insert('before');
    at.front.act = answer(502);
    await at.stack.rowtail.kill();
    await all(opened, (client) => isTold(client, 502));
    const opens = await all(opened, async (client) => (await log(client, 'opened')).length);
    await sleep(800);
    assert.deepEqual(await all(opened, async (client) => (await log(client, 'opened')).length), opens);
    await at.insert('meanwhile');
    await at.stack.rowtail.start();
    at.front.act = PASS;
    await at.insert('after');
    await all(opened, (client) => at.has(client));
  },

  'all tabs are told of a gap': async (at) => {
    const opened = await tabs(at, 3);
    await at.insert('before');
    await all(opened, (client) => client.receives(1));
    at.front.act = answer(502);
    await at.stack.rowtail.kill();
    await at.stack.insert('pruned', 'kept');
    await at.stack.database.sql('DELETE FROM events WHERE id <= 2');
    await at.stack.rowtail.start();
    at.front.act = PASS;
    await all(opened, (client) => client.records('gap'));
    await all(opened, (client) => at.has(client, ['before', 'kept']));
  },

  'all tabs are told that the log was replaced': async (at) => {
    const opened = await tabs(at, 3);
    await at.insert('before');
    await all(opened, (client) => client.receives(1));
    const dir = makeDirectory();
    const other = await Database.create(dir);
    const kept = ['another log', 'with more rows'];
    await other.insert(...kept);
    await other.close();
    for (const end of ['-wal', '-shm']) {
      rmSync(`${at.stack.database.file}${end}`, { force: true });
    }
    renameSync(other.file, at.stack.database.file);
    const late = new Database(at.stack.database.file, dir);
    const gaps = await all(opened, (client) => client.records('gap'));
    assert.ok(gaps.every(([{ data }]) => JSON.parse(data).reason === 'replaced'));
    await late.insert('after');
    await all(opened, (client) => until('the row after', async () => (await client.data()).at(-1) === 'after'));
    const [first, ...others] = await all(opened, (client) => client.rows());
    others.forEach((rows) => assert.deepEqual(rows, first));
    await late.close();
  },

  'a position in the URL counts until there is another': async (at) => {
    const newest = (await at.insert('one', 'two', 'three')).at(-1);
    const client = await at.follow({ since: newest + 10 });
    await client.records('gap');
    await at.stack.rowtail.kill();
    await at.stack.rowtail.start();
    await client.opens(2);
    await at.stack.insert('four');
    await at.has(client, ['four']);
    assert.equal((await client.records('gap')).length, 1);
  },

  'tabs share polls too': async (at) => {
    at.front.act = HOLD;
    const first = await at.follow({}, { ...SHARED, ...SOON });
    await opensAs(first, 'polling');
    const second = await at.follow({}, SHARED, { page: await at.tab() });
    await opensAs(second, 'shared');
    await at.insert('one');
    await at.insert('two');
    await at.has(first);
    await at.has(second);
    assert.equal(at.front.count('stream'), 1);
  },

  'tabs with other channels have streams of their own': async (at) => {
    const first = await at.follow({ channel: 'default' }, SHARED);
    const second = await at.follow({ channel: 'other' }, SHARED, { page: await at.tab() });
    await Promise.all([opensAs(first, 'stream'), opensAs(second, 'stream')]);
    await at.insert('one');
    await at.has(first);
    await at.has(second, []);
  },

  'a position in storage survives a reload': async (at) => {
    for (const storage of ['sessionStorage', 'localStorage']) {
      at.sent = [];
      const first = await at.follow({}, { storage });
      await opensAs(first, 'stream');
      await at.insert('one');
      await at.has(first);
      await at.page.goto('about:blank');
      at.sent = [];
      await at.insert('two');
      await at.page.goto(`${at.front.origin}/pages/index.html`);
      const second = await at.follow({}, { storage });
      await at.insert('three');
      await at.has(second);
      await second.stop();
    }
  },

  'each body has a position of its own in storage, whatever the position in the URL': async (at) => {
    const [a, b] = ['a', 'b'].map((channel) => ({ settings: { storage: 'localStorage' }, options: { body: { channel } } }));
    const follow = ({ settings, options }, parameters = {}) => at.follow(parameters, settings, options);
    const first = await follow(a, { since: 0 });
    await opensAs(first, 'stream');
    await at.stack.insert({ channel: 'a', data: 'a 1' });
    await first.receives(1);
    await first.stop();
    const other = await follow(b, { since: 0 });
    await opensAs(other, 'stream');
    await at.stack.insert({ channel: 'a', data: 'a 2' }, { channel: 'b', data: 'b 1' });
    await other.receives(1);
    await other.stop();
    const again = await follow(a, { last_event_id: 1 });
    await at.has(again, ['a 2']);
    await again.stop();
    assert.equal(await at.page.evaluate(() => localStorage.length), 2);
  },

  'what was handled before close() is in storage': async (at) => {
    await at.stack.insert('one', 'two', 'three');
    const stored = await at.page.evaluate(async () => {
      const { Rowtail } = await import('/browser/rowtail.js');
      const stream = new Rowtail('/events?last_event_id=0', { storage: sessionStorage, key: 'place' });
      return new Promise((resolve) => {
        stream.onmessage = ({ data }) => {
          if (data === 'two') {
            stream.close();
            setTimeout(() => resolve([sessionStorage.getItem('place'), stream.lastEventId]));
          }
        };
      });
    });
    assert.deepEqual(stored, ['2', '2']);
  },

  'the largest position counts': async (at) => {
    await at.stack.insert('one', 'two', 'three', 'four');
    await at.page.evaluate(() => sessionStorage.setItem('place', '2'));
    const settings = { storage: 'sessionStorage', key: 'place' };
    for (const [position, parameters, rows] of [
      [undefined, {}, ['three', 'four']],
      [1, { since: 0 }, ['three', 'four']],
      [3, {}, ['four']],
      [0, { last_event_id: 3 }, ['four']],
    ]) {
      await at.page.evaluate(() => sessionStorage.setItem('place', '2'));
      const client = await at.follow(parameters, { ...settings, position });
      await at.has(client, rows);
      await client.stop();
    }
  },
};

describe('rowtail.js in tabs', { concurrency: 4 }, () => {
  for (const [name, test] of Object.entries(TESTS)) {
    it(name, inScene(() => browser, {}, test));
  }
});
