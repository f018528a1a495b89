// end_to_end.cjs PROGRAM WORK RESULT REPEATS: whole runs of `prs-gpu run` and of its peers in turn, in
// the empty folder WORK (which holds pipeline_ort and pipeline_prs), and writes RESULT.json and
// RESULT.md. Called by end_to_end.sh.
'use strict';
const { execFileSync, spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const zlib = require('zlib');
const { median, spread, machine, today, write } = require('./result.cjs');
const { page } = require('./end_to_end_page.cjs');

const MODELS = ['mlp', 'lenet', 'cnn'];
const WORKERS = [1, 2];
const SIZES = [1, 10, 100];
const TIMES_REPEATED = 10; // The training images, for a long IDX file.
const FEW = 3; // Repeats of what takes long.
const DATA = process.env.PRS_FASHION_MNIST || '/usr/share/datasets/fashion-mnist';
const ROOT = path.resolve(__dirname, '..');
const PYTHON = '/usr/bin/python3';
const SAMPLE = path.join(__dirname, 'peers', 'pil_sample.py');
const LABELS = path.join(ROOT, 'models', 'fashion-mnist.labels.txt');
const modelFile = (model) => path.join(ROOT, 'models', `${model}.onnx`);
const output = (command, args) => execFileSync(command, args, { encoding: 'utf8' });

/// Wall and processor seconds (children included) of a command; bash tells the latter to 1 ms.
function timed(command, ...args) {
  const script = 'TIMEFORMAT="%3U %3S"; { time "$@" >/dev/null 2>error; } 2>usage';
  const start = process.hrtime.bigint();
  const done = spawnSync('/bin/bash', ['-c', script, 'timed', command, ...args.map(String)]);
  const wall = Number(process.hrtime.bigint() - start) / 1e9;
  if (done.status !== 0) {
    throw new Error(`${command} ${args.join(' ')}: ${fs.readFileSync('error', 'utf8')}`);
  }
  const [user, system] = fs.readFileSync('usage', 'utf8').trim().split(' ').map(Number);
  return { wall, cpu: user + system };
}

function makeInputs(program) {
  const file = (name) => path.join(DATA, `${name}-images-idx3-ubyte.gz`);
  for (const [folder, images] of [['png', file('t10k')], ['png60', file('train')]]) {
    execFileSync(program, ['export-images', images, '--output', folder], { stdio: 'ignore' });
  }
  const idx = zlib.gunzipSync(fs.readFileSync(file('train')));
  fs.writeFileSync('train.idx', idx);
  const long = Buffer.concat([idx, ...Array(TIMES_REPEATED - 1).fill(idx.subarray(16))]);
  long.writeUInt32BE(60000 * TIMES_REPEATED, 4);
  fs.writeFileSync('long.idx', long);
  const text = "{'descr': '|u1', 'fortran_order': False, 'shape': (60000, 28, 28), }";
  const header = Buffer.from(`${text.padEnd(117)}\n`);
  const magic = Buffer.from([0x93, ...Buffer.from('NUMPY'), 1, 0, header.length, 0]);
  fs.writeFileSync('train.npy', Buffer.concat([magic, header, idx.subarray(16)]));
  return { png: 10000, png60: 60000, 'train.idx': 60000, 'train.npy': 60000, 'long.idx': 600000 };
}

const sortedRows = (file) => fs.readFileSync(file, 'utf8').split('\n').filter(Boolean).sort().join();

/// Every run has an output folder of its own: some file systems are slower where one was just
/// removed.
let runs = 0;
const OUTPUT = () => `out${runs}`;
const ours = (program, model, input, workers, size) => () => {
  fs.rmSync(OUTPUT(), { recursive: true, force: true });
  ++runs;
  return timed(
    program, 'run', '--model', modelFile(model), '--input', input, '--output', OUTPUT(),
    '--workers', workers, '--mini-batch-size', size, '--set', 'allow_reuse=false', '--quiet',
  );
};
const pipeline = (kind, model, folder, threads) => () =>
  timed(path.resolve(`pipeline_${kind}`), folder, `rows.${kind}`, threads, LABELS, model);
const sample = (model, folder, processes) => () =>
  timed(PYTHON, SAMPLE, 'run', `${model}.pt`, LABELS, folder, 'rows.pil', processes);

/// Runs all in turn, `repeats` times, those named in `few` at most FEW times. By name: rates, and
/// the ratio of each to the others' time in the same turn. `check` is called after each run of the
/// first turn.
function interleaved(images, repeats, contenders, few = [], check = () => {}) {
  const all = Object.fromEntries(Object.keys(contenders).map((name) => [name, []]));
  for (let repeat = 0; repeat < repeats; ++repeat) {
    for (const [name, run] of Object.entries(contenders)) {
      if (repeat >= FEW && few.includes(name)) continue;
      all[name].push(run());
      if (repeat === 0) check(name);
    }
  }
  const rates = Object.fromEntries(
    Object.entries(all).map(([name, list]) => [
      name,
      {
        images_per_s: median(list.map((run) => images / run.wall)),
        spread: spread(list.map((run) => images / run.wall)),
        images_per_cpu_s: median(list.map((run) => images / run.cpu)),
      },
    ]),
  );
  const ratio = (name, other, key) => median(all[other].map((run, i) => run[key] / all[name][i][key]));
  return { rates, ratio };
}

/// The pipelines and, where given, Python beside prs-gpu at several mini-batch sizes.
function measureFolder(program, folder, images, repeats, model, workers, sizes, withSample) {
  const contenders = {};
  for (const size of sizes) contenders[size] = ours(program, model, folder, workers, size);
  contenders.ort = pipeline('ort', modelFile(model), folder, workers);
  contenders.prs = pipeline('prs', modelFile(model), folder, workers);
  if (withSample) contenders.sample = sample(model, folder, workers);
  const rows = {};
  const files = { ort: 'rows.ort', prs: 'rows.prs', sample: 'rows.pil' };
  const { rates, ratio } = interleaved(images, repeats, contenders, ['sample'], (name) => {
    rows[name] = sortedRows(files[name] ?? `${OUTPUT()}/parallel_run_step.txt`);
  });
  const peers = Object.keys(files).filter((name) => contenders[name]);
  return sizes.map((size) => ({
    model, input: folder, images, workers, mini_batch_size: size, ...rates[size],
    peers: peers.map((name) => ({
      name, ...rates[name],
      ratio: ratio(size, name, 'wall'),
      cpu_ratio: ratio(size, name, 'cpu'),
      same_rows: rows[name] === rows[size],
    })),
  }));
}

/// The engine's own rate on all cores, images in memory: of the batch that it is fastest with.
function engineRate(program, model) {
  const text = output(program, [
    'bench', 'cpu', '--model', modelFile(model), '--batch', '256,1024', '--threads',
    String(os.cpus().length), '--seconds', '0.3', '--format', 'json',
  ]);
  return Math.max(...[...text.matchAll(/"images_per_s":\s*([\d.e+]+)/g)].map((match) => Number(match[1])));
}

/// Record files, each with its number of images, beside the engine.
function measureRecords(program, files, repeats, model) {
  const engine = [];
  const cells = Object.entries(files).flatMap(([input, images]) =>
    WORKERS.map((workers) => ({ model, input, images, workers, mini_batch_size: 100, rates: [] })));
  for (let repeat = 0; repeat < repeats; ++repeat) {
    engine.push(engineRate(program, model));
    for (const { input, images, workers, rates } of cells) {
      rates.push(images / ours(program, model, input, workers, 100)().wall);
    }
  }
  return cells.map(({ rates, ...cell }) => ({
    ...cell, images_per_s: median(rates), spread: spread(rates),
    engine_images_per_s: median(engine),
    of_engine: median(rates.map((rate, i) => rate / engine[i])),
  }));
}

/// Has the kernel forget the contents of a folder's files.
const forget = (folder) =>
  execFileSync(PYTHON, ['-c', `
import os
os.sync()
for entry in os.scandir("${folder}"):
    file = os.open(entry.path, os.O_RDONLY)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(file)`]);

function measureCold(program, images, repeats) {
  const cold = (run) => () => {
    forget('png');
    return run();
  };
  const { rates, ratio } = interleaved(images, repeats, {
    10: cold(ours(program, 'mlp', 'png', 2, 10)),
    ort: cold(pipeline('ort', modelFile('mlp'), 'png', 2)),
  });
  return {
    model: 'mlp', input: 'png', images, workers: 2, mini_batch_size: 10, ...rates[10],
    peers: [{ name: 'ort', ...rates.ort, ratio: ratio(10, 'ort', 'wall'), cpu_ratio: ratio(10, 'ort', 'cpu') }],
  };
}

function main([program, work, target, repeatsText]) {
  process.chdir(work);
  const repeats = Number(repeatsText);
  const load = () => os.loadavg()[0].toFixed(1);
  const loadBefore = load();
  const counts = makeInputs(program);
  for (const model of MODELS) output(PYTHON, [SAMPLE, 'convert', modelFile(model), `${model}.pt`]);
  const few = Math.min(repeats, FEW);
  // Of the slowest model the fewer images take long enough.
  const fast = MODELS.slice(0, 2);
  const each = (models, measure) => models.flatMap((model) => WORKERS.flatMap((workers) => {
    console.error(`${model}, ${workers} workers`);
    return measure(model, workers);
  }));
  ours(program, 'mlp', 'png', 2, 10)(); // Warm: files and programs are in the page cache.
  ours(program, 'mlp', 'png60', 2, 10)();
  const folders = [
    ...each(MODELS, (model, workers) =>
      measureFolder(program, 'png', counts.png, repeats, model, workers, SIZES, true)),
    ...each(fast, (model, workers) =>
      measureFolder(program, 'png60', counts.png60, few, model, workers, [10], false)),
  ];
  const { png, png60, ...recordFiles } = counts;
  const records = MODELS.flatMap((model) => {
    const files = fast.includes(model) ? recordFiles : { 'train.idx': counts['train.idx'] };
    return measureRecords(program, files, few, model);
  });
  const floors = Object.fromEntries(WORKERS.map((workers) => [
    workers,
    interleaved(counts.png, repeats, { none: pipeline('prs', 'none', 'png', workers) }).rates.none,
  ]));
  const result = {
    date: today(),
    commit: output(program, ['--version']).split('\n').slice(0, 2).map((line) => line.trim()).join(', '),
    machine: machine(),
    peers: {
      pipeline: output(path.resolve('pipeline_ort'), ['--version']).trim(),
      sample: output(PYTHON, [SAMPLE, 'version']).trim(),
    },
    repeats, folders, records, floors,
    cold: measureCold(program, counts.png, repeats),
    load_before: loadBefore,
    load_after: load(),
  };
  write(target, result, page(result));
}

main(process.argv.slice(2));
