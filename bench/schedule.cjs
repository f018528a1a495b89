// schedule.cjs BUILD WORK RESULT REPEATS: measures the scheduler with the program in BUILD, in the empty
// folder WORK, and writes RESULT.json and RESULT.md. Called by schedule.sh.
'use strict';
const { execFileSync, spawn } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { median, spread, machine, today, origin, write } = require('./result.cjs');

const SIZES = [1, 10];
const WORKERS = [1, 2, 8];
const FILES = 100000;
const MANY_FILES = 1000000;
const MANY_FILES_BYTES = 5e9; // Free space asked for: an inode and a name each, and the job's logs.
const RECORDS = [200000, 1000000];
const NODES = [1, 10, 100, 1000, 10000];
// The rates are of scheduling alone: with allow_reuse every file is looked at while it is listed.
const RATE = { more: ['--set', 'allow_reuse=false'] };
const NODE_MINI_BATCHES = 1000000;

/// Empty files NNNNNNN.png in a new folder.
function makeFiles(folder, count) {
  fs.mkdirSync(folder);
  for (let i = 0; i < count; ++i) {
    fs.closeSync(fs.openSync(path.join(folder, `${String(i).padStart(7, '0')}.png`), 'w'));
  }
  return folder;
}

/// An IDX file of `count` images of one pixel.
function makeRecords(file, count) {
  const header = Buffer.from([0, 0, 8, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1]);
  header.writeUInt32BE(count, 4);
  fs.writeFileSync(file, Buffer.concat([header, Buffer.alloc(count)]));
  return file;
}

/// When the tries of a job began and ended, in ms of Unix time: from its report of mini-batches.
function tries(output) {
  const report = path.join(output, 'logs/sys/job_report/processed_mini-batches.csv');
  let first = Infinity;
  let firstRow = Infinity;
  let last = 0;
  let runSeconds = 0;
  const lines = fs.readFileSync(report, 'utf8').split('\n').slice(1, -1);
  for (const line of lines) {
    const field = line.split(',', 11);
    if (field[10] !== 'RUN_DONE') throw new Error(`not a successful try: ${line}`);
    const start = Date.parse(field[3].replace(' ', 'T').replace(' UTC', 'Z'));
    const end = start + Number(field[7]) * 1e3;
    runSeconds += Number(field[9]);
    first = Math.min(first, start);
    firstRow = Math.min(firstRow, end);
    last = Math.max(last, end);
  }
  return { count: lines.length, first, firstRow, last, runSeconds };
}

/// Runs a job to its end; `watch` looks at its peak memory while it runs, `more` are further options.
function runJob({ build, work }, input, size, workers, { watch = false, more = [] } = {}) {
  const output = path.join(work, 'out');
  fs.rmSync(output, { recursive: true, force: true });
  const args = ['run', '-q', '--plugin', path.join(build, 'lib/null_plugin.so'), '--input', input,
    '--output', output, '--mini-batch-size', String(size), '--workers', String(workers),
    '--overwrite', '--set', 'resource_monitor_interval=0', ...more];
  const env = { ...process.env, PRS_HOME: path.join(work, 'home') };
  return new Promise((resolve, reject) => {
    const start = performance.timeOrigin + performance.now();
    const job = spawn(path.join(build, 'bin/prs-gpu'), args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    let errors = '';
    job.stderr.on('data', (text) => { errors += text; });
    let peakBytes = 0;
    const look = () => {
      try {
        const status = fs.readFileSync(`/proc/${job.pid}/status`, 'utf8');
        peakBytes = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024 || peakBytes;
      } catch {
        // It has just ended.
      }
    };
    const timer = watch ? setInterval(look, 20) : null;
    job.on('error', reject);
    job.on('exit', (code) => {
      const end = performance.timeOrigin + performance.now();
      clearInterval(timer);
      if (code !== 0) return reject(new Error(`prs-gpu run: exit code ${code}\n${errors}`));
      const seen = tries(output);
      const seconds = (seen.last - seen.first) / 1e3;
      resolve({
        mini_batches: seen.count,
        mini_batches_per_s: seen.count / seconds,
        added_us: ((seconds * workers - seen.runSeconds) / seen.count) * 1e6,
        first_row_ms: seen.firstRow - start,
        exit_ms: end - seen.last,
        whole_s: (end - start) / 1e3,
        peak_bytes: peakBytes,
      });
    });
  });
}

/// Median and spread of each figure of the repeats.
function summary(runs, names) {
  const result = {};
  for (const name of names) {
    const values = runs.map((run) => run[name]);
    result[name] = { median: median(values), spread: spread(values), values };
  }
  return result;
}

async function measureRates(setup) {
  const folder = makeFiles(path.join(setup.work, 'files'), FILES);
  const cells = SIZES.flatMap((size) => WORKERS.map((workers) => ({ size, workers, runs: [] })));
  for (let repeat = 0; repeat < setup.repeats; ++repeat) {
    for (const cell of cells) cell.runs.push(await runJob(setup, folder, cell.size, cell.workers, RATE));
  }
  fs.rmSync(folder, { recursive: true });
  const names = ['mini_batches_per_s', 'added_us', 'first_row_ms', 'exit_ms', 'whole_s'];
  return cells.map(({ size, workers, runs }) => ({
    mini_batch_size: size, workers, mini_batches: runs[0].mini_batches, ...summary(runs, names),
  }));
}

async function measureManyFiles(setup) {
  const { bavail, bsize } = fs.statfsSync(setup.work);
  if (bavail * bsize < MANY_FILES_BYTES) return null;
  const folder = makeFiles(path.join(setup.work, 'million'), MANY_FILES);
  const runs = [];
  for (let repeat = 0; repeat < setup.repeats; ++repeat) {
    runs.push(await runJob(setup, folder, 100, 2));
  }
  fs.rmSync(folder, { recursive: true });
  return { files: MANY_FILES, ...summary(runs, ['first_row_ms', 'whole_s']) };
}

/// The slope between two jobs: what both take does not count.
async function measureMemory(setup) {
  const runs = [];
  const files = RECORDS.map((count) => makeRecords(path.join(setup.work, `${count}.idx`), count));
  for (let repeat = 0; repeat < setup.repeats; ++repeat) {
    const peaks = [];
    for (const file of files) peaks.push((await runJob(setup, file, 1, 2, { watch: true })).peak_bytes);
    runs.push({ bytes_per_mini_batch: (peaks[1] - peaks[0]) / (RECORDS[1] - RECORDS[0]) });
  }
  return { mini_batches: RECORDS, ...summary(runs, ['bytes_per_mini_batch']) };
}

function measureNodes({ build, repeats }) {
  const cells = NODES.map((nodes) => ({ nodes, runs: [] }));
  for (let repeat = 0; repeat < repeats; ++repeat) {
    for (const { nodes, runs } of cells) {
      const args = [String(nodes), String(NODE_MINI_BATCHES)];
      const run = JSON.parse(execFileSync(path.join(build, 'bin/bench_job'), args, { encoding: 'utf8' }));
      runs.push({ ns_per_event: (run.seconds / run.events) * 1e9 });
    }
  }
  return cells.map(({ nodes, runs }) => ({ nodes, workers: 8 * nodes, ...summary(runs, ['ns_per_event']) }));
}

function table(result) {
  const figure = ({ median: value, spread: part }, digits = 0) =>
    `${value.toFixed(digits)} (${(part * 100).toFixed(0)} %)`;
  const many = result.many_files;
  return [
    `# Scheduling: ${result.date}`,
    '',
    `\`prs-gpu run\` with real worker processes and an entry that does nothing but give a row for each ` +
      `item; ${FILES} files, one row a file, allow_reuse off. Medians of ${result.repeats} interleaved runs, in brackets ` +
      `the distance from the least to the greatest as a part of the median. Rate: between the first ` +
      `mini-batch's start and the last one's end. Added: a worker's time for each mini-batch outside of ` +
      `the entry's run(). First row: from the start of the program. Exit: from the last row to the end ` +
      `of the program.`,
    '',
    ...origin(result),
    '',
    '| mini_batch_size | workers | mini-batches/s | added us | first row ms | exit ms | whole run s |',
    '|---|---|---|---|---|---|---|',
    ...result.rates.map((cell) =>
      `| ${cell.mini_batch_size} | ${cell.workers} | ${figure(cell.mini_batches_per_s)} | ` +
      `${figure(cell.added_us, 1)} | ${figure(cell.first_row_ms)} | ${figure(cell.exit_ms)} | ` +
      `${figure(cell.whole_s, 2)} |`),
    '',
    many === null
      ? 'The folder of a million files was left out: the disk is too full.'
      : `A folder of ${many.files} files, mini-batches of 100, allow_reuse on (every file's size and time ` +
        `are looked at): the first row after ` +
        `${figure(many.first_row_ms)} ms, the whole run ${figure(many.whole_s, 2)} s.`,
    '',
    `Memory of the orchestrator: ${figure(result.memory.bytes_per_mini_batch)} bytes for each mini-batch ` +
      `(peak resident memory, ${RECORDS.join(' against ')} mini-batches of one record).`,
    '',
    `The decisions alone (bench_job: ${NODE_MINI_BATCHES} mini-batches, 8 workers a node that answer at ` +
      `once), three events a mini-batch and three a worker:`,
    '',
    '| nodes | workers | ns per event |',
    '|---|---|---|',
    ...result.nodes.map((cell) => `| ${cell.nodes} | ${cell.workers} | ${figure(cell.ns_per_event)} |`),
  ];
}

async function main([build, work, target, repeats]) {
  const setup = { build, work, repeats: Number(repeats) };
  const version = execFileSync(path.join(build, 'bin/prs-gpu'), ['--version'], { encoding: 'utf8' });
  const told = (name) => new RegExp(`^ *${name} +(.*)$`, 'm').exec(version)[1];
  const load = os.loadavg()[0].toFixed(1);
  const result = { date: today(), commit: told('commit'), repeats: setup.repeats };
  result.machine = { ...machine(), compiler: told('compiler'), node: process.version,
    load: `${load} when it began (mean of a minute)` };
  result.rates = await measureRates(setup);
  result.memory = await measureMemory(setup);
  result.nodes = measureNodes(setup);
  result.many_files = await measureManyFiles(setup);
  write(target, result, table(result));
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`schedule.cjs: ${error.message}`);
  process.exitCode = 1;
});
