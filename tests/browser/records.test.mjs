// Streams that are cut off after each byte of rowtail's own records: `position`, the bare id of positions=0,
// `gap`, heartbeats and `denied`. No row is lost or repeated, and a `gap` is told once.
//
// cuts.test.mjs says which two places are spared.
//
// make test cuts each client after each second byte, in one of the ways: what one client leaves out, the next one has.
// TEST_FULL=1, which make test-all sets, adds the rest of the product.

import assert from 'node:assert/strict';
import { renameSync, rmSync } from 'node:fs';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { Cutter } from './lib/cutter.mjs';
import { follow } from './lib/follower.mjs';
import { Database } from './lib/database.mjs';
import { CUT_KINDS } from './lib/kinds.mjs';
import { makeDirectory, removeDirectory, until } from './lib/process.mjs';
import { Stack } from './lib/stack.mjs';

const WAYS = ['reset', 'cleanEnd', 'halfClose'];
const PATIENCE_MS = 10; // what a client was sent has reached it when it is cut
const DEADLINE_MS = 150_000; // dozens of clients, each cut off a hundred times
const SLOW_CUTS = 6;
const LONG = 80; // bytes
const FULL = process.env.TEST_FULL === '1';
const PAGE_FOLLOWERS = 5; // a browser has six connections to a host

const NAMES = ['EventSource', 'event-source-polyfill', 'fetch-event-source, GET', 'fetch-event-source, POST',
  'eventsource-parser in Node.js', 'eventsource-1', 'eventsource-2', 'eventsource-3', '@heroku/eventsource',
  'extended-eventsource', 'sse.js', 'rowtail.js', 'rowtail.js, POST'];
const CLIENTS = CUT_KINDS.filter(({ name }) => NAMES.includes(name));

// A client that takes a part of an id for the whole asks for rows that were deleted, and gets a `gap`.
const DELETED = [7, 123, 1234, 12345];
const POSITION = 12345;
const ROWS = Array.from({ length: 5 }, (_, i) => POSITION + 1 + i);
const dataOf = (id) => `the row ${id}`;

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

// What a stream begins with. ends: the end of what is cut. position: the client's. gaps: how many it is owed.
const BEGINNINGS = [
  { name: 'position', ends: /\n\n/, position: POSITION, positions: 1, gaps: 0 },
  { name: 'bare id', ends: /id: \d+\n/, position: POSITION, positions: 0, gaps: 0 },
  { name: 'gap', ends: /\n\n/, position: 100, positions: 1, gaps: 1 },
];

describe('cut within the beginning', { concurrency: true }, () => {
  let stack;
  before(async () => { stack = await openStack(['--public']); });
  after(() => stack?.close());
  for (const beginning of BEGINNINGS) {
    for (const client of CLIENTS) {
      it(`${beginning.name}: ${client.name}`, () => cutWithinTheBeginning(stack, client, beginning));
    }
  }
});

async function openStack(settings) {
  const stack = await Stack.open({ settings: [...settings, '--retry', '20'], allowOrigin: '*' });
  await insert(stack, [...DELETED, ...ROWS]);
  await stack.database.sql(`DELETE FROM events WHERE id <= ${POSITION};
    INSERT INTO grants(subject, channel) VALUES ('*', 'default')`);
  return stack;
}

function insert({ database }, ids, channel = 'default') {
  return database.sql(ids.map((id) =>
    `INSERT INTO events(id, channel, data) VALUES (${id}, '${channel}', '${dataOf(id)}')`).join(';\n'));
}

async function cutWithinTheBeginning(stack, client, { ends, position, positions, gaps }) {
  const asked = { channel: 'default', last_event_id: position, positions };
  const cuts = cutsWithin(client, await beginningOf(stack.events(asked), ends));
  const followed = await followWith(client, stack, { next: () => cuts.shift() ?? null, position, positions });
  try {
    const [follower] = followed.followers;
    await follower.gets(ROWS.at(-1), DEADLINE_MS);
    // rowtail.js polls after some streams that ended early.
    assert.ok(cuts.length === 0 || client.kind === 'rowtail', `${cuts.length} cuts are left`);
    await assertLedger(client, follower, ROWS, gaps);
  } finally {
    await end(followed);
  }
}

// The bytes of a stream until what it begins with has ended.
async function beginningOf(url, ends) {
  const response = await fetch(url);
  let text = '';
  for await (const piece of response.body) {
    text += Buffer.from(piece).latin1Slice();
    const found = ends.exec(text);
    if (found) {
      return text.slice(0, found.index + found[0].length);
    }
  }
  throw new Error(`ended: ${text}`);
}

// A cut after each byte that is the client's, in turn by each way; with TEST_FULL, after each byte in each way, except in pages,
// which cost more, and in long records. The first cuts are behind the reconnection time, so that clients know it. The last is
// behind the record.
function cutsWithin(client, text) {
  const { length } = text;
  const inTurn = !FULL || client.where === 'page' || length > LONG;
  const cuts = Array.from({ length: length - 1 }, (_, i) => length - 1 - i)
    .filter((after) => FULL || isOurs(client, after, 2))
    .flatMap((after) => (inTurn ? [wayInTurn(client, after)] : waysOf(client)).map((way) => ({ after, way })))
    .filter(({ after, way }) => !isSpared(client, way, text.slice(0, after)));
  // sse.js takes a reconnection time only from a whole record.
  const step = client.slow || client.guesses ? Math.ceil(cuts.length / SLOW_CUTS) : 1;
  return [...cuts.filter((_, i) => i % step === 0), { after: length, way: waysOf(client)[0] }];
}

// One client's bytes are each `step`th; the next client's are one further on.
function isOurs(client, bytes, step) {
  return (bytes + CLIENTS.indexOf(client)) % step === 0;
}

function waysOf({ without = [] }) {
  return WAYS.map((way) => (without.includes(way) ? 'close' : way));
}

function wayInTurn(client, bytes) {
  return waysOf(client)[(bytes + Math.floor(bytes / 3) + CLIENTS.indexOf(client)) % WAYS.length];
}

function isSpared({ eager, guesses }, way, text) {
  return (eager && /\nid: \d+\n$/.test(text)) || (guesses && way === 'cleanEnd' && /\nid?:? ?\d*$/.test(text));
}

// Records that come while streams are open. texts: their bytes. happen(stack): what makes them come. then(stack,
// followers, cutters): what follows when all streams were cut. rows, gaps: what each client is owed.
const LATER = [1, 2, 3].map((i) => ROWS.at(-1) + 10 + i);
const PASSED_BY = ROWS.at(-1) + 1;
const LIVE = [
  {
    name: 'a heartbeat',
    settings: ['--public', '--heartbeat', '1'],
    texts: [':\n', `event: position\ndata: ${PASSED_BY}\nid: ${PASSED_BY}\n\n`],
    happen: (stack) => insert(stack, [PASSED_BY], 'other'),
    then: (stack) => insert(stack, LATER),
    rows: LATER,
    gaps: 0,
  },
  {
    name: 'the gap of another log',
    settings: ['--public'],
    texts: [`event: gap\ndata: {"requested":"${ROWS.at(-1)}","oldest":77,"newest":77,"reason":"replaced"}\nid: 77\n\n`],
    happen: replaceLog,
    async then(stack, all) {
      const untold = async () => {
        const logs = await Promise.all(all.map((follower) => follower.log()));
        return all.filter((_, i) => !logs[i].records.some(({ type, id }) => type === 'gap' && id !== null));
      };
      await until(async () => `a gap for each; not ${(await untold()).map(({ name }) => name)}`, async () =>
        (await untold()).length === 0, DEADLINE_MS);
      await insert(stack, LATER);
    },
    rows: LATER,
    gaps: 1,
  },
  {
    // Who was cut off within the record is told by the answer to the next request.
    name: 'denied',
    settings: [],
    texts: ['event: denied\ndata: {"reason":"revoked"}\n\n'],
    happen: (stack) => stack.database.sql('DELETE FROM grants'),
    async then(stack, all, cutters) {
      const left = () => {
        const refused = new Set(cutters.flatMap(({ origin, answers }) => answers
          .filter(({ status }) => status === 401).map(({ url }) => `${origin} ${numberIn(url)}`)));
        return all.map(({ name }) => name).filter((name) => !refused.has(`${/http:[/][/][^/]+/.exec(name)} ${numberIn(name)}`));
      };
      await until(() => `each is refused; not ${left()}`, () => left().length === 0, DEADLINE_MS);
      await insert(stack, LATER);
    },
    rows: [],
    gaps: 0,
  },
];

describe('cut within a record of an open stream', { concurrency: true }, () => {
  for (const live of LIVE) {
    describe(live.name, () => cutWhileOpen(live));
  }
});

function cutWhileOpen({ settings, texts, happen, then, rows, gaps }) {
  let stack;
  const crowds = new Map();
  before(async () => {
    stack = await openStack(settings);
    const cuts = [];
    for (const client of CLIENTS) {
      const specs = cutsOf(client, texts);
      cuts.push(...specs);
      crowds.set(client, await followWith(client, stack, { ...nextOf(specs), position: null, positions: 1 }));
    }
    const all = [...crowds.values()].flatMap(({ followers }) => followers);
    await Promise.all(all.map((follower) => follower.gets(ROWS.at(-1), DEADLINE_MS))); // the position
    const unarmed = () => cuts.filter(({ begun, stream }) => !begun && (!stream || stream.ended));
    await until(() => `a stream waits for each cut: ${JSON.stringify(unarmed())}`, () => unarmed().length === 0, DEADLINE_MS);
    await happen(stack);
    await until(() => `all are cut: ${JSON.stringify(cuts.filter(({ done }) => !done))}`, () =>
      cuts.every(({ done }) => done), DEADLINE_MS);
    await then(stack, all, [...crowds.values()].flatMap(({ cutters }) => cutters));
  });
  after(async () => {
    await Promise.all([...crowds.values()].map(end));
    await stack?.close();
  });
  for (const client of CLIENTS) {
    it(client.name, async () => {
      for (const follower of crowds.get(client).followers) {
        await follower.receives(rows.length, DEADLINE_MS);
        await assertLedger(client, follower, rows, gaps);
      }
    });
  }
}

// A cut in front of and after each byte, in turn by each way; fewer in long records, in pages, and without TEST_FULL: each client
// has its own.
function cutsOf(client, texts) {
  return texts.flatMap((text) => {
    const few = text.length > LONG ? 3 : 1;
    const step = client.where === 'page' ? 6 : Math.max(few, FULL ? 1 : 2);
    return Array.from({ length: text.length + 1 }, (_, bytes) => bytes)
      .filter((bytes) => isOurs(client, bytes, step))
      .map((bytes) => ({ record: recordOf(text), bytes, way: wayInTurn(client, bytes), text }));
  }).filter(({ bytes, way, text }) => !isSpared(client, way, text.slice(0, bytes)));
}

function recordOf(text) {
  return new RegExp(`(?<=\n)${text.replace(/[{}]/g, '\\$&')}`);
}

// Each follower has a number in its URL. One of its streams is cut: the first, or a later one if the client, on a busy machine,
// has given up the one before.
function nextOf(cuts) {
  return {
    count: cuts.length,
    next(url) {
      const cut = cuts[Number(numberIn(url))];
      return cut && !cut.begun ? cut : null;
    },
  };
}

function numberIn(url) {
  return new URLSearchParams(url.split('?')[1]).get('number');
}

// The log is replaced by another one, whose ids are below the clients' positions.
async function replaceLog(stack) {
  const { database, dir } = stack;
  const folder = makeDirectory();
  const other = await Database.create(folder);
  await insert({ database: other }, [77], 'other');
  await other.close();
  await database.close();
  for (const beside of ['-wal', '-shm']) {
    rmSync(database.file + beside, { force: true });
  }
  renameSync(other.file, database.file);
  removeDirectory(folder);
  stack.database = new Database(database.file, dir);
}

// Followers of one client, each with a number in its URL. Those in a page are behind several
// cutters, as a browser has six connections to a host.
async function followWith(client, stack, { next, position, positions, count = 1 }) {
  const inPage = client.where === 'page';
  const followed = { cutters: [], followers: [], page: null };
  const { parameters, ...options } = client.ask(position);
  for (let number = 0; number < count; number++) {
    if (number === 0 || (inPage && number % PAGE_FOLLOWERS === 0)) {
      followed.cutters.push(await Cutter.open({ to: stack.web.port, patienceMs: PATIENCE_MS, next }));
    }
    const { origin } = followed.cutters.at(-1);
    followed.page ??= inPage ? await openPage(browser, origin) : null;
    const query = new URLSearchParams({ ...parameters, positions, number });
    followed.followers.push(await follow(followed.page, client.kind, `${origin}/events?${query}`, options));
  }
  return followed;
}

async function end({ cutters, followers, page }) {
  await Promise.all(followers.map((follower) => follower.stop()));
  if (page) {
    await closePage(page);
  }
  await Promise.all(cutters.map((cutter) => cutter.close()));
}

// A client that guesses makes records of parts. They have no id.
async function assertLedger({ guesses, carries }, follower, ids, gaps) {
  const records = (await follower.log()).records.filter(({ id }) => !guesses || id !== null);
  const rows = records.filter(({ type }) => type === 'message');
  assert.deepEqual(rows.map(({ id, data }) => [Number(id), data]), ids.map((id) => [id, dataOf(id)]), follower.name);
  const told = records.filter(({ type }) => type === 'gap');
  assert.equal(told.length, gaps, `${follower.name}: gaps ${JSON.stringify(told)}`);
  for (const { data } of told) {
    JSON.parse(carries ? data.split('\n').at(-1) : data);
  }
}
