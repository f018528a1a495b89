// compare.cjs OLD.json NEW.json: the regression check. Called by compare.sh, which explains it.
'use strict';
const fs = require('fs');

const LIMIT = 0.1;
const KEYS = ['model', 'batch', 'threads', 'device', 'precision'];

/// The cells of a result by name, e.g. "mlp, batch 16, threads 2, cpu, fp32".
function readCells(file) {
  const { cells } = JSON.parse(fs.readFileSync(file, 'utf8'));
  if (!Array.isArray(cells) || cells.length === 0) throw new Error(`${file}: no cells in it`);
  return new Map(cells.map((cell) => {
    const missing = [...KEYS, 'peers'].filter((key) => cell[key] === undefined);
    if (missing.length > 0) throw new Error(`${file}: a cell without ${missing.join(', ')}`);
    for (const { name, images_per_s, ratio } of cell.peers) {
      if (!(images_per_s > 0) || !(ratio > 0)) {
        throw new Error(`${file}: ${cell.model}: peer ${name} without images_per_s and ratio`);
      }
    }
    const { model, batch, threads, device, precision } = cell;
    return [`${model}, batch ${batch}, threads ${threads}, ${device}, ${precision}`, cell];
  }));
}

const keyOf = ({ name, precision }) => `${name} ${precision}`;

/// Our ratio to the fastest of the peers that `other` has too.
function ratio(cell, other) {
  const known = new Set(other.peers.map(keyOf));
  const peers = cell.peers.filter((peer) => known.has(keyOf(peer)));
  if (peers.length === 0) return null;
  return peers.reduce((a, b) => (b.images_per_s > a.images_per_s ? b : a)).ratio;
}

/// Prints the cells that changed; returns how many are worse.
function compare(before, after) {
  let worse = 0;
  for (const [name, old] of before) {
    const now = after.get(name);
    const [a, b] = now ? [ratio(old, now), ratio(now, old)] : [null, null];
    if (a === null) {
      ++worse;
      console.log(`WORSE  ${name}: ${now ? 'no peer that both measured' : 'not measured any more'}`);
    } else if (b < a * (1 - LIMIT)) {
      ++worse;
      console.log(`WORSE  ${name}: ${a.toFixed(2)} -> ${b.toFixed(2)}`);
    } else if (b > a * (1 + LIMIT)) {
      console.log(`better ${name}: ${a.toFixed(2)} -> ${b.toFixed(2)}`);
    }
  }
  return worse;
}

try {
  if (process.argv.length !== 4) throw new Error('usage: compare.sh OLD.json NEW.json');
  const [before, after] = process.argv.slice(2).map(readCells);
  const worse = compare(before, after);
  console.log(`${before.size} cells compared, ${worse} worse`);
  process.exitCode = worse > 0 ? 1 : 0;
} catch (error) {
  console.error(`compare.cjs: ${error.message}`);
  process.exitCode = 2;
}
