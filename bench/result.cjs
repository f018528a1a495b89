// What the measuring scripts share: medians, and what a recorded result says of its machine.
'use strict';
const fs = require('fs');
const os = require('os');

const median = (values) => {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};
/// The distance from the slowest to the fastest repeat, as a part of the median.
const spread = (values) => (Math.max(...values) - Math.min(...values)) / median(values);

const machine = () => ({
  processor: `${os.cpus()[0].model}, ${os.cpus().length} cores`,
  system: `${os.type()} ${os.release()}`,
});
const today = () => new Date().toISOString().slice(0, 10);

/// Lines of Markdown for the machine and the commit.
const origin = (result) => [
  ...Object.entries(result.machine).map(([key, value]) => `- ${key}: ${value}`),
  `- commit: ${result.commit}`,
];

/// TARGET.json and TARGET.md.
function write(target, result, lines) {
  fs.writeFileSync(`${target}.json`, JSON.stringify(result, null, 2) + '\n');
  fs.writeFileSync(`${target}.md`, lines.join('\n') + '\n');
}

module.exports = { median, spread, machine, today, origin, write };
