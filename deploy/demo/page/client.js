// client: one client of the page. Owns its state, its position and its ledger. Knows nothing of the
// DOM or of how the connection works (lines.js).

import { Ledger } from './ledger.js';

/** The states of a client, as the page shows them. */
export const STATES = {
  connecting: 'Connecting',
  live: 'Live',
  waiting: 'Reconnecting',
  cut: 'Disconnected',
  hidden: 'Paused while this tab is hidden',
  denied: 'Access revoked',
};

const RETRY_MS = 2000;
const SETTLE_MS = 400;

export class Client {
  state = 'cut';
  position = null;
  ledger = new Ledger();
  gap = null; // data of the last gap record
  late = 0; // rows that were missed while disconnected, and came afterwards
  #makeLine;
  #line;
  #listener;
  #generation = 0;
  #retryMs = RETRY_MS;
  #retryTimer;
  #openedAt = null;
  #resumed = false;
  #missed = 0;
  #missedTimer;

  /**
   * makeLine: from lines.js. listener: changed(client), row(client, row), caughtUp(client, rows). A row is
   * { id, channel, type, data, createdMs, latencyMs, late }. A late row was inserted while the client was
   * disconnected.
   */
  constructor(makeLine, listener) {
    this.#makeLine = makeLine;
    this.#listener = listener;
  }

  get isOn() {
    return this.state === 'live' || this.state === 'connecting' || this.state === 'waiting';
  }

  /** Connects, and resumes after the client's position if it has one. */
  open() {
    if (this.isOn) {
      return;
    }
    this.#connect();
  }

  /** Disconnects and keeps the position. state: 'cut', 'hidden' or 'denied'. */
  close(state) {
    if (this.isOn) {
      this.#hangUp();
    }
    this.#set(state);
  }

  #connect() {
    const generation = ++this.#generation;
    // Ignores what a connection still reports after it was closed.
    const current = (act) => (argument) => {
      if (generation === this.#generation) {
        act.call(this, argument);
      }
    };
    this.#set('connecting');
    this.#resumed = this.position !== null;
    this.#line = this.#makeLine({
      opened: current(this.#opened),
      record: current(this.#record),
      position: current(this.#moved),
      retry: current((ms) => { this.#retryMs = ms; }),
      waiting: current(() => this.#set('waiting')),
      ended: current(this.#ended),
    });
    this.#line.open(this.position);
  }

  #hangUp() {
    this.#generation++;
    clearTimeout(this.#retryTimer);
    this.#line.close();
  }

  #opened() {
    this.#openedAt = now();
    this.#set('live');
  }

  #ended() {
    this.#hangUp();
    this.#set('waiting');
    this.#retryTimer = setTimeout(() => this.#connect(), this.#retryMs);
  }

  #moved(id) {
    this.position = id;
  }

  #record({ type, id, data }) {
    if (type === 'denied') {
      this.close('denied');
      return;
    }
    this.#moved(id);
    if (type === 'gap') {
      this.gap = data;
      this.ledger.forget();
    } else if (type !== 'position') {
      this.#row(JSON.parse(data));
    }
    this.#listener.changed(this);
  }

  #row({ id, channel, event, data, created_at: createdAt }) {
    const createdMs = Date.parse(createdAt);
    const row = {
      id, channel, type: event ?? 'message', data, createdMs,
      latencyMs: Math.max(0, now() - createdMs),
      late: this.#resumed && createdMs < this.#openedAt,
    };
    if (!this.ledger.take(row)) {
      return;
    }
    if (row.late) {
      this.#countMissed();
    }
    this.#listener.row(this, row);
  }

  #countMissed() {
    this.late++;
    this.#missed++;
    this.#missedTimer ??= setTimeout(() => {
      this.#listener.caughtUp(this, this.#missed);
      this.#missed = 0;
      this.#missedTimer = undefined;
    }, SETTLE_MS);
  }

  #set(state) {
    this.state = state;
    this.#listener.changed(this);
  }
}

/** The time of day in milliseconds, more precise than Date.now(). */
export function now() {
  return performance.timeOrigin + performance.now();
}
