// Rows of 1 MB and slow clients: rowtail ends, by SIGTERM or SIGKILL, while each client has only a
// part of a row. rowtail starts again on the same socket. Nothing is lost, and nothing comes twice.
//
// Each client has both signals, each behind one of the web servers.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { Cutter } from './lib/cutter.mjs';
import { follow } from './lib/follower.mjs';
import { CUT_KINDS } from './lib/kinds.mjs';
import { sleep, until } from './lib/process.mjs';
import { SERVERS, Stack } from './lib/stack.mjs';

const ROWS = 2;
const ROW_BYTES = 1e6;
const PAGE_CLIENTS = 4;
const GATE_BYTES = 1e5;
const STALLED_MS = 300; // for the sockets to be full
const DEADLINE_MS = 60_000;

const LINE = 'a line of some hundred bytes that says nothing, and says it in a Größe that takes two bytes\n';
const dataOf = (n) => `${n} ${LINE.repeat(ROW_BYTES / 100)}${n}`;

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

describe('rowtail ends within a large row', () => {
  for (const server of SERVERS) {
    for (const signal of ['SIGTERM', 'SIGKILL']) {
      const clients = CUT_KINDS.filter((client) => serverOf(client, signal) === server);
      describe(`${signal}, behind ${server}`, () => endsWithinARow(server, signal, clients));
    }
  }
});

// If rowtail was killed, only nginx ends the body as a whole one, which a client that guesses believes.
function serverOf(client, signal) {
  const first = client.guesses ? 0 : CUT_KINDS.indexOf(client) % 2;
  return SERVERS[signal === 'SIGTERM' ? first : 1 - first];
}

function endsWithinARow(server, signal, clients) {
  let stack;
  let crowds = [];
  before(async () => {
    stack = await Stack.open({ server, settings: ['--public', '--retry', '20'] });
    await stack.insert(...Array.from({ length: ROWS }, (_, i) => dataOf(i + 1)));
    const gate = openable();
    crowds = await Promise.all(crowdsOf(clients).map((crowd) =>
      begin(crowd, stack, { after: GATE_BYTES, opened: gate.opened })));
    const streams = () => crowds.flatMap(({ cutter }) => cutter.streams);
    await until(() => `each stream has begun with a row: ${streams().map(({ passed }) => passed)}`, () =>
      streams().filter(({ passed }) => passed >= GATE_BYTES).length >= clients.length, DEADLINE_MS);
    await sleep(STALLED_MS);
    const first = streams();
    await (signal === 'SIGTERM' ? stack.rowtail.stop() : stack.rowtail.kill());
    await stack.rowtail.start();
    gate.open();
    await until('the streams have ended', () => first.every(({ ended }) => ended), DEADLINE_MS);
    assert.deepEqual(first.filter(({ passed }) => passed >= ROW_BYTES), [], 'a row has come as a whole');
  });
  after(async () => {
    await Promise.all(crowds.map(end));
    await stack?.close();
  });
  for (const client of clients) {
    it(client.name, async () => {
      const { cutter, followers } = crowds.find(({ followers: those }) => those.has(client.name));
      const follower = followers.get(client.name);
      await follower.gets(ROWS, DEADLINE_MS);
      const guessed = client.guesses && cutter.streams[0].ended === 'whole';
      assertRows(client, await follower.rows(), guessed ? 1 : 0);
    });
  }
}

// Clients that share a cutter and a page: a browser has six connections to a host. A client that
// guesses is alone, so that the test knows how its stream ended.
function crowdsOf(kinds) {
  const inPages = kinds.filter(({ where, guesses }) => where === 'page' && !guesses);
  const alone = kinds.filter(({ guesses }) => guesses).map((client) => [client]);
  const crowds = [kinds.filter(({ where }) => where === 'node'), ...alone];
  for (let i = 0; i < inPages.length; i += PAGE_CLIENTS) {
    crowds.push(inPages.slice(i, i + PAGE_CLIENTS));
  }
  return crowds;
}

function openable() {
  let open;
  const opened = new Promise((resolve) => { open = resolve; });
  return { opened, open };
}

async function begin(clients, stack, gate) {
  const cutter = await Cutter.open({ to: stack.web.socket, gate });
  const page = clients[0].where === 'page' ? await openPage(browser, cutter.origin) : null;
  const followers = new Map(await Promise.all(clients.map(async ({ name, kind, ask }) => {
    const { parameters, ...options } = ask(0);
    const url = `${cutter.origin}/events?${new URLSearchParams(parameters)}`;
    return [name, await follow(page, kind, url, options)];
  })));
  return { cutter, page, followers };
}

async function end({ cutter, page, followers }) {
  await Promise.all([...followers.values()].map((follower) => follower.stop()));
  if (page) {
    await closePage(page);
  }
  await cutter.close();
}

// count: how many events a client has guessed. Such an event has no id and a part of the next row.
function assertRows({ heard = (text) => text }, rows, count) {
  const parts = rows.filter(({ id }) => id === null);
  const whole = rows.filter(({ id }) => id !== null);
  assert.deepEqual(whole.map(({ id }) => Number(id)), Array.from({ length: ROWS }, (_, i) => i + 1));
  for (const { id, data } of whole) {
    assert.ok(heard(data) === heard(dataOf(id)), `row ${id} is not what was inserted`);
  }
  assert.equal(parts.length, count);
  for (const part of parts) {
    const next = whole[rows.indexOf(part)].data;
    assert.ok(part.data.length < next.length && next.startsWith(part.data));
  }
}
