// What a recorded result of run.cjs looks like to people: a page, a plot, and README's section.
'use strict';
const { execFileSync } = require('child_process');
const { origin } = require('./result.cjs');

const thousands = (rate) => (rate >= 1e5 ? (rate / 1e3).toFixed(0) : (rate / 1e3).toFixed(1));
const percent = (part, digits) => `${(part * 100).toFixed(digits)} %`;
const table = (head, rows) =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`);
/// The load average from which on the figures are not to be trusted: half a processor.
const BUSY = 0.5;
const unique = (values) => [...new Set(values)];
const plural = (count, word) => `${count} ${word}${count === 1 ? '' : 's'}`;

/// The peers of all cells, each once: "ONNX Runtime 1.30.0".
const peerNames = ({ cells }) =>
  unique(cells.flatMap(({ peers }) => peers.map(({ name, version }) => `${name} ${version}`)));

const howMeasured = (result) =>
  `Images per second from u8 images in memory to scores, the median of ` +
  `${plural(result.repeats, 'run')} of ${result.seconds} s each, ours and the peers' in turn: ` +
  `${peerNames(result).join(', ')}. Peers are given float32 that is scaled already; ONNX Runtime is ` +
  `called through Node, which counts at batch 1. Tuned: memory kept between batches, OpenBLAS's ` +
  `kernels for AVX-512. The images are Fashion-MNIST's 10,000 test images, of whose pixels half are 0: ` +
  `ours leaves those out of fully connected first layers, so that its rates depend on the pixels.`;

/// A warning where other work disturbed the run.
const disturbed = ({ machine }) =>
  machine.load_before < BUSY ? [] : [
    `**Other processes had the machine too (load ${machine.load_before.toFixed(1)} before the run): the ` +
      `figures are rough, and unfair to peers whose threads wait by spinning.**`, '',
  ];

function rateTable(result) {
  const head = ['model', 'batch', 'threads', 'precision', 'ours, k/s', 'best peer, k/s', 'ratio',
    'spread', '% of limit', 'max error', 'same class', 'accuracy'];
  return table(head, result.cells.map((cell) => {
    const best = cell.peers.find(({ name }) => name === cell.best_peer);
    return [cell.model, cell.batch, cell.threads, cell.precision, thousands(cell.images_per_s),
      `${thousands(best.images_per_s)} (${best.name})`, cell.ratio_to_best_peer.toFixed(2),
      percent(cell.spread, 0),
      cell.percent_of_limit === null ? '-' : cell.percent_of_limit.toFixed(0),
      cell.max_abs_error.toExponential(1), percent(cell.top1_agreement, 2),
      percent(cell.accuracy, 2)];
  }));
}

/// One row a cell, one column a peer.
function peerTable(result) {
  const names = unique(result.cells.flatMap(({ peers }) => peers.map(({ name }) => name)));
  const cells = result.cells.filter(({ precision }) => precision === 'fp32');
  return table(['model', 'batch', 'threads', ...names], cells.map((cell) => [
    cell.model, cell.batch, cell.threads,
    ...names.map((name) => {
      const peer = cell.peers.find((candidate) => candidate.name === name);
      return peer ? `${thousands(peer.images_per_s)} (${percent(peer.top1_agreement, 2)})` : '-';
    }),
  ]));
}

function latencyTable(result) {
  const cell = ({ p50_us, p99_us }) => `${p50_us.toFixed(0)} / ${p99_us.toFixed(0)}`;
  return table(
    ['model', 'threads', 'precision', 'ours', 'peers'],
    result.cells.filter(({ batch }) => batch === 1).map((one) => [
      one.model, one.threads, one.precision, cell(one),
      one.peers.map((peer) => `${peer.name} ${cell(peer)}`).join(', '),
    ]),
  );
}

function peakTable({ peaks }) {
  const rate = (value) => (value === null ? '-' : value.toFixed(0));
  return table(
    ['threads', 'fp32 GFLOP/s', 'bf16 GFLOP/s', 'int8 GOP/s', 'copy GB/s'],
    peaks.map((peak) => [peak.threads, rate(peak.fp32_gflops), rate(peak.bf16_gflops),
      rate(peak.int8_gops), rate(peak.copy_gb_s)]),
  );
}

/// The whole record as lines of Markdown; `name` is its file's, without extension.
function page(result, name) {
  const notes = result.left_out.length > 0 ? ['', 'Left out:', ''] : [];
  return [
    `# Engine, CPU: ${result.date}`, '', howMeasured(result), '', ...disturbed(result), ...origin(result), '',
    `![Images per second over the batch size](${name}.svg)`, '',
    '## Ours against the best peer', '',
    `Ratio: the median of the pairwise ratios. Limit: the model's operations at the peak below, or its ` +
      `pixels and scores at the copy rate, whichever is slower; a kernel that saves multiplications ` +
      `may pass it. Error, same class: against ONNX Runtime in float32, on all 10,000 images. Spread: ` +
      `from the slowest to the fastest run, as a part of the median.`,
    '', ...rateTable(result), '',
    '## Every peer', '', 'Thousands of images per second; in parentheses the same class.', '',
    ...peerTable(result), '',
    '## Latency at batch 1', '', 'Microseconds, p50 / p99.', '', ...latencyTable(result), '',
    '## The machine\'s limits, measured in the same run', '', ...peakTable(result),
    ...notes, ...result.left_out.map((line) => `- ${line}`),
  ];
}

const COLOURS = {
  'prs-gpu fp32': '#0b5fa5', 'prs-gpu bf16': '#1f8a70', 'prs-gpu int8': '#6a3d9a',
  'ONNX Runtime': '#d95f02', 'TorchScript': '#e7298a', 'TorchScript tuned': '#a6761d',
  'OpenCV DNN': '#7f7f7f', Eigen: '#b0b000',
};

/// Every line of the panel of one model and thread count: name -> [[batch, images/s], ...].
function seriesOf(cells) {
  const series = new Map();
  const add = (name, batch, rate) => {
    if (!series.has(name)) series.set(name, new Map());
    series.get(name).set(batch, rate);
  };
  for (const cell of cells) add(`prs-gpu ${cell.precision}`, cell.batch, cell.images_per_s);
  for (const { batch, peers } of cells) {
    for (const { name, images_per_s } of peers) add(name, batch, images_per_s);
  }
  return series;
}

/// Writes the plot: a row for each thread count, a panel for each model, one key for all.
function plot(result, file) {
  const models = unique(result.cells.map(({ model }) => model));
  const threads = unique(result.cells.map((cell) => cell.threads));
  const batches = unique(result.cells.map(({ batch }) => batch));
  const width = 300 + 340 * models.length;
  const lines = [
    `set terminal svg size ${width},${300 * threads.length} font 'sans-serif,13' ` +
      `background '#ffffff'`,
    `set output '${file}'`,
    `set multiplot layout ${threads.length},${models.length} ` +
      `margins screen ${60 / width},${1 - 240 / width},0.1,0.93 spacing screen ${60 / width},0.16`,
    'set logscale xy', "set grid ytics lt 1 lc rgb '#dddddd'", 'set border 3', 'set tics nomirror',
    `set xtics font ',11' (${batches.map((batch) => `'${batch}' ${batch}`).join(', ')})`,
    `set xrange [${Math.min(...batches) * 0.8}:${Math.max(...batches) * 1.25}]`,
    "set format y '%.0s%c'", "set xlabel 'batch' offset 0,0.5", 'unset key',
  ];
  const panels = threads.flatMap((count) => models.map((model) => ({ count, model })));
  const names = [...seriesOf(result.cells).keys()];
  const style = (name) =>
    `with linespoints pt 7 ps 0.4 lw ${name.startsWith('prs-gpu') ? 3 : 1.5} ` +
    `lc rgb '${COLOURS[name] ?? '#000000'}' title '${name}'`;
  panels.forEach(({ count, model }, index) => {
    const series = seriesOf(
      result.cells.filter((cell) => cell.model === model && cell.threads === count));
    [...series.values()].forEach((points, line) => lines.push(
      `$data${line} << EOD`, ...[...points].map((point) => point.join(' ')), 'EOD'));
    const plots = [...series.keys()].map((name, line) => `$data${line} ${style(name)}`);
    if (index === panels.length - 1) {
      // The last panel draws the key, which also names what it has no line of.
      lines.push('set key at screen 0.995,0.93 Left reverse samplen 1');
      plots.push(...names.filter((name) => !series.has(name)).map((name) => `NaN ${style(name)}`));
    }
    lines.push(`set title '${model}, ${plural(count, 'thread')}: images/s' offset 0,-0.5`,
      `plot ${plots.join(', ')}`);
  });
  execFileSync('gnuplot', ['-'], { input: lines.join('\n') + '\n' });
}

/// README's part: how ours compares, losses in words. `folder`: where the record lies, `name` as in
/// page().
function readmeSection(result, folder, name) {
  const batches = unique(result.cells.map(({ batch }) => batch));
  const kinds = unique(result.cells.map((cell) => [cell.model, cell.precision, cell.threads].join()));
  const rows = kinds.map((kind) => [
    ...kind.split(','),
    ...batches.map((batch) => {
      const cell = result.cells.find((candidate) => candidate.batch === batch &&
        [candidate.model, candidate.precision, candidate.threads].join() === kind);
      if (!cell) return '-';
      const ratio = cell.ratio_to_best_peer.toFixed(2);
      return cell.ratio_to_best_peer < 1 ? `**${ratio}**` : ratio;
    }),
  ]);
  const lost = result.cells.filter((cell) => cell.ratio_to_best_peer < 1);
  const winners = unique(lost.map(({ best_peer }) => best_peer)).map((peer) =>
    `${peer} in ${lost.filter(({ best_peer }) => best_peer === peer).length}`);
  const { processor, compiler } = result.machine;
  return [
    `The engine on the CPU, as a ratio to the fastest of ${peerNames(result).join(', ')} at each ` +
      `batch size; above 1 ours is faster. ${processor}, ${compiler}, ` +
      `${plural(result.repeats, 'run')} of ${result.seconds} s in turn, commit ` +
      `${result.commit}:`,
    '',
    ...disturbed(result),
    ...table(['model', 'precision', 'threads', ...batches], rows),
    '',
    lost.length === 0
      ? `No peer is faster in any of the ${result.cells.length} cells.`
      : `In ${lost.length} of ${result.cells.length} cells (bold) a peer is faster: ` +
        `${winners.join(', ')}.`,
    `Rates, latencies, differences of the scores and the machine's limits: ` +
      `[${folder}/${name}.md](${folder}/${name}.md). \`bench/run.sh\` measures it on your machine.`,
    '',
    `![Images per second over the batch size, ours and the peers](${folder}/${name}.svg)`,
  ];
}

module.exports = { page, plot, readmeSection, thousands };
