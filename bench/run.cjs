// run.cjs BENCH_ENGINE IMAGES RESULT REPEATS SECONDS: measures every cell of the grid, ours
// and the peer's in turn (A B A B ...), and writes RESULT.json and RESULT.md. Called by run.sh.
'use strict';
const { execFileSync } = require('child_process');
const fs = require('fs');
const path = require('path');
const { median, spread, machine, today, origin, write } = require('./result.cjs');

const MODELS = ['mlp', 'lenet', 'cnn'];
const BATCHES = [1, 16, 64, 256, 1024, 4096];
const THREADS = [1, 2];
const ROOT = path.resolve(__dirname, '..');

function contenders(program) {
  const peer = path.join(__dirname, 'peers', 'onnxruntime.cjs');
  return {
    prs: (args) => JSON.parse(execFileSync(program, args, { encoding: 'utf8' })),
    onnxruntime: (args) =>
      JSON.parse(execFileSync(process.execPath, [peer, ...args], { encoding: 'utf8' })),
  };
}

const readScores = (file) => {
  const bytes = fs.readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
};

function agreement(ours, theirs, classes) {
  if (ours.length !== theirs.length) throw new Error('the two sides gave unlike many scores');
  let maxError = 0;
  let same = 0;
  const best = (scores, first) => {
    let index = 0;
    for (let k = 1; k < classes; ++k) if (scores[first + k] > scores[first + index]) index = k;
    return index;
  };
  for (let i = 0; i < ours.length; ++i) {
    maxError = Math.max(maxError, Math.abs(ours[i] - theirs[i]));
    if (i % classes === 0 && best(ours, i) === best(theirs, i)) ++same;
  }
  return { max_abs_error: maxError, top1_agreement: same / (ours.length / classes) };
}

function measureCell({ run, images, repeats, seconds }, model, batch, threads) {
  const file = path.join(ROOT, 'models', `${model}.onnx`);
  const rates = { prs: [], onnxruntime: [] };
  const last = {};
  for (let repeat = 0; repeat < repeats; ++repeat) {
    for (const name of Object.keys(run)) {
      const scores = repeat === 0 ? [path.resolve(`${name}.scores`)] : [];
      last[name] = run[name]([file, images, batch, threads, seconds, ...scores].map(String));
      rates[name].push(last[name].images_per_s);
    }
  }
  const side = (name) => ({
    images_per_s: median(rates[name]),
    spread: spread(rates[name]),
    p50_us: last[name].p50_us,
    p99_us: last[name].p99_us,
  });
  const peer = { name: 'onnxruntime', version: last.onnxruntime.version, ...side('onnxruntime') };
  // Of each repeat by itself: the machine's mood is the same for both halves of a pair.
  const ratio = median(rates.prs.map((rate, i) => rate / rates.onnxruntime[i]));
  return {
    model,
    batch,
    threads,
    device: 'cpu',
    precision: 'fp32',
    ...side('prs'),
    peers: [peer],
    ratio_to_best_peer: ratio,
    ...agreement(readScores('prs.scores'), readScores('onnxruntime.scores'), 10),
  };
}

const thousands = (rate) => (rate >= 1e5 ? (rate / 1e3).toFixed(0) : (rate / 1e3).toFixed(1));

function table(result) {
  const lines = [
    `# Engine, CPU, float32: ${result.date}`,
    '',
    `Images per second (thousands) from u8 images in memory to scores, the median of ` +
      `${result.repeats} runs of ${result.seconds} s each, side by side with ONNX Runtime ` +
      `${result.cells[0].peers[0].version} through Node, which is given float32 that is scaled ` +
      `already. Ratio: the median of the pairwise ratios.`,
    '',
    ...origin(result),
    '',
    '| model | batch | threads | ours | ONNX Runtime | ratio | p50/p99 us | max error | same class |',
    '|---|---|---|---|---|---|---|---|---|',
  ];
  for (const cell of result.cells) {
    lines.push(
      `| ${cell.model} | ${cell.batch} | ${cell.threads} | ${thousands(cell.images_per_s)} | ` +
        `${thousands(cell.peers[0].images_per_s)} | ${cell.ratio_to_best_peer.toFixed(2)} | ` +
        `${cell.p50_us.toFixed(0)} / ${cell.p99_us.toFixed(0)} | ` +
        `${cell.max_abs_error.toExponential(1)} | ${(cell.top1_agreement * 100).toFixed(2)} % |`,
    );
  }
  return lines;
}

function main([program, images, target, repeats, seconds]) {
  const setup = { run: contenders(program), images, repeats: Number(repeats), seconds: Number(seconds) };
  const cells = [];
  for (const model of MODELS) {
    for (const batch of BATCHES) {
      for (const threads of THREADS) {
        const cell = measureCell(setup, model, batch, threads);
        cells.push(cell);
        console.error(
          `${model} batch ${batch} threads ${threads}: ${thousands(cell.images_per_s)} k/s, ` +
            `${cell.ratio_to_best_peer.toFixed(2)} x ONNX Runtime`,
        );
      }
    }
  }
  const { commit, compiler, kernels } = setup.run.prs(
    [path.join(ROOT, 'models', 'mlp.onnx'), images, '1', '1', '0'],
  );
  const result = {
    date: today(),
    commit,
    machine: {
      ...machine(),
      compiler,
      kernels,
      node: process.version,
    },
    repeats: setup.repeats,
    seconds: setup.seconds,
    cells,
  };
  write(target, result, table(result));
}

main(process.argv.slice(2));
