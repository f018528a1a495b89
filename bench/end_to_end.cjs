// end_to_end.cjs PROGRAM WORK RESULT REPEATS: whole runs of `prs-gpu run` and of its peers in turn, in
// the empty folder WORK (which holds png_pipeline), and writes RESULT.json and RESULT.md. Called by
// end_to_end.sh.
'use strict';
const { execFileSync, spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const zlib = require('zlib');
const { median, spread, machine, today, origin, write } = require('./result.cjs');

const MODELS = ['mlp', 'lenet', 'cnn'];
const WORKERS = [1, 2];
const SIZES = [1, 10, 100];
const DATA = process.env.PRS_FASHION_MNIST || '/usr/share/datasets/fashion-mnist';
const ROOT = path.resolve(__dirname, '..');
const modelFile = (model) => path.join(ROOT, 'models', `${model}.onnx`);

/// Wall and processor seconds (children included) of a command.
function timed(command, args) {
  const usage = path.resolve('usage');
  const start = process.hrtime.bigint();
  const done = spawnSync('/usr/bin/time', ['-f', '%U %S', '-o', usage, command, ...args], {
    encoding: 'utf8',
  });
  const wall = Number(process.hrtime.bigint() - start) / 1e9;
  if (done.status !== 0) throw new Error(`${command} ${args.join(' ')}: ${done.stderr}`);
  const [user, system] = fs.readFileSync(usage, 'utf8').trim().split(' ').map(Number);
  return { wall, cpu: user + system };
}

function makeInputs(program) {
  const images = path.join(DATA, 't10k-images-idx3-ubyte.gz');
  execFileSync(program, ['export-images', images, '--output', 'png'], { stdio: 'ignore' });
  const idx = zlib.gunzipSync(fs.readFileSync(path.join(DATA, 'train-images-idx3-ubyte.gz')));
  fs.writeFileSync('train.idx', idx);
  const text = "{'descr': '|u1', 'fortran_order': False, 'shape': (60000, 28, 28), }";
  const header = Buffer.from(`${text.padEnd(117)}\n`);
  const magic = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, header.length, 0]);
  fs.writeFileSync('train.npy', Buffer.concat([magic, header, idx.subarray(16)]));
  return { png: 10000, 'train.idx': 60000, 'train.npy': 60000 };
}

const sortedRows = (files) =>
  files
    .flatMap((file) => fs.readFileSync(file, 'utf8').split('\n').filter(Boolean))
    .sort()
    .join('\n');

function ours(program, model, input, workers, size) {
  fs.rmSync('out', { recursive: true, force: true });
  return timed(program, [
    'run', '--model', modelFile(model), '--input', input, '--output', 'out', '--workers',
    String(workers), '--mini-batch-size', String(size), '--set', 'allow_reuse=false', '--quiet',
  ]);
}

/// A side of a cell, from its repeats.
const side = (runs, images) => ({
  images_per_s: median(runs.map((run) => images / run.wall)),
  spread: spread(runs.map((run) => images / run.wall)),
  images_per_cpu_s: median(runs.map((run) => images / run.cpu)),
});

function measureCell(program, images, repeats, model, input, workers, size) {
  const peers = input === 'png' ? { spng: [], libpng: [], 'spng, decode only': [] } : {};
  const runs = [];
  let sameRows = null;
  for (let repeat = 0; repeat < repeats; ++repeat) {
    runs.push(ours(program, model, input, workers, size));
    for (const [name, list] of Object.entries(peers)) {
      const [decoder, only] = name.split(', ');
      const scorer = only ? 'none' : modelFile(model);
      list.push(timed(path.resolve('png_pipeline'), [input, 'rows', String(workers), decoder, scorer]));
      if (repeat > 0 || only) continue;
      const theirs = Array.from({ length: workers }, (_, i) => `rows${i}`);
      const same = sortedRows(['out/parallel_run_step.txt']) === sortedRows(theirs);
      sameRows = (sameRows === null || sameRows) && same;
    }
  }
  const cell = { model, input, workers, mini_batch_size: size, images, ...side(runs, images), peers: [] };
  if (sameRows !== null) cell.same_rows = sameRows;
  for (const [name, list] of Object.entries(peers)) {
    cell.peers.push({
      name,
      ...side(list, images),
      ratio: median(runs.map((run, i) => list[i].wall / run.wall)),
      cpu_ratio: median(runs.map((run, i) => list[i].cpu / run.cpu)),
    });
  }
  return cell;
}

const thousands = (rate) => (rate / 1e3).toFixed(1);

function table(result) {
  const lines = [
    `# End to end, CPU: ${result.date}`,
    '',
    `Thousand images per second of whole runs, process start and end included: the median of ` +
      `${result.repeats} runs, side by side; in brackets by processor time. Ratios are medians of ` +
      `pairs. The peers (bench/peers/png_pipeline.cpp) score with our own engine in batches of 64, ` +
      `so they are a harder mark than ONNX Runtime would be; they schedule, log and retry nothing. ` +
      `Load of the machine before and after: ${result.load_before}, ${result.load_after}.`,
    '',
    ...origin(result),
    '',
    '| model | input | workers | mini-batch | prs-gpu run | spng pipeline | ratio | libpng pipeline | ratio | decoding alone | same rows |',
    '|---|---|---|---|---|---|---|---|---|---|---|',
  ];
  const cellText = (one) => `${thousands(one.images_per_s)} (${thousands(one.images_per_cpu_s)})`;
  for (const cell of result.cells) {
    const [spng, libpng, floor] = cell.peers;
    const peer = (one) =>
      one ? `${cellText(one)} | ${one.ratio.toFixed(2)} (${one.cpu_ratio.toFixed(2)})` : '- | -';
    lines.push(
      `| ${cell.model} | ${cell.input} | ${cell.workers} | ${cell.mini_batch_size} | ${cellText(cell)} | ` +
        `${peer(spng)} | ${peer(libpng)} | ${floor ? cellText(floor) : '-'} | ` +
        `${cell.same_rows === undefined ? '-' : cell.same_rows ? 'yes' : 'NO'} |`,
    );
  }
  lines.push(
    '',
    `The way of PRS's samples (bench/peers/pil_sample.py: PIL, one image at a time, no model at all): ` +
      `${cellText(result.pil_sample)}.`,
  );
  return lines;
}

function main([program, work, target, repeatsText]) {
  process.chdir(work);
  const repeats = Number(repeatsText);
  const load = () => os.loadavg()[0].toFixed(1);
  const loadBefore = load();
  const inputs = makeInputs(program);
  const cells = [];
  ours(program, 'mlp', 'png', 2, 10); // Warm: files and program are in the page cache.
  for (const [input, images] of Object.entries(inputs)) {
    for (const model of MODELS) {
      for (const workers of WORKERS) {
        for (const size of input === 'png' ? SIZES : [100]) {
          const cell = measureCell(program, images, repeats, model, input, workers, size);
          cells.push(cell);
          console.error(`${model} ${input} w${workers} m${size}: ${thousands(cell.images_per_s)} k/s`);
        }
      }
    }
  }
  const sample = path.join(__dirname, 'peers', 'pil_sample.py');
  const pil = Array.from({ length: repeats }, () => timed('/usr/bin/python3', [sample, 'png', 'pil.txt']));
  const version = execFileSync(program, ['--version'], { encoding: 'utf8' }).split('\n')[0];
  const result = {
    date: today(),
    commit: version,
    machine: machine(),
    load_before: loadBefore,
    load_after: load(),
    repeats,
    cells,
    pil_sample: side(pil, inputs.png),
  };
  write(target, result, table(result));
}

main(process.argv.slice(2));
