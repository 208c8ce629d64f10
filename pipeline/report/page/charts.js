'use strict';
// Draws the report from the JSON in the page. Text from it only ever becomes text nodes. Everything plotted carries
// its values in data attributes, as they are in report.json.
const report = JSON.parse(document.getElementById('data').textContent);
const SVG = 'http://www.w3.org/2000/svg';
const byId = id => document.getElementById(id);

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function shape(name, attributes = {}, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  return node;
}

const isNumber = value => typeof value === 'number' && Number.isFinite(value);
const fixed = (value, digits) => isNumber(value) ? value.toFixed(digits) : '–';
const short = value => !isNumber(value) ? '–' : value === 0 ? '0' :
  Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3 ? value.toExponential(2) : String(Number(value.toPrecision(4)));
const whole = value => isNumber(value) ? value.toLocaleString('en-US') : '–';

function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (value >= 1023.5 && unit + 1 < units.length) { value /= 1024; ++unit; }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toPrecision(3)} ${units[unit]}`;
}

function seconds(value) {
  if (!isNumber(value)) return '–';
  if (value < 60) return `${value.toFixed(1)} s`;
  const minutes = Math.floor(value / 60);
  const rest = Math.floor(value % 60);
  return minutes < 60 ? `${minutes} min ${rest} s` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

// Rows of cells; a cell is text, or {text, data} with data attributes.
function table(caption, head, rows, textColumns = []) {
  const node = element('table', {}, element('caption', {}, caption));
  node.append(element('thead', {}, element('tr', {}, ...head.map(h => element('th', {scope: 'col'}, h)))));
  const body = element('tbody');
  for (const row of rows) {
    const cells = row.map((cell, i) => i === 0 ? element('th', {scope: 'row'}, cell) :
      element('td', textColumns.includes(i) ? {class: 'text'} : {}, cell));
    body.append(element('tr', {}, ...cells));
  }
  node.append(body);
  return node;
}

// Round values that cover [low, high].
function ticks(low, high, wanted) {
  const raw = (high - low) / wanted || 1;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].find(s => s * power >= raw) * power;
  const found = [];
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) found.push(i * step);
  return found;
}

function logTicks(low, high) {
  const found = [];
  for (const factors of [[1], [1, 3], [1, 2, 5], [1, 1.5, 2, 3, 4, 5, 6, 7, 8, 9]]) {
    found.length = 0;
    for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); ++e) {
      for (const f of factors) {
        const value = f * 10 ** e;
        if (value >= low * 0.999 && value <= high * 1.001) found.push(value);
      }
    }
    if (found.length >= 3) return found;
  }
  return ticks(low, high, 4);
}

// Axes of a chart: {node, x, y} with x and y from values to places.
function axes(holder, options) {
  const width = Math.max(280, Math.min(holder.clientWidth || 860, 960));
  const height = options.height || Math.round(Math.min(380, 180 + width * 0.25));
  const left = 62, right = 14, top = 30, bottom = 42;
  const id = holder.id;
  const node = shape('svg', {viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-labelledby': `${id}-t ${id}-d`});
  node.append(shape('title', {id: `${id}-t`}, options.title), shape('desc', {id: `${id}-d`}, options.description));
  let [x0, x1] = options.xRange, [y0, y1] = options.yRange;
  if (x1 <= x0) { x0 -= 0.5; x1 += 0.5; }
  if (y1 <= y0) { const pad = Math.abs(y0) * 0.1 || 1; y1 += pad; y0 = options.log ? y0 / 1.1 : y0 - pad; }
  const scale = options.log ? Math.log : v => v;
  const x = v => left + (v - x0) / (x1 - x0) * (width - left - right);
  const y = v => height - bottom - (scale(v) - scale(y0)) / (scale(y1) - scale(y0)) * (height - top - bottom);
  node.append(shape('text', {x: 4, y: 16, class: 'title'}, options.yLabel));
  for (const v of options.log ? logTicks(y0, y1) : ticks(y0, y1, 5)) {
    node.append(shape('line', {x1: left, x2: width - right, y1: y(v), y2: y(v), class: 'grid'}));
    node.append(shape('text', {x: left - 7, y: y(v) + 4, 'text-anchor': 'end'}, short(v)));
  }
  const xs = options.wholeX ? ticks(x0, x1, Math.min(width / 60, 12)).filter(Number.isInteger) :
    ticks(x0, x1, Math.min(width / 60, 12));
  for (const v of xs) {
    node.append(shape('line', {x1: x(v), x2: x(v), y1: top, y2: height - bottom, class: 'grid'}));
    node.append(shape('text', {x: x(v), y: height - bottom + 17, 'text-anchor': 'middle'}, short(v)));
  }
  node.append(shape('text', {x: width - right, y: height - 6, 'text-anchor': 'end'}, options.xLabel));
  return {node, x, y};
}

function dot(axis, series, point, name) {
  const small = series.points.length > 60 || (series.mark === 'dot-second' && series.line);
  const radius = series.mark === 'dot-third' ? 7 : small ? 2 : 3.5;
  const node = shape('circle', {cx: axis.x(point.x), cy: axis.y(point.y), r: radius, class: series.mark,
    'data-series': series.name, 'data-x': String(point.x), 'data-y': String(point.y), 'data-name': name});
  node.append(shape('title', {}, name));
  return node;
}

// A point's label: on the side of it that has room.
function labelOf(axis, point) {
  const [width] = axis.node.getAttribute('viewBox').split(' ').slice(2).map(Number);
  const x = axis.x(point.x), left = x > width / 2;
  return shape('text', {x: x + (left ? -7 : 7), y: axis.y(point.y) + 4, 'text-anchor': left ? 'end' : 'start', class: 'label'},
    point.label);
}

function sample(series) {
  const node = shape('svg', {viewBox: '0 0 32 16', 'aria-hidden': 'true'});
  if (series.line) node.append(shape('line', {x1: 0, x2: 32, y1: 8, y2: 8, class: series.line}));
  if (series.mark) node.append(shape('circle', {cx: 16, cy: 8, r: series.mark === 'dot-third' ? 6 : 3.5, class: series.mark}));
  return node;
}

// series: [{name, label, line, mark, points: [{x, y, name}]}]
function chart(holder, options, series) {
  series = series.filter(s => s.points.length > 0);
  holder.replaceChildren();
  const points = series.flatMap(s => s.points);
  if (points.length === 0) {
    holder.append(element('p', {}, options.absent));
    return;
  }
  const values = points.map(p => p.y);
  const log = options.log && Math.min(...values) > 0;
  const [low, high] = [Math.min(...values), Math.max(...values)];
  const pad = (high - low) * 0.06;
  const axis = axes(holder, {...options, log,
    xRange: [Math.min(...points.map(p => p.x)), Math.max(...points.map(p => p.x))],
    yRange: log ? [low / 1.05, high * 1.05] : [options.fromZero ? 0 : low - pad, high + pad]});
  for (const s of series) {
    if (s.line) {
      const path = s.points.map((p, i) => `${i ? 'L' : 'M'}${axis.x(p.x).toFixed(1)} ${axis.y(p.y).toFixed(1)}`).join('');
      axis.node.append(shape('path', {d: path, class: s.line}));
    }
    for (const p of s.points) {
      axis.node.append(dot(axis, s, p, p.name || `${s.label}: ${short(p.x)}, ${short(p.y)}`));
    }
    for (const p of s.points.filter(p => p.label)) axis.node.append(labelOf(axis, p));
  }
  holder.append(axis.node);
  if (series.length > 1) {
    holder.append(element('ul', {class: 'legend'}, ...series.map(s => element('li', {}, sample(s), s.label))));
  }
}
