// What the report shows, section by section, with the shapes of charts.js.
// How close the predictions are, by the mean divergence; the limits are told with the word.
function closeness(kl) {
  return kl < 0.01 ? 'very close (below 0.01)' : kl < 0.05 ? 'close (0.01 to 0.05)' :
    kl < 0.2 ? 'noticeably different (0.05 to 0.2)' : 'far apart (0.2 and above)';
}

function drawVerdict() {
  const model = report.model, output = report.output, evaluation = report.evaluation;
  const share = 100 * output.weight_bytes / model.weight_bytes;
  const rows = [
    ['Size', bytes(output.weight_bytes), `${fixed(share, 1)} % of the unquantized model, which has ${bytes(model.weight_bytes)}.`],
    ['Bits per weight', fixed(output.folder_bpw, 3), `Over all ${whole(model.all_parameters)} weights of the model, embeddings and ` +
      `head included; ${fixed(output.stored_bpw, 3)} in the linear layers of the blocks` +
      (isNumber(output.asked_bpw) ? `, where ${short(output.asked_bpw)} were asked for.` : '.')],
  ];
  if (evaluation) {
    const more = 100 * (evaluation.perplexity / evaluation.plain_perplexity - 1);
    rows.push(['Perplexity', fixed(evaluation.perplexity, 4), `${fixed(Math.abs(more), 2)} % ${more < 0 ? 'less' : 'more'} than ` +
      `the unquantized model's ${fixed(evaluation.plain_perplexity, 4)}. Among so many tokens it is undecided on average: lower is better.`],
    ['KL divergence', short(evaluation.kl_mean), `Predictions and those of the unquantized model are ${closeness(evaluation.kl_mean)}; ` +
      `0 is equal. The likeliest token is the same in ${fixed(100 * evaluation.top1_agreement, 1)} % of ${whole(evaluation.tokens)} places.`]);
  } else {
    rows.push(['Quality', 'not evaluated', 'Set evaluation.rows, or run shardquant eval with --against the unquantized model.']);
  }
  for (const [name, value, meaning] of rows) {
    byId('verdict').append(element('div', {}, element('dt', {}, name), element('dd', {}, value), element('dd', {}, meaning)));
  }
}

function drawSummary() {
  const output = report.output;
  document.title = `${report.model.name} at ${fixed(output.bpw, 2)} bits per weight`;
  byId('title').textContent = document.title;
  byId('subtitle').textContent = `${report.model.family}, ${whole(report.model.blocks)} blocks, ` +
    `${whole(report.model.parameters)} weights in their linear layers`;
  const rows = [
    ['Bits as measured', `${fixed(output.bpw, 4)} of ${short(output.asked_bpw)}`],
    ['Head', output.head_bits === 16 ? 'fp16' : `${output.head_bits} bits`],
    ['Error, sum and largest', `${short(output.sum_err)}, ${short(output.max_err)}`],
    ['Proven gap', isNumber(output.gap) ? short(output.gap) : 'none proven'],
  ];
  if (report.evaluation) rows.push(['KL divergence, 99th percentile', short(report.evaluation.kl_99)]);
  rows.push(['Time', `${seconds(report.run.seconds)} on ${report.run.ranks} rank(s)`],
    ['Peak memory of a rank', bytes(report.run.peak_bytes)]);
  for (const [name, value] of rows) {
    byId('summary').append(element('div', {}, element('dt', {}, name), element('dd', {}, value)));
  }
}

// Names, in a line below, what the pointer or a finger is at.
function nameWhatIsPointedAt(holder, line) {
  const show = event => {
    const title = event.target.closest('[data-name]');
    if (title) byId(line).textContent = title.dataset.name;
  };
  byId(holder).addEventListener('pointerover', show);
  byId(holder).addEventListener('pointerdown', show);
}

// Black or white, whichever has more contrast: at least 4.5 to 1 with one of them (WCAG 2, relative luminance).
function readableOn(color) {
  const luminance = color.map(v => v / 255).map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  return luminance > 0.179 ? '#000' : '#fff';
}

// Layers by part and block, the darker the larger value(layer). Few blocks are rows with their figures; many are columns
// without, so that all are seen at once. caption(low, high): the words at both ends; data(layer): what a cell is marked with.
const kMostRows = 16;

function heatMap(caption, value, shown, data) {
  const roles = [...new Set(report.layers.map(l => l.role))];
  const blocks = [...new Set(report.layers.map(l => l.block))];
  const layers = new Map(report.layers.map(l => [`${l.block} ${l.role}`, l]));
  const all = report.layers.map(value);
  const [low, high] = [Math.min(...all), Math.max(...all)];
  const many = blocks.length > kMostRows;
  const shortRole = role => role.replace(/_proj$/, '');

  function cellOf(block, role) {
    const layer = layers.get(`${block} ${role}`);
    if (!layer) return element('td');
    const share = high > low ? (value(layer) - low) / (high - low) : 0.5;
    const cell = element('td', {'data-layer': layer.name, ...data(layer)}, many ? '' : shown(layer));
    const ground = [[222, 235, 247], [8, 60, 125]].reduce((light, dark) => light.map((v, i) => v + (dark[i] - v) * share));
    cell.style.background = `rgb(${ground.map(Math.round).join(' ')})`;
    cell.style.color = readableOn(ground);
    return cell;
  }

  const node = element('table', {class: many ? 'heat many' : 'heat'});
  const [least, most] = caption(low, high);
  node.append(element('caption', {}, least, element('span', {class: 'key', 'aria-hidden': 'true'}), most));
  const [rows, columns] = many ? [roles, blocks] : [blocks, roles];
  const heading = column => many ? (column % 10 === 0 ? String(column) : '') : shortRole(column);
  node.append(element('thead', {}, element('tr', {}, element('th', {scope: 'col'}, 'block'),
    ...columns.map(c => element('th', {scope: 'col'}, heading(c))))));
  const body = element('tbody');
  for (const row of rows) {
    body.append(element('tr', {}, element('th', {scope: 'row'}, many ? shortRole(row) : String(row)),
      ...columns.map(column => many ? cellOf(column, row) : cellOf(row, column))));
  }
  node.append(body);
  return node;
}

function drawBits() {
  const many = new Set(report.layers.map(l => l.block)).size > kMostRows;
  byId('bits-note').textContent = 'Bits per weight that the allocation gave each linear layer. ' + (many ?
    'Columns are the blocks of the network, from the first to the last; the figures are in the table under "Error along the network".' :
    'Rows are the blocks of the network, from the first to the last.');
  const named = l => `${l.name}: ${fixed(l.bpw, 2)} bits (${l.option}), error ${short(l.err)}`;
  byId('bits').replaceChildren(heatMap((low, high) => [fixed(low, 2), `${fixed(high, 2)} bits`], l => l.bpw, l => fixed(l.bpw, 2),
    l => ({'data-bits': String(l.bpw), 'data-err': String(l.err), 'data-name': named(l), title: named(l)})));
}

function drawSensitivity() {
  const known = report.layers.length > 0 && report.layers.every(l => isNumber(l.sensitivity) && l.sensitivity > 0);
  byId('sensitivity-section').hidden = !known;
  if (!known) return;
  const named = l => `${l.name}: ${short(l.sensitivity)}`;
  byId('sensitivity').replaceChildren(heatMap(
    (low, high) => [short(10 ** low), `${short(10 ** high)}, on a scale of logarithms`],
    l => Math.log10(l.sensitivity), l => l.sensitivity.toPrecision(2),
    l => ({'data-sensitivity': String(l.sensitivity), 'data-name': named(l), title: named(l)})));
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

// One size has its figures in the verdict; two and more make a line.
function drawQuality() {
  const points = report.points;
  byId('quality').hidden = points.length < 2;
  if (points.length < 2) return;
  byId('quality-note').textContent = 'All sizes of this model that were made together. The model itself has a perplexity of ' +
    `${fixed(points[0].plain_perplexity, 4)}.`;
  const options = {xLabel: 'bits per weight', absent: 'No evaluation.', height: 240,
    description: 'One point per size; the table below has the values.'};
  chart(byId('perplexity'), {...options, title: 'Perplexity against bits', yLabel: 'perplexity'}, [
    {name: 'perplexity', label: 'quantized', line: 'first', mark: 'dot-first',
      points: points.map(p => ({x: p.bpw, y: p.perplexity}))},
    {name: 'plain', label: 'model', line: 'second', mark: 'dot-second',
      points: points.map(p => ({x: p.bpw, y: p.plain_perplexity}))},
  ]);
  chart(byId('divergence'), {...options, title: 'KL divergence against bits', yLabel: 'KL divergence (nats)', log: true}, [
    {name: 'kl', label: 'mean', line: 'first', mark: 'dot-first', points: points.map(p => ({x: p.bpw, y: p.kl_mean}))},
    {name: 'kl_99', label: '99th percentile', line: 'second', mark: 'dot-second',
      points: points.map(p => ({x: p.bpw, y: p.kl_99}))},
  ]);
  byId('quality-table').replaceChildren(table('Perplexity and KL divergence', ['bits', 'head bits', 'size', 'perplexity',
    'KL mean', 'KL 99 %', 'same top token'], points.map(p => [fixed(p.bpw, 4), String(p.head_bits), bytes(p.weight_bytes),
    fixed(p.perplexity, 5), short(p.kl_mean), short(p.kl_99), `${fixed(100 * p.top1_agreement, 2)} %`])));
}

// The layers with the largest errors, of different height, so that their labels do not lie on each other.
function distinctWorst(layers) {
  const chosen = [];
  const sorted = [...layers].sort((a, b) => b.err - a.err);
  for (const layer of sorted) {
    if (chosen.length === 3) break;
    if (chosen.every(c => Math.abs(c.err - layer.err) > 0.07 * sorted[0].err)) chosen.push(layer);
  }
  return new Set(chosen);
}

function drawAlong() {
  const errors = report.evaluation ? report.evaluation.block_errors : [];
  byId('along-note').textContent = (errors.length === 0 ? '' : 'Line: relative difference of the hidden states after every ' +
    'block, quantized network against plain one, each fed with its own states, on the rows of the evaluation. ') +
    'Circles: error of the output of each linear layer alone, as it was measured.';
  const worst = distinctWorst(report.layers);
  chart(byId('along'), {title: 'Error along the network', xLabel: 'block', wholeX: true, fromZero: true,
    yLabel: 'relative error', description: 'A line with one point per block and a circle per linear layer.',
    absent: 'Nothing was measured.'}, [
    {name: 'linear', label: 'one linear layer', mark: 'dot-soft', points: report.layers.map(l => ({x: l.block, y: l.err,
      name: `${l.name}: ${fixed(l.bpw, 2)} bits, error ${short(l.err)}`, label: worst.has(l) && `${l.block}.${l.role.replace(/_proj$/, '')}`}))},
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
  const longestText = Math.max(...stages.map(s => seconds(s.seconds).length));
  const bar = ranks > 32 ? 4 : 12, left = 128, right = 14 + 7 * longestText; // room for the time after the longest bar
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

drawVerdict();
drawSummary();
drawBits();
drawSensitivity();
nameWhatIsPointedAt('bits', 'bits-named');
nameWhatIsPointedAt('sensitivity', 'sensitivity-named');
nameWhatIsPointedAt('along', 'along-named');
drawRest();
drawCharts();
let drawnAt = window.innerWidth;
window.addEventListener('resize', () => {
  if (window.innerWidth === drawnAt) return;
  drawnAt = window.innerWidth;
  drawCharts();
});
window.addEventListener('beforeprint', () => document.querySelectorAll('details').forEach(d => { d.open = true; }));
