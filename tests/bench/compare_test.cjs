// bench/compare.sh on small results: what it calls worse.
'use strict';
const assert = require('assert');
const { spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { test } = require('node:test');

const SCRIPT = path.resolve(__dirname, '../../bench/compare.sh');

/// A cell whose peers are given as name -> [images_per_s, ratio].
const cell = (peers, more = {}) => ({
  model: 'mlp', batch: 16, threads: 1, device: 'cpu', precision: 'fp32',
  peers: Object.entries(peers).map(([name, [images_per_s, ratio]]) =>
    ({ name, precision: 'fp32', images_per_s, ratio })),
  ...more,
});

function compare(before, after) {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'prs-compare-'));
  try {
    const files = [before, after].map((content, index) => {
      const file = path.join(folder, `${index}.json`);
      fs.writeFileSync(file, typeof content === 'string' ? content : JSON.stringify({ cells: content }));
      return file;
    });
    return spawnSync(SCRIPT, files, { encoding: 'utf8' });
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
}

test('equal results pass', () => {
  const { status, stdout } = compare([cell({ a: [100, 1.5] })], [cell({ a: [100, 1.5] })]);
  assert.strictEqual(status, 0, stdout);
  assert.match(stdout, /1 cells compared, 0 worse/);
});

test('a ratio may fall by ten percent, not by more', () => {
  assert.strictEqual(compare([cell({ a: [100, 2] })], [cell({ a: [100, 1.81] })]).status, 0);
  const { status, stdout } = compare([cell({ a: [100, 2] })], [cell({ a: [100, 1.79] })]);
  assert.strictEqual(status, 1);
  assert.match(stdout, /WORSE +mlp, batch 16, threads 1, cpu, fp32: 2\.00 -> 1\.79/);
});

test('one worse cell among better ones fails', () => {
  const batch = (number, ratio) => cell({ a: [100, ratio] }, { batch: number });
  const { status, stdout } = compare([batch(1, 1), batch(16, 1)], [batch(1, 3), batch(16, 0.5)]);
  assert.strictEqual(status, 1);
  assert.match(stdout, /better mlp, batch 1,/);
  assert.match(stdout, /WORSE +mlp, batch 16,/);
});

test('slower hardware with the same ratio passes', () => {
  assert.strictEqual(compare([cell({ a: [100, 2] })], [cell({ a: [10, 2] })]).status, 0);
});

test('the best peer counts', () => {
  const { status } = compare(
    [cell({ slow: [10, 20], quick: [100, 2] })], [cell({ slow: [10, 10], quick: [100, 2] })]);
  assert.strictEqual(status, 0);
});

test('a peer that only one run measured does not count', () => {
  const before = [cell({ a: [100, 2] })];
  const after = [cell({ a: [100, 2], quicker: [200, 1] })];
  assert.strictEqual(compare(before, after).status, 0);
  assert.strictEqual(compare(after, before).status, 0);
  const { status, stdout } = compare(before, [cell({ quicker: [200, 1] })]);
  assert.strictEqual(status, 1);
  assert.match(stdout, /no peer that both measured/);
});

test('a cell that is missing is worse, a new one is not', () => {
  const one = [cell({ a: [100, 2] })];
  const two = [...one, cell({ a: [100, 2] }, { precision: 'int8' })];
  assert.strictEqual(compare(one, two).status, 0);
  const { status, stdout } = compare(two, one);
  assert.strictEqual(status, 1);
  assert.match(stdout, /int8: not measured any more/);
});

test('files that are no results are refused by name', () => {
  const good = [cell({ a: [100, 2] })];
  for (const bad of ['no JSON', '{}', [], [{ model: 'mlp' }], [cell({ a: [null, 2] })],
    [cell({ a: [100, undefined] })]]) {
    const { status, stderr } = compare(good, bad);
    assert.strictEqual(status, 2, JSON.stringify(bad));
    assert.match(stderr, /^compare\.cjs: .+\n$/);
  }
  assert.strictEqual(spawnSync(SCRIPT, ['one']).status, 2);
});
