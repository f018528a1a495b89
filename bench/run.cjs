// run.cjs BIN DATA [OPTION...]: measures every cell of the grid, ours and the peers' in turn, and
// writes the result. BIN holds our programs, DATA the images and labels of Fashion-MNIST. Called by
// run.sh, in a folder of its own, which explains the options.
'use strict';
const { execFileSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const zlib = require('zlib');
const { parseArgs } = require('util');
const { contenders, start } = require('./contenders.cjs');
const { median, spread, machine, today, write } = require('./result.cjs');
const { page, plot, thousands } = require('./engine_report.cjs');

const ROOT = path.resolve(__dirname, '..');
const CLASSES = 10;
const PEER_SCORE_BATCH = 256;
/// What scores may differ by from the reference's before a rate means nothing: the parts of images
/// with the same best class, at least, and the largest difference of a score.
const AGREEMENT = {
  fp32: { top1: 0.999, error: 1e-3 },
  bf16: { top1: 0.99, error: Infinity },
  int8: { top1: 0.98, error: Infinity },
};
const PEAK = { fp32: 'fp32_gflops', bf16: 'bf16_gflops', int8: 'int8_gops' };

function settings(options) {
  const { values } = parseArgs({
    args: options,
    options: {
      repeats: { type: 'string', default: '5' },
      seconds: { type: 'string', default: '0.5' },
      models: { type: 'string', default: 'mlp,lenet,cnn' },
      batches: { type: 'string', default: '1,16,64,256,1024,4096' },
      threads: { type: 'string', default: '1,2' },
      output: { type: 'string', default: path.join(__dirname, 'results', `${today()}-engine-cpu`) },
    },
  });
  const numbers = (text) => text.split(',').map(Number);
  const result = {
    repeats: Number(values.repeats),
    seconds: Number(values.seconds),
    models: values.models.split(','),
    batches: numbers(values.batches),
    threads: numbers(values.threads),
    output: path.resolve(ROOT, values.output),
  };
  const whole = [result.repeats, ...result.batches, ...result.threads];
  if (!whole.every((number) => Number.isInteger(number) && number > 0) || !(result.seconds >= 0)) {
    throw new Error(`${options.join(' ')}: repeats, batches and threads are whole numbers above 0`);
  }
  return result;
}

/// The data set as the contenders take it: uncompressed images in a file, labels in memory.
function dataset(folder) {
  const unpack = (name) => zlib.gunzipSync(fs.readFileSync(path.join(folder, name)));
  const images = path.resolve('images.idx');
  fs.writeFileSync(images, unpack('t10k-images-idx3-ubyte.gz'));
  return { images, labels: unpack('t10k-labels-idx1-ubyte.gz').subarray(8) };
}

function readScores(file) {
  const bytes = fs.readFileSync(file);
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/// How `scores` compare with the reference's and with the truth.
function agreement(scores, reference, labels) {
  if (scores.length !== reference.length || scores.length !== labels.length * CLASSES) {
    throw new Error(`${scores.length} scores for ${labels.length} images of ${CLASSES} classes`);
  }
  const best = (values, first) => {
    let index = 0;
    for (let k = 1; k < CLASSES; ++k) if (values[first + k] > values[first + index]) index = k;
    return index;
  };
  let maxError = 0;
  let same = 0;
  let right = 0;
  for (let i = 0; i < scores.length; ++i) {
    // A NaN is the largest difference there is.
    const error = Math.abs(scores[i] - reference[i]);
    if (!(error <= maxError)) maxError = Number.isNaN(error) ? Infinity : error;
  }
  labels.forEach((label, image) => {
    const class_ = best(scores, image * CLASSES);
    same += class_ === best(reference, image * CLASSES);
    right += class_ === label;
  });
  return {
    max_abs_error: maxError,
    top1_agreement: same / labels.length,
    accuracy: right / labels.length,
  };
}

/// The files of a model by precision; int8 where our program can quantise, on images that are not
/// those that are measured.
function modelFiles(bin, data, model) {
  const files = { fp32: path.join(ROOT, 'models', `${model}.onnx`) };
  const program = path.join(bin, 'prs-gpu');
  if (/^  quantize /m.test(execFileSync(program, ['--help'], { encoding: 'utf8' }))) {
    files.int8 = path.resolve(`${model}.int8.onnx`);
    fs.rmSync(files.int8, { force: true });
    const images = path.join(data, 'train-images-idx3-ubyte.gz');
    execFileSync(program, ['quantize', files.fp32, '--calibrate', images, '-o', files.int8]);
  }
  return files;
}

async function scoresOf(contender, batch) {
  const file = path.resolve('scores');
  await contender.ask(`scores ${batch} ${file}`);
  return readScores(file);
}

/// Rates of all contenders at one batch: Map of contender -> list of answers, taken in turn.
async function measure(running, batch, { repeats, seconds }) {
  const answers = new Map(running.map((contender) => [contender, []]));
  for (let repeat = 0; repeat < repeats; ++repeat) {
    for (const contender of running) {
      answers.get(contender).push(await contender.ask(`run ${batch} ${seconds}`));
    }
  }
  return answers;
}

function summary(answers) {
  const rates = answers.map((answer) => answer.images_per_s);
  return {
    images_per_s: median(rates),
    spread: spread(rates),
    p50_us: median(answers.map((answer) => answer.p50_us)),
    p99_us: median(answers.map((answer) => answer.p99_us)),
  };
}

/// The cells of one batch: one for each precision of ours.
function cells({ model, batch, threads }, answers, compared) {
  const peers = [...answers.keys()].filter(({ contender }) => !contender.ours);
  return [...answers.keys()].filter(({ contender }) => contender.ours).map((ours) => {
    const { precision } = ours.contender;
    const mine = summary(answers.get(ours));
    const rows = peers
      .filter(({ contender }) => contender.precision === 'fp32' || contender.precision === precision)
      .map((peer) => ({
        name: peer.contender.name,
        version: peer.hello.version,
        precision: peer.contender.precision,
        ...summary(answers.get(peer)),
        // Of each repeat by itself: the machine's mood is the same for both halves of a pair.
        ratio: median(
          answers.get(ours).map((answer, i) => answer.images_per_s / answers.get(peer)[i].images_per_s),
        ),
        ...compared.get(peer),
      }));
    const best = rows.reduce((a, b) => (b.images_per_s > a.images_per_s ? b : a));
    return {
      model,
      batch,
      threads,
      device: 'cpu',
      precision,
      ...mine,
      flops_per_image: ours.hello.flops_per_image,
      bytes_per_image: ours.hello.bytes_per_image,
      ...compared.get(ours),
      best_peer: best.name,
      ratio_to_best_peer: best.ratio,
      peers: rows,
    };
  });
}

function disagreements(cell) {
  return [{ ...cell, name: 'prs-gpu' }, ...cell.peers]
    .filter(({ precision, top1_agreement, max_abs_error }) => {
      const limits = AGREEMENT[precision];
      return !(top1_agreement >= limits.top1 && max_abs_error <= limits.error);
    })
    .map(({ name, precision, top1_agreement, max_abs_error }) =>
      `${name} ${precision}, ${cell.model}, batch ${cell.batch}, ${cell.threads} threads: other ` +
        `scores than ONNX Runtime: ${(100 * top1_agreement).toFixed(2)} % the same class, largest ` +
        `difference ${max_abs_error.toExponential(1)}`);
}

/// What the machine can do with `threads` threads. Other work can only slow it down: `before`, what an
/// earlier measurement found, is raised where this one finds more.
function measurePeaks(bin, threads, before = {}) {
  const text = execFileSync(
    path.join(bin, 'prs-gpu'),
    ['bench', 'cpu', '--format', 'json', '--threads', `${threads}`],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] },
  );
  const [peaks] = JSON.parse(text).peaks;
  for (const key of Object.keys(peaks)) {
    if (peaks[key] !== null) peaks[key] = Math.max(peaks[key], before[key] ?? 0);
  }
  return peaks;
}

function percentOfLimit(cell, peaks) {
  const peak = peaks[PEAK[cell.precision]];
  if (peak === null) return null;
  const nanoseconds = Math.max(cell.flops_per_image / peak, cell.bytes_per_image / peaks.copy_gb_s);
  return (100 * cell.images_per_s * nanoseconds) / 1e9;
}

async function main([bin, data, ...options]) {
  const grid = settings(options);
  const load = os.loadavg()[0];
  const { images, labels } = dataset(data);
  const peaks = new Map();
  const result = {
    date: today(),
    commit: '',
    machine: { ...machine(), load_before: load, node: process.version },
    repeats: grid.repeats,
    seconds: grid.seconds,
    peaks: [],
    cells: [],
  };
  const leftOut = new Map();
  for (const model of grid.models) {
    const files = modelFiles(bin, data, model);
    for (const threads of grid.threads) {
      peaks.set(threads, measurePeaks(bin, threads, peaks.get(threads)));
      const running = await start(contenders(bin), files, images, threads, (name, why) =>
        leftOut.set(`${model}: ${name}`, why));
      const { commit, compiler, kernels } = running[0].hello;
      result.commit = commit;
      Object.assign(result.machine, { compiler, kernels });

      // A peer's scores do not depend on the batch; ours come from other kernels for other batches.
      const compared = new Map();
      const peers = running.filter(({ contender }) => !contender.ours);
      const reference = await scoresOf(peers[0], PEER_SCORE_BATCH);
      for (const peer of peers) {
        const scores = await scoresOf(peer, PEER_SCORE_BATCH);
        compared.set(peer, agreement(scores, reference, labels));
      }
      for (const batch of grid.batches) {
        for (const ours of running.filter(({ contender }) => contender.ours)) {
          compared.set(ours, agreement(await scoresOf(ours, batch), reference, labels));
        }
        const answers = await measure(running, batch, grid);
        for (const cell of cells({ model, batch, threads }, answers, compared)) {
          result.cells.push(cell);
          console.error(
            `${model} ${cell.precision}, batch ${batch}, threads ${threads}: ` +
              `${thousands(cell.images_per_s)} k/s, ${cell.ratio_to_best_peer.toFixed(2)} x ` +
              `${cell.best_peer}`,
          );
        }
      }
      for (const contender of running) await contender.close();
    }
  }
  result.peaks = [...peaks.values()];
  for (const cell of result.cells) {
    cell.percent_of_limit = percentOfLimit(cell, peaks.get(cell.threads));
  }
  result.left_out = [...leftOut].map(([name, why]) => `${name}: ${why}`);
  write(grid.output, result, page(result, path.basename(grid.output)));
  plot(result, `${grid.output}.svg`);
  console.log(`${grid.output}.md`);
  const wrong = result.cells.flatMap(disagreements);
  for (const line of new Set(wrong)) console.error(line);
  if (wrong.length > 0) process.exitCode = 1;
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`run.cjs: ${error.message}`);
  process.exit(1); // Contenders that still run end with their standard input.
});
