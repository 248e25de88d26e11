// ledger: what one client has received, and whether anything is missing or came twice.
//
// Ids grow over the whole table, so a row whose id is not above the last one is a repetition. The
// inserting program numbers its rows per channel (`n` in the data), so a jump in those numbers is a
// loss. A row without `n`, inserted by hand, is checked by its id alone.

export class Ledger {
  received = 0;
  lost = 0;
  repeated = 0;
  channels = new Map(); // name -> { rows, n }
  #lastId = 0;

  /** Counts a row { id, channel, data }; returns false for a repetition, which is not shown. */
  take(row) {
    if (row.id <= this.#lastId) {
      this.repeated++;
      return false;
    }
    this.#lastId = row.id;
    this.received++;
    const channel = this.channels.get(row.channel) ?? { rows: 0, n: null };
    this.channels.set(row.channel, channel);
    channel.rows++;
    this.#count(channel, numberOf(row.data));
    return true;
  }

  /** After a `gap` the server has said that rows are gone: begin the numbering anew. */
  forget() {
    for (const channel of this.channels.values()) {
      channel.n = null;
    }
    this.#lastId = 0;
  }

  #count(channel, n) {
    if (n === null) {
      return;
    }
    if (channel.n !== null && n > channel.n + 1) {
      this.lost += n - channel.n - 1;
    }
    if (channel.n !== null && n <= channel.n) {
      this.repeated++;
    }
    channel.n = Math.max(n, channel.n ?? 0);
  }
}

function numberOf(data) {
  try {
    const n = JSON.parse(data)?.n;
    return Number.isSafeInteger(n) ? n : null;
  } catch {
    return null;
  }
}
