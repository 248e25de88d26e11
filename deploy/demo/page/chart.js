// chart: the latency of one client's rows over the last minute, as dots on a canvas.
//
// x is when the row was inserted. y is how long it took to arrive, on a logarithmic scale, so a
// millisecond and ten seconds fit in one picture. The background is shaded where the client was
// disconnected; the dots above it are the rows that it missed and received later.

import { now } from './client.js';

const WINDOW_MS = 60_000;
const FLOOR_MS = 0.7;
const CEILING_MS = 40_000;
const LINES = [[1, '1 ms'], [100, '0.1 s'], [10_000, '10 s']];
const MARGIN = { left: 40, right: 6, top: 6, bottom: 6 };

export class Chart {
  #canvas;
  #points = []; // { at, latencyMs, late }
  #begun = false;
  #cuts = []; // { from, to }; to is null while the line is cut

  constructor(canvas) {
    this.#canvas = canvas;
  }

  add({ createdMs, latencyMs, late }) {
    this.#points.push({ at: createdMs, latencyMs, late });
  }

  /** Call this on connect and disconnect. Before the first connect nothing counts as cut. */
  live(isLive) {
    this.#begun ||= isLive;
    if (!this.#begun) {
      return;
    }
    const last = this.#cuts.at(-1);
    const isCut = last !== undefined && last.to === null;
    if (isLive && isCut) {
      last.to = now();
    } else if (!isLive && !isCut) {
      this.#cuts.push({ from: now(), to: null });
    }
  }

  /** One sentence for people who cannot see the picture. */
  get summary() {
    const latencies = this.#points.map(({ latencyMs }) => latencyMs).sort((a, b) => a - b);
    if (latencies.length === 0) {
      return 'Latency in the last minute: no rows.';
    }
    const median = latencies[latencies.length >> 1];
    return `Latency in the last minute: ${latencies.length} rows, median ${milliseconds(median)}, ` +
      `slowest ${milliseconds(latencies.at(-1))}.`;
  }

  draw() {
    const end = now();
    this.#forget(end - WINDOW_MS);
    const { clientWidth: width, clientHeight: height } = this.#canvas;
    const pen = this.#pen(width, height);
    const x = (at) => width - MARGIN.right -
      ((end - at) / WINDOW_MS) * (width - MARGIN.left - MARGIN.right);
    const y = (ms) => height - MARGIN.bottom - share(ms) * (height - MARGIN.top - MARGIN.bottom);
    const colours = coloursOf(this.#canvas);
    this.#drawCuts(pen, colours, x, height, end);
    drawGrid(pen, colours, y, width);
    this.#drawPoints(pen, colours, x, y);
  }

  #forget(before) {
    this.#points = this.#points.filter(({ at }) => at >= before);
    this.#cuts = this.#cuts.filter(({ to }) => to === null || to >= before);
  }

  #pen(width, height) {
    const scale = devicePixelRatio;
    const pen = this.#canvas.getContext('2d');
    this.#canvas.width = Math.round(width * scale);
    this.#canvas.height = Math.round(height * scale);
    pen.scale(scale, scale);
    return pen;
  }

  #drawCuts(pen, colours, x, height, end) {
    pen.fillStyle = colours.cut;
    for (const { from, to } of this.#cuts) {
      const left = Math.max(MARGIN.left, x(from));
      pen.fillRect(left, 0, x(to ?? end) - left, height);
    }
  }

  #drawPoints(pen, colours, x, y) {
    for (const { at, latencyMs, late } of this.#points) {
      pen.fillStyle = late ? colours.late : colours.live;
      pen.beginPath();
      pen.arc(x(at), y(latencyMs), 2, 0, 2 * Math.PI);
      pen.fill();
    }
  }
}

function share(ms) {
  const within = Math.min(Math.max(ms, FLOOR_MS), CEILING_MS);
  return Math.log(within / FLOOR_MS) / Math.log(CEILING_MS / FLOOR_MS);
}

function drawGrid(pen, colours, y, width) {
  pen.font = colours.font;
  pen.textBaseline = 'middle';
  pen.textAlign = 'right';
  for (const [ms, label] of LINES) {
    const height = Math.round(y(ms)) + 0.5;
    pen.fillStyle = colours.line;
    pen.fillRect(MARGIN.left, height - 0.5, width - MARGIN.left - MARGIN.right, 1);
    pen.fillStyle = colours.text;
    pen.fillText(label, MARGIN.left - 6, height);
  }
}

function coloursOf(element) {
  const style = getComputedStyle(element);
  const value = (name) => style.getPropertyValue(name).trim();
  return {
    live: value('--accent'),
    late: value('--late'),
    cut: value('--cut'),
    line: value('--line'),
    text: value('--muted'),
    font: `11px ${style.fontFamily}`,
  };
}

/** Formats a latency for people. */
export function milliseconds(ms) {
  if (ms < 10) {
    return `${ms.toFixed(1)} ms`;
  }
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
