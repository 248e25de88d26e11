// The demo's own parts, without a browser: its counts of lost and repeated rows can differ from 0,
// and its parser reads a stream in any pieces.

import assert from 'node:assert/strict';
import { it } from 'node:test';

import { EventStreamParser } from '../../deploy/demo/page/eventstream.js';
import { Ledger } from '../../deploy/demo/page/ledger.js';

function ledgerOf(...rows) {
  const ledger = new Ledger();
  rows.forEach(([id, channel, n]) => ledger.take({ id, channel, data: JSON.stringify({ n }) }));
  return [ledger.received, ledger.lost, ledger.repeated];
}

it('the ledger counts lost and repeated rows', () => {
  assert.deepEqual(ledgerOf([5, 'a', 1], [6, 'b', 9], [7, 'a', 2]), [3, 0, 0]);
  assert.deepEqual(ledgerOf([5, 'a', 1], [6, 'b', 9], [8, 'a', 4]), [3, 2, 0]);
  assert.deepEqual(ledgerOf([5, 'a', 1], [5, 'a', 1], [6, 'a', 2]), [2, 0, 1]);
  assert.deepEqual(ledgerOf([5, 'a', 1], [6, 'a', 1]), [2, 0, 1]);
});

it('the parser reads a stream in any pieces', () => {
  const stream = 'retry: 7\r\nid: 3\n\n:\nid: 4\revent: x\ndata:  a\r\ndata\n\ndata: b\n\ndata: cut';
  for (let at = 0; at <= stream.length; at++) {
    const seen = [];
    const parser = new EventStreamParser({
      record: (record) => seen.push(record), id: (id) => seen.push(id), retry: (ms) => seen.push(ms),
    });
    parser.push(stream.slice(0, at));
    parser.push(stream.slice(at));
    assert.deepEqual(seen, [7, '3', '4', { type: 'x', id: '4', data: ' a\n' },
      { type: 'message', id: '4', data: 'b' }], `cut at ${at}`);
  }
});
