// rows: the table of the newest rows, as one client received them.

import { milliseconds } from './chart.js';

const SHOWN = 30;

export class RowList {
  #body;
  #rows = []; // newest first
  #held = false;
  #drawn = false;

  constructor(body) {
    this.#body = body;
  }

  /** While the list is held, it still collects rows, but the table does not change. */
  set held(held) {
    this.#held = held;
    this.#drawn = false;
  }

  add(row) {
    this.#rows.unshift(row);
    this.#rows.length = Math.min(this.#rows.length, SHOWN);
    this.#drawn = false;
  }

  /** Shows another client's rows. */
  replace(rows) {
    this.#rows = rows.slice(0, SHOWN);
    this.#body.replaceChildren();
    this.#drawn = false;
  }

  draw() {
    if (this.#held || this.#drawn) {
      return;
    }
    this.#drawn = true;
    const newest = Number(this.#body.firstElementChild?.dataset.id ?? 0);
    const fresh = this.#rows.filter(({ id }) => id > newest);
    this.#body.prepend(...fresh.map(tableRow));
    while (this.#body.childElementCount > SHOWN) {
      this.#body.lastElementChild.remove();
    }
  }
}

function tableRow(row) {
  const tr = document.createElement('tr');
  tr.dataset.id = row.id;
  tr.classList.toggle('late', row.late);
  tr.append(
    cell('id', row.id),
    cell('channel', row.channel),
    cell('type', row.type),
    cell('data', row.data),
    cell('latency', milliseconds(row.latencyMs), row.late ? 'missed while disconnected' : ''),
  );
  return tr;
}

function cell(name, text, title = '') {
  const td = document.createElement('td');
  td.className = name;
  td.textContent = text;
  td.title = title;
  return td;
}
