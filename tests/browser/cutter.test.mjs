// The cutter of the other tests: whatever the cut, a client gets a beginning of what the server sent, and not one byte more.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import http from 'node:http';
import { after, before, describe, it } from 'node:test';

import { Cutter, PLACE_NAMES, WAY_NAMES } from './lib/cutter.mjs';

const SENT = Buffer.from(Array.from({ length: 9 }, (_, id) => `event: update\ndata: die Größe ${id}\nid: ${id}\n\n`).join('')).latin1Slice();
const AFTER = 60; // within the second record

describe('a client gets a beginning of what was sent', { concurrency: true }, () => {
  let server;
  before(async () => {
    server = http.createServer((request, response) => {
      response.writeHead(200, { 'Content-Type': 'text/event-stream' });
      response.write(SENT, 'latin1');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  after(() => {
    server.closeAllConnections();
    server.close();
  });
  for (const place of PLACE_NAMES) {
    for (const way of WAY_NAMES) {
      it(`${place}, ${way}`, () => getsABeginning(server.address().port, { place, way }));
    }
  }
});

async function getsABeginning(to, { place, way }) {
  const cut = { place, way, after: AFTER };
  if (!Cutter.can(cut)) {
    return;
  }
  const cutter = await Cutter.open({ to, patienceMs: 20, next: () => cut });
  try {
    const got = await bodyOf(cutter.origin);
    assert.ok(SENT.startsWith(got), `got ${JSON.stringify(got)}`);
    assert.ok(place === 'inTheHead' || got.length >= AFTER, `got ${JSON.stringify(got)}`);
    assert.ok(got.length < SENT.length);
  } finally {
    await cutter.close();
  }
}

// The bytes of a body that arrive until its connection ends.
async function bodyOf(url) {
  let got = '';
  try {
    for await (const piece of (await fetch(url)).body) {
      got += Buffer.from(piece).latin1Slice();
    }
  } catch {
    // it was cut
  }
  return got;
}
