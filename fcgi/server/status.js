
'use strict';
// Draws the charts of rowtail's status page, and keeps its facts current. Both come from the page's
// own URL, as JSON. status.c puts this script into the page.
(() => {
  const EVERY_MS = 2000;
  const SVG = 'http://www.w3.org/2000/svg';
  const LEFT = 46;
  const BOTTOM = 18;
  const TOP = 8;
  const SPANS = { minute: ['Last minute', '60 s ago'], hour: ['Last hour', '1 h ago'], day: ['Last day', '24 h ago'] };
  const POINTS = { minute: 60, hour: 120, day: 144 };
  const CHARTS = [
    { title: 'Streams', series: [['streams', '']] },
    { title: 'Deliveries per second', series: [['records_per_second', '']] },
    { title: 'Latency', unit: ' ms', series: [['p50_ms', 'median'], ['p99_ms', '99 of 100']] },
    { title: 'Slowest reader, ids behind', series: [['lag_rows', '']] },
  ];
  const CLASSES = ['first', 'second'];
  let facts = null;
  let span = 'minute';

  function make(name, parent, attributes = {}, text = '') {
    const element = parent.namespaceURI === SVG || name === 'svg' ?
      document.createElementNS(SVG, name) : document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      element.setAttribute(key, value);
    }
    element.textContent = text;
    parent.append(element);
    return element;
  }

  // 1200 becomes 1.2k; at most three digits.
  function short(value) {
    const units = ['', 'k', 'M', 'G', 'T'];
    let unit = 0;
    while (value >= 999.5 && unit < units.length - 1) {
      value /= 1000;
      unit++;
    }
    return Number(value.toPrecision(3)) + units[unit];
  }

  // The end of the axis: 1, 2 or 5 times a power of ten.
  function ceiling(value) {
    const power = 10 ** Math.floor(Math.log10(value));
    return [1, 2, 5, 10].map((factor) => factor * power).find((end) => end >= value);
  }

  function ago(seconds) {
    return seconds === 0 ? 'now' : seconds < 120 ? `${seconds} s ago` :
      seconds < 7200 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
  }

  class Chart {
    constructor(parent, chart) {
      Object.assign(this, chart);
      this.figure = make('figure', parent, { tabindex: 0, role: 'group' });
      const caption = make('figcaption', this.figure);
      make('b', caption, {}, this.title);
      this.readout = make('span', caption);
      this.svg = make('svg', this.figure, { 'aria-hidden': 'true' });
      this.back = null; // how many points before the newest the cursor is; null: there is none
      this.svg.addEventListener('pointermove', (event) => this.point(event));
      this.svg.addEventListener('pointerleave', () => this.move(null));
      this.figure.addEventListener('blur', () => this.move(null));
      this.figure.addEventListener('keydown', (event) => this.key(event));
      new ResizeObserver(() => this.draw()).observe(this.svg);
    }

    get count() {
      return facts.history[span].streams.length;
    }

    move(back) {
      this.back = back === null || !facts || this.count === 0 ? null : Math.max(0, Math.min(this.count - 1, back));
      this.draw();
    }

    point(event) {
      const box = this.svg.getBoundingClientRect();
      const share = (event.clientX - box.left - LEFT) / (box.width - LEFT);
      this.move(Math.round((1 - share) * (POINTS[span] - 1)));
    }

    key(event) {
      const from = this.back ?? 0;
      const to = { ArrowLeft: from + 1, ArrowRight: from - 1, Home: Infinity, End: 0, Escape: null }[event.key];
      if (to !== undefined) {
        event.preventDefault();
        this.move(to);
      }
    }

    // The newest known values, or those under the cursor.
    tell(history) {
      const at = this.count - 1 - (this.back ?? 0);
      this.readout.replaceChildren();
      for (const [i, [name, label]] of this.series.entries()) {
        const known = history[name].filter((each) => each !== null);
        const value = (this.back === null ? known.at(-1) : history[name][at]) ?? null;
        const part = make('span', this.readout);
        if (label) {
          make('i', part, { class: `key ${CLASSES[i]}` });
        }
        part.append(`${label} ${value === null ? '–' : short(value) + (this.unit ?? '')}  `);
      }
      this.readout.append(this.back === null ? '' : ago(this.back * history.step_seconds));
      this.figure.setAttribute('aria-label', `${this.title}: ${this.readout.textContent}. Arrow keys show other times.`);
    }

    draw() {
      const width = this.svg.clientWidth;
      const height = this.svg.clientHeight;
      if (!facts || width === 0) {
        return;
      }
      const history = facts.history[span];
      const all = this.series.flatMap(([name]) => history[name]);
      const end = ceiling(Math.max(...all.filter((value) => value !== null), this.unit ? 0.1 : 1));
      const x = (i) => LEFT + (width - LEFT - 2) * (POINTS[span] - this.count + i) / (POINTS[span] - 1);
      const y = (value) => height - BOTTOM - (height - BOTTOM - TOP) * value / end;

      this.svg.setAttribute('viewBox', `0 0 ${width} ${height}`);
      this.svg.replaceChildren();
      for (const share of [0, 0.5, 1]) {
        make('line', this.svg, { class: 'rule', x1: LEFT, x2: width, y1: y(share * end), y2: y(share * end) });
        make('text', this.svg, { x: LEFT - 6, y: y(share * end) + 4, 'text-anchor': 'end' }, short(share * end));
      }
      make('text', this.svg, { x: LEFT, y: height - 3 }, SPANS[span][1]);
      make('text', this.svg, { x: width, y: height - 3, 'text-anchor': 'end' }, 'now');
      for (const [i, [name]] of this.series.entries()) {
        make('path', this.svg, { class: CLASSES[i], d: line(history[name], x, y) });
      }
      if (this.back !== null) {
        const at = x(this.count - 1 - this.back);
        make('line', this.svg, { class: 'cursor', x1: at, x2: at, y1: TOP, y2: height - BOTTOM });
      }
      this.tell(history);
    }
  }

  // A path with a gap where a value is unknown. A value alone is a dot.
  function line(values, x, y) {
    let d = '';
    for (const [i, value] of values.entries()) {
      if (value !== null) {
        const begins = i === 0 || values[i - 1] === null;
        d += `${begins ? 'M' : 'L'}${x(i).toFixed(1)} ${y(value).toFixed(1)}`;
        d += begins && (values[i + 1] ?? null) === null ? 'h0' : '';
      }
    }
    return d;
  }

  const FORMATS = {
    text: String,
    number: String,
    reason: String,
    ms: (value) => `${value < 1000 ? Number(value.toPrecision(3)) : Math.round(value)} ms`,
    bytes(value) {
      const units = ['KiB', 'MiB', 'GiB', 'TiB'];
      let unit = -1;
      while (value >= 1024 && unit < units.length - 1) {
        value /= 1024;
        unit++;
      }
      return unit < 0 ? `${value} bytes` : `${value.toFixed(1)} ${units[unit]}`;
    },
  };

  function renewFacts() {
    for (const cell of document.querySelectorAll('td[data-fact]')) {
      const { fact, kind, reason } = cell.dataset;
      const value = reason ? facts[fact][reason] : facts[fact];
      cell.parentElement.hidden = value === null || (kind === 'reason' && value === 0);
      cell.textContent = value === null ? '' : FORMATS[kind](value);
    }
  }

  function renewLists() {
    const channels = document.querySelector('#channels');
    channels.replaceChildren();
    for (const { channel, streams } of facts.channels) {
      const row = make('tr', channels);
      make('th', row, { scope: 'row' }, channel);
      make('td', row, {}, String(streams));
    }
    const log = document.querySelector('#log');
    const text = facts.log.map((each) => `${each}\n`).join('');
    if (log.textContent !== text && document.getSelection().isCollapsed) {
      const follows = log.scrollTop + log.clientHeight >= log.scrollHeight - 4;
      log.textContent = text;
      log.scrollTop = follows ? log.scrollHeight : log.scrollTop;
    }
  }

  function tellState(text, good) {
    const state = document.querySelector('#state');
    state.className = good ? 'good' : 'bad';
    if (state.textContent !== text) {
      state.textContent = text;
    }
  }

  async function renew() {
    try {
      const answer = await fetch(location.href, { headers: { Accept: 'application/json' }, cache: 'no-store' });
      if (!answer.ok) {
        throw new Error(`status ${answer.status}`);
      }
      facts = await answer.json();
      tellState(facts.trouble ?? 'The event log can be read', facts.trouble === null);
      renewFacts();
      renewLists();
      charts.forEach((chart) => chart.draw());
    } catch (error) {
      tellState(`rowtail does not answer (${error.message}); the values are old`, false);
    }
  }

  async function renewAgain() {
    if (!document.hidden) {
      await renew();
    }
    setTimeout(renewAgain, EVERY_MS);
  }

  const place = document.querySelector('#charts');
  place.hidden = false;
  const choice = make('fieldset', place);
  make('legend', choice, {}, 'Charts');
  for (const [name, [title]] of Object.entries(SPANS)) {
    const label = make('label', choice);
    const button = make('input', label, { type: 'radio', name: 'span', value: name });
    button.checked = name === span;
    button.addEventListener('change', () => {
      span = name;
      charts.forEach((chart) => chart.move(null));
    });
    label.append(` ${title}`);
  }
  const charts = CHARTS.map((chart) => new Chart(place, chart));
  document.querySelector('#log').scrollTop = 1e6;
  document.addEventListener('visibilitychange', () => document.hidden || renew());
  renewAgain();
})();
