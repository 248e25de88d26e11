// ledger: counts what one client has received, lost and received twice.
//
// Ids grow over the whole table, so a row whose id is not above the last one is repeated. The inserting
// program numbers its rows per channel (`n` in the data), so a jump in these numbers means lost rows. A
// row without `n`, inserted by hand, is checked by its id only.

export class Ledger {
  received = 0;
  lost = 0;
  repeated = 0;
  channels = new Map(); // name -> { rows, n }
  #lastId = 0;

  /** Counts a row { id, channel, data }. Returns false for a repeated row, which is not shown. */
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

  /** Call this on a `gap`: the server has said that rows are gone, so the numbering starts again. */
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
