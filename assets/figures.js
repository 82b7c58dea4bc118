// Draws the figures of the attention inspector from the JSON beside them, in the page and in files that stand alone.
// Words of papers and models reach the page as text nodes only.
(() => {
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // Half-precision numbers, as NumPy packs them.
  const halves = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits += 1) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    if (exponent === 31) halves[bits] = fraction ? NaN : sign * Infinity;
    else halves[bits] = sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -24 * fraction);
  }
  const unpack = ({ shape, data }) => {
    const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
    const codes = new Uint16Array(bytes.buffer);
    return { shape, values: Float32Array.from(codes, (code) => halves[code]) };
  };

  // Numbers -> colours, as in app/inspecting/colours.py.
  const rgb = (stop) => [0, 2, 4].map((i) => parseInt(stop.slice(i, i + 2), 16));
  const tables = new Map();
  const table = (stops) => {
    const key = stops.join();
    if (!tables.has(key)) {
      tables.set(key, Array.from({ length: 256 }, (_, index) => {
        const place = (index / 255) * (stops.length - 1);
        const low = Math.min(Math.floor(place), stops.length - 2);
        return rgb(stops[low]).map((part, i) => Math.round(part + (place - low) * (rgb(stops[low + 1])[i] - part)));
      }));
    }
    return tables.get(key);
  };
  const position = (value, measure, about) => {
    const decades = about.decades[measure];
    const log = (size) => Math.log10(size) / decades + 1;
    if (measure === 'difference') {
      const size = Math.abs(value);
      const reach = about.scale === 'log' ? log(Math.max(size, 10 ** -decades)) : size;
      return 0.5 + 0.5 * Math.sign(value) * Math.min(reach, 1);
    }
    return Math.min(Math.max(about.scale === 'log' ? log(value) : value, 0), 1);
  };
  const colour = (value, measure, about) => {
    if (Number.isNaN(value) || (measure !== 'difference' && value <= 0)) return null;
    return table(about.colours[measure])[Math.round(255 * position(value, measure, about))];
  };
  const written = (value, measure) => {
    if (Number.isNaN(value)) return 'nothing';
    if (measure === 'change') return value.toPrecision(2);
    const sign = measure === 'difference' && value > 0 ? '+' : '';
    const percent = 100 * value;
    const digits = Math.abs(percent) >= 10 ? 1 : Math.max(0, 1 - Math.floor(Math.log10(Math.abs(percent) || 1)));
    return `${sign}${percent.toFixed(Math.min(digits, 5))}${measure === 'difference' ? ' points' : ' %'}`;
  };

  const paint = (canvas, rows, columns, values, measure, about) => {
    canvas.width = columns;
    canvas.height = rows;
    const image = new ImageData(Math.max(columns, 1), Math.max(rows, 1));
    for (let i = 0; i < rows * columns; i += 1) {
      const found = colour(values[i], measure, about);
      if (found) image.data.set([...found, 255], 4 * i);
    }
    canvas.getContext('2d').putImageData(image, 0, 0);
  };

  // What a cell or a word is, beside the pointer; screen readers hear it too.
  const tip = make('div', 'figure-tip');
  tip.setAttribute('role', 'status');
  const tell = (lines, x, y) => {
    if (!tip.isConnected) document.body.append(tip);
    tip.replaceChildren(...lines.map((line, i) => make('div', i === lines.length - 1 ? 'figure-tip-value' : '', line)));
    tip.style.display = 'block';
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${y + 18 + height > innerHeight ? Math.max(8, y - height - 12) : y + 18}px`;
  };
  const hush = () => { tip.style.display = 'none'; };
  addEventListener('scroll', hush, true);

  let sent = '';  // name of the figure that was clicked last: drawn anew it takes the focus back
  const send = (figure, row, column) => {
    sent = figure.dataset.name;
    if (window.longt5 && window.longt5.send) {
      window.longt5.send('cell', { figure: figure.dataset.name, row, column });
    }
  };

  const colourBar = (measure, about) => {
    const bar = make('div', 'figure-bar');
    const stops = table(about.colours[measure]).filter((_, i) => i % 15 === 0).map((c) => `rgb(${c.join()})`);
    const ramp = make('div', 'figure-ramp');
    ramp.style.background = `linear-gradient(90deg, ${stops.join()})`;
    const line = make('div', 'figure-bar-ticks');
    for (const [at, text] of about.bars[measure]) {
      const tick = make('span', '', text);
      tick.style.left = `${100 * at}%`;
      tick.style.transform = `translateX(${-100 * at}%)`;
      line.append(tick);
    }
    bar.append(ramp, line);
    return bar;
  };

  // Ticks in order of importance: each is shown unless it would touch one that is there already.
  const placeTicks = (side, ticks, count, vertical) => {
    const length = vertical ? side.clientHeight : side.clientWidth;
    const words = ticks.some(([, text]) => text.length > 5);
    const turned = !vertical && words;
    side.classList.toggle('turned', turned);
    side.replaceChildren();
    const taken = [];
    for (const [cell, text] of ticks) {
      const tick = make('span', '', text);
      side.append(tick);
      const size = vertical ? tick.offsetHeight : tick.offsetWidth;
      const at = ((cell + 0.5) / count) * length;
      const low = Math.min(Math.max(at - size / 2, 0), length - size);
      if (taken.some(([start, end]) => low < end + 1 && low + size > start - 1)) { tick.remove(); continue; }
      taken.push([low, low + size]);
      tick.style[vertical ? 'top' : 'left'] = `${low}px`;
    }
    if (turned) side.style.height = `${Math.max(0, ...[...side.children].map((tick) => tick.offsetHeight)) + 4}px`;
    else if (!vertical) side.style.height = '';
  };

  const heatmap = (panel, about, figure) => {
    const { shape: [rows, columns], values } = unpack(panel.values);
    const box = make('div', 'panel heatmap');
    if (panel.title) box.append(make('div', 'panel-title', panel.title));
    const grid = make('div', 'heatmap-grid');
    const canvas = make('canvas');
    canvas.tabIndex = 0;
    canvas.setAttribute('role', 'application');
    canvas.setAttribute('aria-label', `${panel.rows.title} by ${panel.columns.title}; arrow keys move from cell to cell`);
    paint(canvas, rows, columns, values, panel.measure, about);
    canvas.style.height = `${Math.min(Math.max(16 * rows, 240), 520)}px`;
    const frame = make('div', 'heatmap-frame');
    const cursor = make('div', 'heatmap-cursor');
    frame.append(canvas, cursor);
    const left = make('div', 'ticks rows');
    const below = make('div', 'ticks columns');
    grid.append(make('div', 'axis-title rows', panel.rows.title), left, frame, below,
      make('div', 'axis-title columns', panel.columns.title));
    box.append(grid, colourBar(panel.measure, about));
    const ticks = () => {
      placeTicks(left, panel.rows.ticks, rows, true);
      placeTicks(below, panel.columns.ticks, columns, false);
    };
    new ResizeObserver(ticks).observe(frame);

    let at = [0, 0];
    const show = (row, column, x, y) => {
      at = [row, column];
      Object.assign(cursor.style, {
        display: 'block',
        left: `${(100 * column) / columns}%`, width: `${100 / columns}%`,
        top: `${(100 * row) / rows}%`, height: `${100 / rows}%`,
      });
      const key = panel.keys.length ? panel.keys[row * panel.keysPerRow + column * panel.keysPerColumn] : '';
      const to = key ? `\u201c${key}\u201d \u00b7 ${panel.columns.labels[column]}` : panel.columns.labels[column];
      tell([panel.rows.labels[row], `\u2192 ${to}`, written(values[row * columns + column], panel.measure)], x, y);
    };
    const cell = (event) => {
      const area = canvas.getBoundingClientRect();
      const clamp = (share, count) => Math.min(count - 1, Math.max(0, Math.floor(share * count)));
      return [clamp((event.clientY - area.top) / area.height, rows), clamp((event.clientX - area.left) / area.width, columns)];
    };
    const hide = () => { hush(); cursor.style.display = 'none'; };
    canvas.addEventListener('pointermove', (event) => show(...cell(event), event.clientX, event.clientY));
    canvas.addEventListener('pointerleave', hide);
    canvas.addEventListener('blur', hide);
    canvas.addEventListener('click', (event) => send(figure, ...cell(event)));
    canvas.addEventListener('keydown', (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (event.key === 'Enter') send(figure, ...at);
      if (!step) return;
      event.preventDefault();
      const row = Math.min(rows - 1, Math.max(0, at[0] + step[0]));
      const column = Math.min(columns - 1, Math.max(0, at[1] + step[1]));
      const area = canvas.getBoundingClientRect();
      show(row, column, area.left + ((column + 0.5) * area.width) / columns, area.top + ((row + 0.5) * area.height) / rows);
    });
    return box;
  };

  const tiles = (panel, about, figure) => {
    const { shape: [, rows, columns], values } = unpack(panel.images);
    const box = make('div', 'panel tiles-panel');
    const grid = make('div', panel.byLayer ? 'tiles by-layer' : 'tiles');
    const heads = Math.max(0, ...panel.tiles.map(([, head]) => head)) + 1;
    if (panel.byLayer) grid.style.gridTemplateColumns = `auto repeat(${heads}, minmax(4.6rem, 1fr))`;
    panel.tiles.forEach(([layer, head, name, label, number], index) => {
      if (panel.byLayer && head === 0) grid.append(make('div', 'tile-layer', `layer ${layer}`));
      const tile = make('button', 'tile');
      tile.type = 'button';
      tile.setAttribute('aria-label', label);
      if (panel.chosen && panel.chosen[0] === layer && panel.chosen[1] === head) tile.setAttribute('aria-current', 'true');
      const canvas = make('canvas');
      const size = rows * columns;
      paint(canvas, rows, columns, values.subarray(index * size, (index + 1) * size), 'share', about);
      const line = make('span', 'tile-line');
      line.append(make('span', 'tile-head', panel.byLayer ? `${head}` : `${layer}.${head}`),
        make('span', 'tile-number', number));
      tile.append(canvas, line, make('span', 'tile-name', name || '\u2014'));
      tile.addEventListener('pointermove', (event) => tell([label, name || 'no name'], event.clientX, event.clientY));
      tile.addEventListener('pointerleave', hush);
      tile.addEventListener('click', () => { hush(); send(figure, layer, head); });
      grid.append(tile);
    });
    if (!panel.tiles.length) grid.append(make('p', '', 'No head has this name.'));
    const scroll = make('div', 'tiles-scroll');
    scroll.append(grid);
    box.append(scroll, colourBar('share', about));
    return box;
  };

  const bars = (panel) => {
    const { values } = unpack(panel.values);
    const box = make('div', 'panel bars-panel');
    if (panel.title) box.append(make('div', 'panel-title', panel.title));
    const line = make('div', 'bars');
    values.forEach((value, i) => {
      const bar = make('div', panel.warned[i] ? 'bar warned' : 'bar');
      const fill = make('div', 'bar-fill');
      fill.style.height = `${100 * value}%`;
      const column = make('div', 'bar-column');
      column.append(fill);
      bar.append(column, make('span', 'bar-word', panel.axis.ticks[i] ? panel.axis.ticks[i][1] : ''));
      const show = (event) => tell([panel.axis.labels[i], written(value, 'share')], event.clientX, event.clientY);
      bar.addEventListener('pointermove', show);
      bar.addEventListener('pointerleave', hush);
      line.append(bar);
    });
    box.append(line, make('div', 'axis-title', panel.axis.title));
    return box;
  };

  const choices = (label, names, changed) => {
    const line = make('div', 'text-choices');
    line.setAttribute('role', 'group');
    line.setAttribute('aria-label', label);
    names.forEach(([value, text], i) => {
      const button = make('button', '', text);
      button.type = 'button';
      button.setAttribute('aria-pressed', String(i === 0));
      button.addEventListener('click', () => {
        for (const other of line.children) other.setAttribute('aria-pressed', String(other === button));
        changed(value);
      });
      line.append(button);
    });
    return line;
  };

  const colouredText = (panel, about, figure) => {
    const arrays = Object.fromEntries(
      ['band', 'blocks', 'strip', 'cross', 'crossStrip'].map((name) => [name, unpack(panel[name])]));
    const [n, width] = arrays.band.shape;
    const radius = (width - 1) / 2;
    const bins = panel.bins.length;
    const state = { unit: 'word', way: 'to', kind: panel.asking[0], index: panel.asking[1], pinned: false };
    const box = make('div', 'panel text-panel');

    const spans = [];  // of the words that were read
    const text = make('div', 'text-words');
    for (const [words, label, read] of panel.words) {
      const span = make('span', read ? 'word' : 'unread', words);
      if (read) { span.dataset.i = spans.length; span.dataset.kind = 'paper'; spans.push(span); span.longt5 = label; }
      else span.title = label;
      text.append(span);
    }
    const summary = make('div', 'text-words text-summary');
    const asked = panel.written.map(([words, label], i) => {
      const span = make('span', 'word', words);
      Object.assign(span.dataset, { i, kind: 'summary' });
      span.longt5 = label;
      summary.append(span);
      return span;
    });

    const strip = make('canvas', 'text-strip');
    strip.height = 1;
    const stripBox = make('div', 'text-strip-box');
    const here = make('div', 'text-here');
    here.style.left = `${(100 * panel.shownBins[0]) / bins}%`;
    here.style.width = `${(100 * (panel.shownBins[1] - panel.shownBins[0])) / bins}%`;
    stripBox.append(strip, here);

    // The words that ask together with the one pointed at.
    const group = () => {
      const { kind, index, unit } = state;
      if (kind === 'summary') return unit === 'word' ? [index] : asked.map((_, i) => i);
      const same = { sentence: panel.sentenceOf, block: panel.blockOf }[unit];
      if (!same || same[index] < 0) return [index];
      return spans.map((_, i) => i).filter((i) => same[i] === same[index]);
    };
    const at = ({ shape: [, columns], values }, row, column) => values[row * columns + column];
    const given = (queries) => {
      const words = new Float32Array(n);
      const blocks = new Float32Array(arrays.blocks.shape[1]);
      const parts = new Float32Array(bins);
      for (const q of queries) {
        if (state.kind === 'summary') {
          for (let i = 0; i < n; i += 1) words[i] += at(arrays.cross, q, i) / queries.length;
        } else {
          for (let i = Math.max(0, q - radius); i <= Math.min(n - 1, q + radius); i += 1) {
            words[i] += at(arrays.band, q, i - q + radius) / queries.length;
          }
          for (let b = 0; b < blocks.length; b += 1) blocks[b] += at(arrays.blocks, q, b) / queries.length;
        }
        const all = state.kind === 'summary' ? arrays.crossStrip : arrays.strip;
        for (let b = 0; b < bins; b += 1) parts[b] += at(all, q, b) / queries.length;
      }
      return { words, blocks, parts };
    };
    const received = (keys) => {  // from each word shown, to the words that were asked for
      const words = new Float32Array(n);
      for (let q = 0; q < n; q += 1) {
        for (const k of keys) if (Math.abs(k - q) <= radius) words[q] += at(arrays.band, q, k - q + radius);
        const blocks = new Set(keys.map((k) => panel.blockOf[k]).filter((b) => b >= 0));
        if (state.unit === 'block') for (const b of blocks) words[q] += at(arrays.blocks, q, b);
      }
      return { words, blocks: new Float32Array(arrays.blocks.shape[1]), parts: new Float32Array(bins) };
    };
    const css = (value) => {
      const found = colour(value, 'share', about);
      return found && value >= 0.001 ? found : null;  // less would colour every word
    };
    const dark = ([r, g, b]) => 0.3 * r + 0.59 * g + 0.11 * b < 140;
    const said = make('div', 'text-said');
    let shown = { words: [], blocks: [], parts: [] };
    const draw = () => {
      const asking = group();
      shown = state.way === 'to' || state.kind === 'summary' ? given(asking) : received(asking);
      spans.forEach((span, i) => {
        const found = css(shown.words[i]);
        span.style.backgroundColor = found ? `rgb(${found.join()})` : '';
        span.style.color = found ? (dark(found) ? '#fff' : '#111') : '';
        const block = panel.blockOf[i] >= 0 ? css(shown.blocks[panel.blockOf[i]]) : null;
        span.style.boxShadow = block ? `0 3px 0 rgb(${block.join()})` : '';
      });
      const set = new Set(asking);
      spans.forEach((span, i) => span.classList.toggle('asking', state.kind === 'paper' && set.has(i)));
      asked.forEach((span, i) => span.classList.toggle('asking', state.kind === 'summary' && set.has(i)));
      paint(strip, 1, bins, shown.parts, 'share', about);
      const quote = (state.kind === 'summary' ? asked : spans)[state.index];
      const sum = (list) => list.reduce((total, value) => total + value, 0);
      const what = `\u201c${quote ? quote.textContent.trim() : ''}\u201d`;
      said.textContent = state.way === 'from' && state.kind === 'paper'
        ? `Who attends to ${what}${state.unit === 'word' ? '' : ` and its ${state.unit}`}`
        : state.kind === 'summary'
          ? `${what} of the summary: ${written(sum(shown.words), 'share')} of its attention on the words below`
          : `${what}: ${written(sum(shown.words), 'share')} on the words below through the band, ` +
            `${written(sum(shown.parts), 'share')} on the globals of the whole paper`;
    };
    const ask = (span) => { state.kind = span.dataset.kind; state.index = Number(span.dataset.i); draw(); };
    said.setAttribute('role', 'status');
    for (const [area, words] of [[text, spans], [summary, asked]]) {
      area.tabIndex = 0;
      area.setAttribute('role', 'group');
      area.setAttribute('aria-label', `Words of the ${area === text ? 'paper' : 'summary'}: arrow keys choose one`);
      area.addEventListener('keydown', (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step || !words.length) return;
        event.preventDefault();
        const inside = words[0].dataset.kind === state.kind ? state.index + step : 0;
        const span = words[Math.min(words.length - 1, Math.max(0, inside))];
        state.pinned = true;
        ask(span);
        span.scrollIntoView({ block: 'nearest' });
      });
      area.addEventListener('pointerover', (event) => {
        const span = event.target.closest('.word');
        if (!span) return;
        if (!state.pinned) ask(span);
        const paper = span.dataset.kind === 'paper';
        const value = paper ? shown.words[span.dataset.i] : NaN;
        tell([span.longt5, paper ? `${written(value || 0, 'share')}${state.pinned ? ' (kept: click to let go)' : ''}` : ''],
          event.clientX, event.clientY);
      });
      area.addEventListener('pointerleave', hush);
      area.addEventListener('click', (event) => {
        const span = event.target.closest('.word');
        if (!span) return;
        state.pinned = !(state.pinned && span.classList.contains('asking'));
        ask(span);
      });
    }
    let bin = panel.shownBins[0];
    const tellBin = (x, y) => tell([panel.bins[bin], written(shown.parts[bin] || 0, 'share')], x, y);
    const binAt = (event) => {
      const area = strip.getBoundingClientRect();
      return Math.min(bins - 1, Math.max(0, Math.floor(((event.clientX - area.left) / area.width) * bins)));
    };
    strip.tabIndex = 0;
    strip.setAttribute('role', 'application');
    strip.setAttribute('aria-label', 'The whole paper: arrow keys choose a place, Enter goes there');
    strip.addEventListener('pointermove', (event) => { bin = binAt(event); tellBin(event.clientX, event.clientY); });
    strip.addEventListener('pointerleave', hush);
    strip.addEventListener('blur', hush);
    strip.addEventListener('click', (event) => send(figure, binAt(event), 0));
    strip.addEventListener('keydown', (event) => {
      if (event.key === 'Enter') send(figure, bin, 0);
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!step) return;
      event.preventDefault();
      bin = Math.min(bins - 1, Math.max(0, bin + step));
      const area = strip.getBoundingClientRect();
      tellBin(area.left + ((bin + 0.5) * area.width) / bins, area.bottom);
    });

    const controls = make('div', 'text-controls');
    controls.append(
      choices('What asks', [['word', 'word'], ['sentence', 'sentence'], ['block', 'block']],
        (unit) => { state.unit = unit; draw(); }),
      choices('Which way', [['to', 'attends to'], ['from', 'is attended by']],
        (way) => { state.way = way; draw(); }));
    box.append(controls, said, make('div', 'panel-title', 'Whole paper (click to go there)'), stripBox);
    if (asked.length) box.append(make('div', 'panel-title', 'Summary'), summary);
    box.append(make('div', 'panel-title', 'Paper'), text, colourBar('share', about));
    draw();
    return box;
  };

  const drawn = new WeakMap();  // figure -> the key of what it shows
  const kinds = { heatmap, tiles, bars, text: colouredText };
  const draw = () => {
    for (const figure of document.querySelectorAll('.figure')) {
      // The page may replace a figure, or give the same element other data; either way its key changes.
      const before = figure.querySelector('.panels');
      if (before && drawn.get(figure) === figure.dataset.key) continue;
      drawn.set(figure, figure.dataset.key);
      hush();
      if (before) before.remove();
      const about = JSON.parse(figure.querySelector('.figure-data').textContent);
      const panels = make('div', about.panels.length > 1 ? 'panels several' : 'panels');
      figure.append(panels);
      for (const panel of about.panels) panels.append(kinds[panel.kind](panel, about, figure));
      if (sent === figure.dataset.name && document.activeElement === document.body) {
        panels.querySelector('.tile[aria-current], canvas[tabindex]')?.focus({ preventScroll: true });
      }
    }
  };
  new MutationObserver(draw).observe(document.documentElement,
    { childList: true, subtree: true, attributes: true, attributeFilter: ['data-key'] });
  draw();
})();
