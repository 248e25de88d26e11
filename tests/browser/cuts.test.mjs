// Streams that are cut off at every kind of place and in every way, between the web server and each
// client: nothing lost, nothing twice.
//
// No server can prevent two faults, and no cut here causes them unless the test's name says so. Some
// clients keep an id as soon as its line has come: cut between that line and the empty line, they continue
// after a row that they never delivered. If a body ends within an id line, sse.js takes half an id for a
// whole one.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { Cutter, PLACE_NAMES, WAY_NAMES } from './lib/cutter.mjs';
import { follow } from './lib/follower.mjs';
import { CUT_KINDS } from './lib/kinds.mjs';
import { sleep } from './lib/process.mjs';
import { SERVERS, Stack } from './lib/stack.mjs';

const SETTINGS = ['--public', '--retry', '20'];
const PATIENCE_MS = 20; // what a client was sent has reached it when it is cut
const DEADLINE_MS = 60_000;
const SLOW_CUTS = 6;

// One of each habit that matters, behind further web servers.
const FEW = CUT_KINDS.filter(({ name }) =>
  ['eventsource in Node.js', 'eventsource-2', 'extended-eventsource', 'fetch-event-stream'].includes(name));

// The same cuts again: SEED=1234 node --test cuts.test.mjs
const SEED = Number(process.env.SEED ?? Math.floor(Math.random() * 1e6));

// Each client is cut some six times in make test; four times as often with TEST_FULL=1, which make test-all sets.
const ROWS = process.env.TEST_FULL === '1' ? 3000 : 800;

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

const SENTENCE = 'Größe: a row of two lines, of some 250 bytes. '.repeat(3).trim();
const rowOf = (n) => ({
  event: n % 3 === 0 ? 'update' : 'message', data: `${n} ${SENTENCE}\n${n} ${SENTENCE.slice(0, 60)}`,
});
const rowsOf = (from, to) =>
  Array.from({ length: to - from + 1 }, (_, i) => rowOf(from + i))
    .map(({ event, data }) => ({ event: event === 'message' ? null : event, data }));

describe('cut by the way', { concurrency: true }, () => {
  for (const server of SERVERS) {
    describe(`behind ${server}`, { concurrency: true }, () => cutByTheWay(server, CUT_KINDS));
  }
  for (const server of ['apache', 'apache-fcgid']) {
    describe(`behind ${server}`, { concurrency: true }, () => cutByTheWay(server, FEW));
  }
});

function cutByTheWay(server, clients) {
  let stack;
  let publishing;
  before(async () => {
    stack = await Stack.open({ server, settings: SETTINGS });
    await stack.insert(...rowsOf(1, ROWS / 2));
    publishing = (async () => {
      for (let n = ROWS / 2; n < ROWS; n += 50) {
        await stack.insert(...rowsOf(n + 1, n + 50));
        await sleep(100);
      }
    })();
  });
  after(async () => {
    await publishing;
    await stack.close();
  });
  for (const client of clients) {
    it(client.name, () => withCuts(stack, client, { least: 5e3, most: 6e4 }, async (follower) => {
      await follower.gets(ROWS, DEADLINE_MS);
      await assertRows(follower, client, ROWS);
    }));
  }
}

// Runs a client behind a cutter of its own, whose cuts come after so many bytes.
async function withCuts(stack, client, how, test) {
  const next = how.next ?? deal(client, how);
  const cutter = await Cutter.open({ to: stack.web.port, patienceMs: PATIENCE_MS, next });
  const page = client.where === 'page' ? await openPage(browser, cutter.origin) : null;
  try {
    const { parameters, ...options } = client.ask(how.position ?? 0);
    const query = new URLSearchParams({ ...parameters, ...how.parameters });
    const follower = await follow(page, client.kind, `${cutter.origin}/events?${query}`,
      { types: ['update'], ...options });
    await test(follower, cutter);
    await follower.stop();
  } finally {
    if (page) {
      await closePage(page);
    }
    await cutter.close();
  }
}

// Each place with each way, in a random order of each client's own: together they have all cuts.
function deal(client, { least, most, count = Infinity }) {
  const random = randomFrom(SEED + CUT_KINDS.indexOf(client));
  const names = (all) => all.filter((name) => !client.without?.includes(name) && !(
    client.eager && name === 'betweenIdAndEmptyLine'));
  const deck = names(PLACE_NAMES)
    .flatMap((place) => names(WAY_NAMES).map((way) => ({ place, way, spared: sparedOf(client, way) })))
    .filter((card) => Cutter.can(card) && !card.spared.includes(card.place))
    .map((card) => [random(), card]).sort(([a], [b]) => a - b).map(([, card]) => card);
  const cuts = client.slow ? Math.min(count, SLOW_CUTS) : count;
  let dealt = 0;
  return () => (dealt === cuts ? null : {
    ...deck[dealt++ % deck.length], after: Math.floor(least + random() * (most - least)),
  });
}

function sparedOf({ eager, guesses }, way) {
  return [...(eager ? ['betweenIdAndEmptyLine'] : []),
    ...(guesses && way === 'cleanEnd' ? ['inAnIdLine'] : [])];
}

async function assertRows(follower, { guesses, heard = (text) => text }, count) {
  const rows = (await follower.rows()).filter(({ id }) => !(guesses && id === null));
  const ids = rows.map(({ id }) => Number(id));
  const has = new Set(ids);
  const lost = Array.from({ length: count }, (_, i) => i + 1).filter((id) => !has.has(id));
  const twice = ids.filter((id, i) => i > 0 && id <= ids[i - 1]);
  const wrong = rows.filter(({ id, type, data }) =>
    type !== rowOf(Number(id)).event || heard(data) !== heard(rowOf(Number(id)).data));
  assert.deepEqual({ lost, twice, wrong }, { lost: [], twice: [], wrong: [] }, `SEED=${SEED}`);
  assert.equal(rows.length, count);
}

// mulberry32: numbers from 0 to 1, the same ones for the same seed.
function randomFrom(seed) {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}
