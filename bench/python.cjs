// python.cjs BUILD WORK RESULT REPEATS: measures Python entry scripts with the program in BUILD, in the
// folder WORK, which holds noop.so, and writes RESULT.json and RESULT.md. Called by python.sh.
'use strict';
const { execFileSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { median, spread, machine, today, origin, write } = require('./result.cjs');

const PYTHON = '/usr/bin/python3';
const SCRIPTS = path.join(__dirname, 'python');
const FILES = 50000;
const SIZE = 10;
const WORKERS = [1, 2];
const CSV_ROWS = 400000;
const CHUNK_BYTES = 1 << 20;

function makeFiles(folder) {
  fs.mkdirSync(folder);
  for (let i = 0; i < FILES; ++i) {
    fs.closeSync(fs.openSync(path.join(folder, `${String(i).padStart(5, '0')}.png`), 'w'));
  }
  return folder;
}

/// Rows of an integer, five numbers and two texts: about 56 bytes each.
function makeCsv(file) {
  let seed = 1;
  const random = () => (seed = (seed * 48271) % 2147483647) / 2147483647;
  const lines = ['id,a,b,c,d,e,name,group'];
  for (let i = 0; i < CSV_ROWS; ++i) {
    const numbers = Array.from({ length: 5 }, () => random().toFixed(4));
    lines.push(`${i},${numbers.join(',')},item-${i % 977},g${i % 7}`);
  }
  fs.writeFileSync(file, lines.join('\n') + '\n');
  return file;
}

/// A job's tries: for each, when it began and what it took, in seconds.
function runJob({ build, work }, entry, options) {
  const output = path.join(work, 'out');
  fs.rmSync(output, { recursive: true, force: true });
  execFileSync(path.join(build, 'bin/prs-gpu'),
    ['run', '-q', ...entry, '--output', output, '--set', 'resource_monitor_interval=0', '--set',
      'allow_reuse=false', ...options],
    { env: { ...process.env, PRS_HOME: path.join(work, 'home') }, stdio: ['ignore', 'ignore', 'pipe'] });
  const report = path.join(output, 'logs/sys/job_report/processed_mini-batches.csv');
  return fs.readFileSync(report, 'utf8').split('\n').slice(1, -1).map((line) => {
    const field = line.split(',', 11);
    if (field[10] !== 'RUN_DONE') throw new Error(`not a successful try: ${line}`);
    const start = Date.parse(field[3].replace(' ', 'T').replace(' UTC', 'Z')) / 1e3;
    return { start, elapsed: Number(field[7]), cpu: Number(field[8]), run: Number(field[9]) };
  });
}

/// Microseconds for each mini-batch: of a worker's time in all, and around run().
function costs(tries, workers) {
  const first = Math.min(...tries.map((one) => one.start));
  const last = Math.max(...tries.map((one) => one.start + one.elapsed));
  return { whole_us: ((last - first) * workers / tries.length) * 1e6,
    run_us: median(tries.map((one) => one.run)) * 1e6 };
}

function pool(folder, workers) {
  const [seconds, count] = execFileSync(PYTHON, [path.join(SCRIPTS, 'pool.py'), folder, SIZE, workers],
    { encoding: 'utf8' }).trim().split(' ').map(Number);
  return { whole_us: (seconds * workers / count) * 1e6 };
}

const figure = (values) => ({ median: median(values), spread: spread(values), values });

function measureMiniBatches(setup) {
  const folder = makeFiles(path.join(setup.work, 'files'));
  const job = (entry, workers) => costs(runJob(setup, [...entry, '--input', folder],
    ['--mini-batch-size', String(SIZE), '--workers', String(workers)]), workers);
  const cells = WORKERS.flatMap((workers) => [
    ['noop.c', () => job(['--plugin', path.join(setup.work, 'noop.so')], workers)],
    ['noop.py', () => job(['--entry-script', path.join(SCRIPTS, 'noop.py')], workers)],
    ['multiprocessing.Pool', () => pool(folder, workers)],
  ].map(([name, measure]) => ({ name, workers, measure, runs: [] })));
  for (let repeat = 0; repeat < setup.repeats; ++repeat) {
    for (const cell of cells) cell.runs.push(cell.measure());
  }
  return cells.map(({ name, workers, runs }) => ({ name, workers,
    whole_us: figure(runs.map((run) => run.whole_us)),
    ...(runs[0].run_us === undefined ? {} : { run_us: figure(runs.map((run) => run.run_us)) }) }));
}

function measureTable(setup) {
  const file = makeCsv(path.join(setup.work, 'table.csv'));
  const chunks = [];
  const cpu = [];
  const runs = [];
  const pandas = [];
  let count = 0;
  for (let repeat = 0; repeat < setup.repeats; ++repeat) {
    const tries = runJob(setup, ['--entry-script', path.join(SCRIPTS, 'noop.py'), '--input', file],
      ['--mini-batch-size', '1MB', '--workers', '1', '--output-action', 'summary_only']);
    count = tries.length;
    chunks.push(median(tries.map((one) => one.elapsed)) * 1e3);
    cpu.push(median(tries.map((one) => one.cpu)) * 1e3);
    runs.push(median(tries.map((one) => one.run)) * 1e3);
    pandas.push(Number(execFileSync(PYTHON,
      [path.join(SCRIPTS, 'read_csv.py'), file, CHUNK_BYTES, count], { encoding: 'utf8' })));
  }
  return { bytes: fs.statSync(file).size, rows: CSV_ROWS, chunks: count, chunk_ms: figure(chunks),
    cpu_ms: figure(cpu), run_ms: figure(runs), pandas_ms: figure(pandas) };
}

const show = ({ median: value, spread: part }, digits = 1) =>
  value.toFixed(digits) + (value > 0 ? ` (${(part * 100).toFixed(0)} %)` : '');

function table(result) {
  const cell = (name, workers) =>
    result.mini_batches.find((one) => one.name === name && one.workers === workers);
  const added = (workers) =>
    cell('noop.py', workers).whole_us.median - cell('noop.c', workers).whole_us.median;
  const { table: rows } = result;
  return [
    `# Python entry scripts: ${result.date}`,
    '',
    `Mini-batches of ${SIZE} paths of ${FILES} files, returned as they are: by a script, by the same in `
      + 'C, and by multiprocessing.Pool (imap_unordered). Whole: a worker\'s time for each mini-batch '
      + 'from the first start to the last end, with everything the program does meanwhile. run(): the '
      + 'median around run() in the worker, in whole microseconds. Medians of '
      + `${result.repeats} interleaved runs, in brackets the distance from the least to the greatest as `
      + 'a part of the median.',
    '',
    ...origin(result),
    '',
    '| workers | entry | whole us | run() us |',
    '|---|---|---|---|',
    ...result.mini_batches.map((one) =>
      `| ${one.workers} | ${one.name} | ${show(one.whole_us)} | ${one.run_us ? show(one.run_us) : ''} |`),
    '',
    `A script adds ${WORKERS.map((n) => `${added(n).toFixed(1)} us with ${n} worker${n > 1 ? 's' : ''}`)
      .join(', ')} (target: 30 us).`,
    '',
    `A chunk of 1 MB of a CSV file (${rows.rows} rows of 8 columns, two of them texts; ${rows.chunks} `
      + `chunks, one worker) is read, is a DataFrame and is through run() after ${show(rows.chunk_ms, 2)} `
      + `ms, ${show(rows.cpu_ms, 2)} ms of CPU time (target: 2 ms). ${show(rows.run_ms, 2)} ms are around `
      + 'run(), where the DataFrame is made; before that the text is read and parsed. pandas.read_csv '
      + `alone takes ${show(rows.pandas_ms, 2)} ms for as many bytes in memory.`,
  ];
}

function main([build, work, target, repeats]) {
  const setup = { build, work, repeats: Number(repeats) };
  const version = execFileSync(path.join(build, 'bin/prs-gpu'), ['--version'], { encoding: 'utf8' });
  const told = (name) => new RegExp(`^ *${name} +(.*)$`, 'm').exec(version)[1];
  const python = execFileSync(PYTHON, ['-c',
    'import sys, numpy, pandas; print(sys.version.split()[0], "numpy", numpy.__version__, "pandas", '
      + 'pandas.__version__)'], { encoding: 'utf8' }).trim();
  const load = os.loadavg()[0].toFixed(1);
  const result = { date: today(), commit: told('commit'), repeats: setup.repeats };
  result.machine = { ...machine(), compiler: told('compiler'), python,
    load: `${load} when it began (mean of a minute)` };
  result.mini_batches = measureMiniBatches(setup);
  result.table = measureTable(setup);
  write(target, result, table(result));
}

try {
  main(process.argv.slice(2));
} catch (error) {
  console.error(`python.cjs: ${error.stderr ?? ''}${error.message}`);
  process.exitCode = 1;
}
