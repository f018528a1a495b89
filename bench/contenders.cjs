// Who takes part: processes that speak the line protocol of contender.hpp, and how each is started.
'use strict';
const { spawn } = require('child_process');
const fs = require('fs');
const path = require('path');
const readline = require('readline');

/// What "tuned" TorchScript gets: memory that is kept instead of being returned to the system after
/// each batch, and, where the processor has AVX-512, OpenBLAS's kernels for it, which it does not
/// choose by itself on every such processor.
function tuned() {
  const avx512 = / avx512vl /.test(fs.readFileSync('/proc/cpuinfo', 'utf8'));
  return {
    MALLOC_MMAP_MAX_: '0',
    MALLOC_TRIM_THRESHOLD_: String(2 ** 34),
    ...(avx512 ? { OPENBLAS_CORETYPE: 'SkylakeX' } : {}),
  };
}

/// Every contender: name, a label of its own, command line without arguments, precision, environment.
/// Ours comes once a precision. The first peer is the reference, whose scores the others' are compared
/// with.
function contenders(bin) {
  const program = (name) => [path.join(bin, `bench_${name}`)];
  const onnxRuntime = [process.execPath, path.join(__dirname, 'peers', 'onnxruntime.cjs')];
  const ours = (precision) => ({
    name: 'prs-gpu', label: `prs-gpu ${precision}`, ours: true, precision, command: program('engine'),
  });
  const peer = (name, command, more = {}) =>
    ({ name, label: name, precision: 'fp32', command, ...more });
  return [
    ours('fp32'),
    ours('bf16'),
    ours('int8'),
    peer('ONNX Runtime', onnxRuntime),
    peer('TorchScript', program('torchscript')),
    peer('TorchScript tuned', program('torchscript'), { environment: tuned() }),
    peer('OpenCV DNN', program('opencv')),
    peer('Eigen', program('eigen')),
    peer('ONNX Runtime int8', onnxRuntime, { precision: 'int8' }),
  ];
}

/// A running contender. Requests are answered in order.
class Process {
  constructor(contender, model, images, threads) {
    this.contender = contender;
    this.complaint = '';
    const [program, ...more] = contender.command;
    this.child = spawn(program, [...more, model, images, String(threads), contender.precision], {
      stdio: ['pipe', 'pipe', 'pipe'],
      env: { ...process.env, OMP_NUM_THREADS: String(threads), ...contender.environment },
    });
    this.exit = new Promise((resolve) => this.child.on('close', resolve));
    this.child.stderr.on('data', (text) => (this.complaint = (this.complaint + text).slice(-2000)));
    this.child.stdin.on('error', () => {}); // Its end is told by exit.
    this.child.on('error', (error) => (this.complaint = error.message));
    this.lines = readline.createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
  }

  /// The next line that it prints, as JSON.
  async answer() {
    const { value, done } = await this.lines.next();
    if (!done) return JSON.parse(value);
    await this.exit;
    throw new Error(`${this.contender.name}: ended: ${this.complaint.trim() || 'without a word'}`);
  }

  ask(request) {
    this.child.stdin.write(`${request}\n`);
    return this.answer();
  }

  async close() {
    this.child.stdin.end();
    await this.exit;
  }
}

/// Starts all of `list`, each with its precision's file among `models`; those that cannot do it here
/// are left out, and `leftOut(name, why)` is told so.
async function start(list, models, images, threads, leftOut) {
  const running = [];
  for (const contender of list) {
    const { precision } = contender;
    const model = precision === 'int8' ? models.int8 : models.fp32;
    if (model === undefined) {
      leftOut(contender.label, 'this build of prs-gpu quantises no models');
      continue;
    }
    const started = new Process(contender, model, images, threads);
    started.hello = await started.answer();
    if (started.hello.unsupported) {
      leftOut(contender.label, started.hello.unsupported);
      await started.close();
    } else {
      running.push(started);
    }
  }
  return running;
}

module.exports = { contenders, start };
