// readme.cjs [--check] [RESULT.json]: writes README's section on the engine's speed from a recorded
// result (default: the newest). With --check it writes nothing and fails when the section differs.
// Called by readme.sh.
'use strict';
const fs = require('fs');
const path = require('path');
const { readmeSection } = require('./engine_report.cjs');

const ROOT = path.resolve(__dirname, '..');
const RESULTS = 'bench/results';
const README = path.join(ROOT, 'README.md');
const BEGIN = '<!-- bench/readme.sh writes from here -->';
const END = '<!-- to here -->';

function newest() {
  const names = fs.readdirSync(path.join(ROOT, RESULTS));
  const records = names.filter((name) => name.endsWith('-engine-cpu.json')).sort();
  if (records.length === 0) throw new Error(`${RESULTS}: no *-engine-cpu.json; run bench/run.sh`);
  return path.join(ROOT, RESULTS, records.pop());
}

function main(options) {
  const check = options[0] === '--check';
  const [file = newest()] = options.slice(check ? 1 : 0);
  const folder = path.relative(ROOT, path.dirname(path.resolve(file)));
  const section = readmeSection(
    JSON.parse(fs.readFileSync(file, 'utf8')), folder, path.basename(file, '.json'));
  const text = fs.readFileSync(README, 'utf8');
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`README.md: no "${BEGIN}" before a "${END}"`);
  const written =
    text.slice(0, begin) + [BEGIN, ...section, ''].join('\n') + text.slice(end);
  if (!check) {
    fs.writeFileSync(README, written);
  } else if (text !== written) {
    throw new Error(`README.md does not quote ${path.relative(ROOT, file)}: run bench/readme.sh`);
  }
}

try {
  main(process.argv.slice(2));
} catch (error) {
  console.error(`readme.cjs: ${error.message}`);
  process.exitCode = 1;
}
