// README quotes the newest record, and nothing else.
'use strict';
const assert = require('assert');
const { spawnSync } = require('child_process');
const path = require('path');
const { test } = require('node:test');
const { readmeSection } = require('../../bench/engine_report.cjs');

const SCRIPT = path.resolve(__dirname, '../../bench/readme.sh');

test('README says what the newest record says', () => {
  const { status, stderr } = spawnSync(SCRIPT, ['--check'], { encoding: 'utf8' });
  assert.strictEqual(status, 0, stderr);
});

test('losses are shown and counted', () => {
  const cell = (batch, ratio, best_peer) => ({
    model: 'mlp', precision: 'fp32', threads: 1, batch, ratio_to_best_peer: ratio, best_peer,
    peers: [{ name: 'A', version: '1' }, { name: 'B', version: '2' }],
  });
  const text = readmeSection(
    {
      machine: { processor: 'P', compiler: 'C', load_before: 0 }, repeats: 1, seconds: 1, commit: 'c',
      cells: [cell(1, 1.5, 'A'), cell(16, 0.996, 'B'), cell(64, 0.5, 'B')],
    },
    'results', 'record').join('\n');
  assert.match(text, /\| mlp \| fp32 \| 1 \| 1\.50 \| \*\*1\.00\*\* \| \*\*0\.50\*\* \|/);
  assert.match(text, /In 2 of 3 cells \(bold\) a peer is faster: B in 2\./);
});
