// The page of Markdown that end_to_end.cjs writes of its measurements.
'use strict';
const { origin } = require('./result.cjs');

const thousands = (rate) => (rate / 1e3).toFixed(1);
const rate = (one) => (one ? `${thousands(one.images_per_s)} (${thousands(one.images_per_cpu_s)})` : '-');
const row = (...cells) => `| ${cells.join(' | ')} |`;
const head = (...cells) => [row(...cells), row(...cells.map(() => '---'))];

function folderRow(cell) {
  const peer = Object.fromEntries(cell.peers.map((one) => [one.name, one]));
  const ratio = (one) => (one ? `${one.ratio.toFixed(2)} (${one.cpu_ratio.toFixed(2)})` : '-');
  const same = cell.peers.every((one) => one.same_rows) ? 'yes' : 'NO';
  return row(
    cell.model, cell.images, cell.workers, cell.mini_batch_size, rate(cell), `${(100 * cell.spread).toFixed(0)} %`,
    rate(peer.ort), ratio(peer.ort), rate(peer.prs), ratio(peer.prs), rate(peer.sample),
    ratio(peer.sample), same,
  );
}

function page(result) {
  const { cold, floors } = result;
  return [
    `# End to end, CPU: ${result.date}`,
    '',
    `Thousand images per second of whole runs, process start and end included: the median of ` +
      `${result.repeats} runs in turn (of 60,000 images, records and the sample at most 3); in brackets by processor ` +
      `time. Ratios are medians of the ratios within a turn. Load of the machine before and after: ` +
      `${result.load_before}, ${result.load_after}.`,
    '',
    ...origin(result),
    '',
    '## Folders of PNG files',
    '',
    `The peers have as many threads or processes as prs-gpu has workers; one worker computes and ` +
      `reads with all cores where it is alone, so the ratio by processor time is the stricter one there. ` +
      `*Pipeline*: bench/peers/png_pipeline.cpp in batches of 64, ${result.peers.pipeline}; it schedules, ` +
      `retries and logs nothing. *Pipeline, our engine*: the same with prs-gpu's engine. *Sample*: the ` +
      `way of PRS's published samples, bench/peers/pil_sample.py, ${result.peers.sample}.`,
    '',
    ...head(
      'model', 'images', 'workers', 'mini-batch', 'prs-gpu run', 'spread', 'pipeline', 'ratio',
      'pipeline, our engine', 'ratio', 'sample', 'ratio', 'same rows',
    ),
    ...result.folders.map(folderRow),
    '',
    `Reading and decoding alone (the pipeline without a model): ` +
      Object.entries(floors).map(([workers, one]) => `${rate(one)} with ${workers}`).join(', ') + '.',
    '',
    `Files that are not in the page cache (posix_fadvise), mlp, ${cold.workers} workers: ` +
      `${rate(cold)}; the pipeline ${rate(cold.peers[0])}, ratio ${cold.peers[0].ratio.toFixed(2)} ` +
      `(${cold.peers[0].cpu_ratio.toFixed(2)}).`,
    '',
    '## IDX and NPY files',
    '',
    'Beside what the engine computes of images in memory on all cores (`prs-gpu bench cpu`), in the same turn.',
    'Those are random pixels; of these files about half are zero, which `mlp` computes a fifth faster.',
    '',
    ...head('model', 'file', 'images', 'workers', 'prs-gpu run', 'spread', 'engine', 'part of it'),
    ...result.records.map((cell) =>
      row(
        cell.model, cell.input, cell.images, cell.workers, thousands(cell.images_per_s),
        `${(100 * cell.spread).toFixed(0)} %`, thousands(cell.engine_images_per_s),
        `${(100 * cell.of_engine).toFixed(0)} %`,
      ),
    ),
  ];
}

module.exports = { page };
