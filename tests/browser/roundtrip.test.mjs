// Any text in SQL arrives as the same string in the browser: tested with random Unicode, strings
// that look like an event stream, ill-formed bytes and rows of 1 MiB.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';

import { closePage, launch, openPage } from './lib/chromium.mjs';
import { follow } from './lib/follower.mjs';
import { SERVERS, Stack } from './lib/stack.mjs';

const ROWS = 150;
const MIB = 1 << 20;

// Pieces of hostile strings: line breaks of all kinds, fields, and characters that some code takes
// for an end.
const HOSTILE = ['\n', '\r', '\r\n', '\n\n', '\r\r', 'data:', 'data: ', 'id: 7', 'id:\n', 'event: x',
  'retry: 1', ':', ' ', '\t', '\0', '\uFEFF', '\u2028', '\u2029', '\u0085', '\x0B', '\x1F', '\x7F',
  '\\', '"', "'", '\\n', '</script>', '{"id":1}', '\u{1F600}', 'e\u0301', '\u202E', '\uFFFD',
  '\u{10FFFF}', '\uFFFF', 'x', ''];

let browser;
before(async () => { browser = await launch(); });
after(() => browser.close());

describe('round trip', { concurrency: true }, () => {
  for (const server of SERVERS) {
    it(`random and hostile text behind ${server}`, () => returns(server, texts(seed())));
    it(`ill-formed UTF-8 behind ${server}`, () => returns(server, illFormed(seed())));
    it(`rows of 1 MiB behind ${server}`, () => returns(server, large()));
  }
});

// The page must get the rows' texts: plain ones with every line break as LF, those in an envelope
// unchanged.
async function returns(server, { name, rows }) {
  const stack = await Stack.open({ server });
  const page = await openPage(browser, stack.origin);
  try {
    await stack.insert(...rows.map((data) => ({ data })));
    const expected = rows.map((bytes) => decode(bytes));
    const plain = await follow(page, 'native', stack.events({ last_event_id: 0 }));
    const enveloped =
      await follow(page, 'native', stack.events({ last_event_id: 0, envelope: 'json' }));
    const polled = await follow(page, 'rowtail', stack.events({ last_event_id: 0 }), { settings: { timeout: 1 } });
    await Promise.all([plain, enveloped, polled].map((client) => client.receives(rows.length)));
    for (const client of [plain, polled]) {
      assertSame(name, await client.data(), expected.map((text) => text.replace(/\r\n?/g, '\n')));
    }
    assert.deepEqual((await polled.log()).transports, ['polling']);
    assertSame(name, (await enveloped.data()).map((json) => JSON.parse(json).data), expected);
  } finally {
    await closePage(page);
    await stack.close();
  }
}

// Decodes bytes in SQLite to text as the standard says.
function decode(bytes) {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
}

// deepEqual of a megabyte would print all of it.
function assertSame(name, actual, expected) {
  assert.equal(actual.length, expected.length, name);
  const at = expected.findIndex((text, i) => actual[i] !== text);
  if (at >= 0) {
    const from = [...expected[at]].findIndex((_, i) => actual[at][i] !== expected[at][i]);
    assert.fail(`${name}, row ${at}, at ${from}: got ${shown(actual[at], from)}, ` +
      `not ${shown(expected[at], from)}`);
  }
}

function shown(text, from) {
  return JSON.stringify(text.slice(Math.max(0, from - 20), from + 60));
}

function seed() {
  return Number(process.env.SEED ?? Math.floor(Math.random() * 2 ** 31));
}

// Small pseudo-random numbers, the same ones for the same seed (mulberry32).
function random(state) {
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

function texts(seedNumber) {
  const below = random(seedNumber);
  const rows = Array.from({ length: ROWS }, (_, i) =>
    list(below(30), () => (i % 2 ? HOSTILE[below(HOSTILE.length)] : character(below))).join(''));
  return { name: `SEED=${seedNumber}`, rows: [...HOSTILE, ...rows].map((row) => Buffer.from(row)) };
}

// From all planes, short encodings as often as long ones; no surrogates, which UTF-8 cannot encode.
function character(below) {
  const limit = [0x80, 0x800, 0x10000, 0x110000][below(4)];
  const code = below(limit);
  return code >= 0xd800 && code < 0xe000 ? '\uE000' : String.fromCodePoint(code);
}

function illFormed(seedNumber) {
  const below = random(seedNumber);
  const corners = ['ff', 'c0af', 'e28281c3', 'f09f98', 'eda080', 'f4908080', 'c3', '80', 'e282', 'fe41']
    .map((hex) => Buffer.from(hex, 'hex'));
  const rows = Array.from({ length: ROWS }, () =>
    Buffer.from(list(below(40), () => (below(3) ? 128 + below(128) : 32 + below(90)))));
  return { name: `SEED=${seedNumber}`, rows: [...corners, ...rows] };
}

function large() {
  const unit = 'a row may be long: \u{1F40C}\n';
  return {
    name: '1 MiB',
    rows: [
      Buffer.alloc(MIB, 'x'),
      Buffer.alloc(MIB, '\n'),
      Buffer.from(unit.repeat(MIB / Buffer.byteLength(unit))),
    ],
  };
}

function list(length, make) {
  return Array.from({ length }, make);
}
