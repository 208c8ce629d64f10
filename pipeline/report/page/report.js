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
  return `${unit === 0 ? value : value.toPrecision(3)} ${units[unit]}`;
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
  const radius = series.mark === 'dot-third' ? 7 : series.mark === 'dot-soft' ? 3.5 : series.mark === 'dot-second' && series.line ? 2 : 3.5;
  const node = shape('circle', {cx: axis.x(point.x), cy: axis.y(point.y), r: radius, class: series.mark,
    'data-series': series.name, 'data-x': String(point.x), 'data-y': String(point.y)});
  node.append(shape('title', {}, name));
  return node;
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
  }
  holder.append(axis.node);
  if (series.length > 1) {
    holder.append(element('ul', {class: 'legend'}, ...series.map(s => element('li', {}, sample(s), s.label))));
  }
}

function drawSummary() {
  const output = report.output, evaluation = report.evaluation;
  document.title = `${report.model.name} at ${fixed(output.bpw, 2)} bits per weight`;
  byId('title').textContent = document.title;
  byId('subtitle').textContent = `${report.model.family}, ${whole(report.model.blocks)} blocks, ` +
    `${whole(report.model.parameters)} weights in their linear layers`;
  const rows = [
    ['Bits per weight', `${fixed(output.bpw, 4)} of ${short(output.asked_bpw)}`],
    ['On disk', `${fixed(output.stored_bpw, 4)} bits, ${bytes(output.weight_bytes)}`],
    ['Head', output.head_bits === 16 ? 'fp16' : `${output.head_bits} bits`],
    ['Error, sum and largest', `${short(output.sum_err)}, ${short(output.max_err)}`],
    ['Proven gap', isNumber(output.gap) ? short(output.gap) : 'none proven'],
  ];
  if (evaluation) {
    rows.push(['Perplexity', `${fixed(evaluation.perplexity, 4)} (plain ${fixed(evaluation.plain_perplexity, 4)})`],
      ['KL divergence', `${short(evaluation.kl_mean)} (99 %: ${short(evaluation.kl_99)})`],
      ['Same top token', `${fixed(100 * evaluation.top1_agreement, 2)} %`]);
  }
  rows.push(['Time', `${seconds(report.run.seconds)} on ${report.run.ranks} rank(s)`],
    ['Peak memory of a rank', bytes(report.run.peak_bytes)]);
  for (const [name, value] of rows) {
    byId('summary').append(element('div', {}, element('dt', {}, name), element('dd', {}, value)));
  }
}

// Black or white, whichever has more contrast: at least 4.5 to 1 with one of them (WCAG 2, relative luminance).
function readableOn(color) {
  const luminance = color.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  return luminance > 0.179 ? '#000' : '#fff';
}

// A table of blocks by roles, the darker the larger: value(layer) gives the number, data(layer) what a cell is marked with.
function heatMap(caption, value, shown, data) {
  const roles = [...new Set(report.layers.map(l => l.role))];
  const blocks = new Map();
  for (const layer of report.layers) {
    if (!blocks.has(layer.block)) blocks.set(layer.block, {});
    blocks.get(layer.block)[layer.role] = layer;
  }
  const all = report.layers.map(value);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const node = element('table', {class: 'heat'});
  node.append(element('caption', {}, caption(low, high)));
  node.append(element('thead', {}, element('tr', {}, element('th', {scope: 'col'}, 'block'),
    ...roles.map(r => element('th', {scope: 'col'}, r.replace(/_proj$/, ''))))));
  const body = element('tbody');
  for (const [block, layers] of blocks) {
    const row = element('tr', {}, element('th', {scope: 'row'}, String(block)));
    for (const role of roles) {
      const layer = layers[role];
      if (!layer) { row.append(element('td')); continue; }
      const share = high > low ? (value(layer) - low) / (high - low) : 0.5;
      const cell = element('td', {'data-layer': layer.name, ...data(layer)}, shown(layer));
      const ground = [[222, 235, 247], [8, 60, 125]].reduce((light, dark) => light.map((v, i) => v + (dark[i] - v) * share));
      cell.style.background = `rgb(${ground.map(Math.round).join(' ')})`;
      cell.style.color = readableOn(ground);
      row.append(cell);
    }
    body.append(row);
  }
  node.append(body);
  return node;
}

function drawBits() {
  byId('bits').replaceChildren(heatMap((low, high) => `from ${fixed(low, 2)} (light) to ${fixed(high, 2)} bits (dark)`,
    l => l.bpw, l => fixed(l.bpw, 2), l => ({'data-bits': String(l.bpw), 'data-err': String(l.err),
      title: `${l.name}: ${l.option}, error ${short(l.err)}`})));
}

function drawSensitivity() {
  const known = report.layers.length > 0 && report.layers.every(l => isNumber(l.sensitivity) && l.sensitivity > 0);
  byId('sensitivity-section').hidden = !known;
  if (!known) return;
  byId('sensitivity').replaceChildren(heatMap(
    (low, high) => `from ${short(10 ** low)} (light) to ${short(10 ** high)} (dark), on a scale of logarithms`,
    l => Math.log10(l.sensitivity), l => l.sensitivity.toPrecision(2),
    l => ({'data-sensitivity': String(l.sensitivity), title: `${l.name}: ${short(l.sensitivity)}`})));
}

function drawFrontier() {
  const objective = report.output.objective;
  const isSum = objective === 'sum' || objective === 'minimax_sum';
  byId('frontier-note').textContent = `What the best allocation of every number of bits comes to (objective: ${objective}), ` +
    'the bound that no allocation can go below, and what this output has' +
    (isSum ? '; the circles are all layers at one option.' : '.');
  const frontier = report.frontier;
  chart(byId('frontier'), {title: 'Error against bits per weight', log: true, xLabel: 'bits per weight',
    yLabel: isSum ? 'sum of relative errors' : `objective: ${objective}`,
    description: 'Falling line of the best allocations with their lower bound; the table below has the values.',
    absent: 'No frontier was computed.'}, [
    {name: 'frontier', label: 'best allocation', line: 'first', mark: 'dot-first',
      points: frontier.map(p => ({x: p.bpw, y: p.value}))},
    {name: 'bound', label: 'proven lower bound', line: 'second', mark: 'dot-second',
      points: frontier.filter(p => isNumber(p.lower_bound)).map(p => ({x: p.bpw, y: p.lower_bound}))},
    {name: 'uniform', label: 'one option for all layers', mark: 'dot-soft',
      points: isSum ? report.uniform.map(p => ({x: p.bpw, y: p.sum_err, name: `${p.option}: ${short(p.sum_err)}`})) : []},
    {name: 'chosen', label: 'this output', mark: 'dot-third',
      points: [{x: report.output.bpw, y: report.output.objective_value}]},
  ]);
  byId('frontier-table').replaceChildren(table('Best allocation at every number of bits',
    ['asked', 'bits', 'objective', 'lower bound', 'sum of errors', 'largest error'],
    frontier.map(p => [short(p.asked_bpw), fixed(p.bpw, 4), short(p.value), short(p.lower_bound), short(p.sum_err),
      short(p.max_err)])));
}

function drawQuality() {
  const points = report.points;
  const many = points.length > 1;
  byId('quality-note').textContent = points.length === 0 ? 'The evaluation was left out.' :
    (many ? 'All sizes of this model that were made together.' : 'One size was made; a sweep shows several here.') +
    ` The model itself has a perplexity of ${fixed(points[0].plain_perplexity, 4)}.`;
  const options = {xLabel: 'bits per weight', absent: 'No evaluation.', height: 240,
    description: 'One point per size; the table below has the values.'};
  chart(byId('perplexity'), {...options, title: 'Perplexity against bits', yLabel: 'perplexity'}, [
    {name: 'perplexity', label: 'quantized', line: many && 'first', mark: 'dot-first',
      points: points.map(p => ({x: p.bpw, y: p.perplexity}))},
    {name: 'plain', label: 'model', line: many && 'second', mark: 'dot-second',
      points: points.map(p => ({x: p.bpw, y: p.plain_perplexity}))},
  ]);
  chart(byId('divergence'), {...options, title: 'KL divergence against bits', yLabel: 'KL divergence (nats)', log: true}, [
    {name: 'kl', label: 'mean', line: many && 'first', mark: 'dot-first', points: points.map(p => ({x: p.bpw, y: p.kl_mean}))},
    {name: 'kl_99', label: '99th percentile', line: many && 'second', mark: 'dot-second',
      points: points.map(p => ({x: p.bpw, y: p.kl_99}))},
  ]);
  byId('quality-table').replaceChildren(table('Perplexity and KL divergence', ['bits', 'head bits', 'size', 'perplexity',
    'KL mean', 'KL 99 %', 'same top token'], points.map(p => [fixed(p.bpw, 4), String(p.head_bits), bytes(p.weight_bytes),
    fixed(p.perplexity, 5), short(p.kl_mean), short(p.kl_99), `${fixed(100 * p.top1_agreement, 2)} %`])));
}

function drawAlong() {
  const errors = report.evaluation ? report.evaluation.block_errors : [];
  byId('along-note').textContent = (errors.length === 0 ? '' : 'Line: relative difference of the hidden states after every ' +
    'block, quantized network against plain one, each fed with its own states, on the rows of the evaluation. ') +
    'Circles: error of the output of each linear layer alone, as it was measured.';
  chart(byId('along'), {title: 'Error along the network', xLabel: 'block', wholeX: true, fromZero: true,
    yLabel: 'relative error', description: 'A line with one point per block and a circle per linear layer.',
    absent: 'Nothing was measured.'}, [
    {name: 'linear', label: 'one linear layer', mark: 'dot-soft',
      points: report.layers.map(l => ({x: l.block, y: l.err, name: `${l.name}: ${short(l.err)}`}))},
    {name: 'along', label: 'hidden states after the block', line: 'first', mark: 'dot-first',
      points: errors.map((y, x) => ({x, y}))},
  ]);
  byId('along-table').replaceChildren(table('Relative error of every linear layer', ['layer', 'bits', 'error', 'option'],
    report.layers.map(l => [l.name, fixed(l.bpw, 4), short(l.err), l.option]), [3]),
    table('Relative error of the hidden states', ['after block', 'error'], errors.map((e, i) => [String(i), short(e)])));
}

const balance = stage => {
  const most = Math.max(...stage.busy_s);
  return most > 0 ? stage.busy_s.reduce((a, b) => a + b, 0) / stage.busy_s.length / most : 1;
};

function drawTimes() {
  const stages = report.stages.filter(s => s.seconds > 0);
  const ranks = report.run.ranks;
  const again = report.run.restart > 0 ? ` This was restart ${report.run.restart}; times of earlier starts are not in it.` : '';
  byId('times-note').textContent = 'Seconds that every rank worked (coloured) and waited for others (grey). The balance of a ' +
    'stage, under its name, is the mean working time over the longest one.' + again;
  const holder = byId('times');
  const width = Math.max(280, Math.min(holder.clientWidth || 860, 960));
  const most = Math.max(...stages.map(s => s.seconds), 1e-9);
  const bar = ranks > 32 ? 4 : 12, left = 128, right = 64;
  const height = stages.reduce((sum, s) => sum + s.busy_s.length * (bar + 2) + 16, 8);
  const node = shape('svg', {viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-labelledby': 'times-t times-d'});
  node.append(shape('title', {id: 'times-t'}, 'Time per stage and rank'),
    shape('desc', {id: 'times-d'}, 'One bar per stage and rank; the table below has the values.'));
  let y = 8;
  for (const stage of stages) {
    node.append(shape('text', {x: 4, y: y + 10, class: 'title'}, stage.name));
    if (ranks > 1) node.append(shape('text', {x: 4, y: y + 24}, `${fixed(100 * balance(stage), 0)} %`));
    stage.busy_s.forEach((busy, rank) => {
      const full = (width - left - right) * stage.seconds / most;
      if (ranks > 1 && ranks <= 32) node.append(shape('text', {x: left - 8, y: y + 10, 'text-anchor': 'end'}, `rank ${rank}`));
      node.append(shape('rect', {x: left, y, width: Math.max(full, 1), height: bar, class: 'idle'}));
      const done = shape('rect', {x: left, y, width: Math.max(full * busy / stage.seconds, 0.5), height: bar, class: 'bar',
        'data-stage': stage.name, 'data-rank': String(rank), 'data-busy': String(busy)});
      done.append(shape('title', {}, `${stage.name}, rank ${rank}: ${seconds(busy)} of ${seconds(stage.seconds)}`));
      node.append(done);
      if (rank === 0) node.append(shape('text', {x: left + full + 6, y: y + 10}, seconds(stage.seconds)));
      y += bar + 2;
    });
    y += 16;
  }
  holder.replaceChildren(node);
  byId('times-table').replaceChildren(table('Time per stage', ['stage', 'seconds', 'balance', ...Array.from({length: ranks},
    (_, r) => `rank ${r}`)], report.stages.map(s => [s.name, fixed(s.seconds, 2), `${fixed(100 * balance(s), 1)} %`,
    ...s.busy_s.map(b => fixed(b, 2))])));
}

function drawRest() {
  for (const warning of report.warnings) {
    byId('warnings').append(element('li', warning.is_warning ? {class: 'warning'} : {}, warning.text));
  }
  byId('settings').textContent = report.settings;
  byId('hashes').replaceChildren(table('Runs with the same values give the same bytes', ['what', 'value'],
    report.hashes.map(h => [h.name, h.value]), [1]));
}

function drawCharts() {
  drawFrontier();
  drawQuality();
  drawAlong();
  drawTimes();
}

drawSummary();
drawBits();
drawSensitivity();
drawRest();
drawCharts();
let drawnAt = window.innerWidth;
window.addEventListener('resize', () => {
  if (window.innerWidth === drawnAt) return;
  drawnAt = window.innerWidth;
  drawCharts();
});
window.addEventListener('beforeprint', () => document.querySelectorAll('details').forEach(d => { d.open = true; }));
